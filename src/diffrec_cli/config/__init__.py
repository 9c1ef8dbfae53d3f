"""All settings as frozen dataclasses, checked once, stored whole with the model."""

from __future__ import annotations

from diffrec_cli.config.diffrec import (
    MAX_STEPS,
    DenoiserConfig,
    DiffusionConfig,
    LatentConfig,
    TemporalConfig,
    TrainingConfig,
)
from diffrec_cli.config.fit import FitConfig
from diffrec_cli.config.graphs import GraphSum, OrderedGraphSum
from diffrec_cli.config.models import GAUSSIAN, RECENT, Comparator, CorruptionConfig, know
from diffrec_cli.config.options import ReadOptions, SplitOptions

__all__ = [
    "GAUSSIAN",
    "MAX_STEPS",
    "RECENT",
    "Comparator",
    "CorruptionConfig",
    "DenoiserConfig",
    "DiffusionConfig",
    "FitConfig",
    "GraphSum",
    "LatentConfig",
    "OrderedGraphSum",
    "ReadOptions",
    "SplitOptions",
    "TemporalConfig",
    "TrainingConfig",
    "know",
]
