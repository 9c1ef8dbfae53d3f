"""All settings as frozen dataclasses, checked once, stored whole with the model.

Field names are the keys of ``--set key=value`` and, where the paper has a
symbol, the paper's symbols.
"""

from __future__ import annotations

from diffrec_cli.config.comparators import COMPARATORS, Comparator
from diffrec_cli.config.diffrec import (
    MAX_STEPS,
    DenoiserConfig,
    DiffusionConfig,
    LatentConfig,
    SmoothingConfig,
    TemporalConfig,
    TrainingConfig,
)
from diffrec_cli.config.fit import (
    CORRUPTIONS,
    RECENT,
    SMOOTHING,
    VARIANTS,
    FitConfig,
    as_file_name,
    closed_forms,
    comparator_class,
    corrupted,
    full_name,
    is_diffrec,
    variant_names,
)
from diffrec_cli.config.options import ReadOptions, SplitOptions

__all__ = [
    "COMPARATORS",
    "CORRUPTIONS",
    "MAX_STEPS",
    "RECENT",
    "SMOOTHING",
    "VARIANTS",
    "Comparator",
    "DenoiserConfig",
    "DiffusionConfig",
    "FitConfig",
    "LatentConfig",
    "ReadOptions",
    "SmoothingConfig",
    "SplitOptions",
    "TemporalConfig",
    "TrainingConfig",
    "as_file_name",
    "closed_forms",
    "comparator_class",
    "corrupted",
    "full_name",
    "is_diffrec",
    "variant_names",
]
