"""All settings as frozen dataclasses, checked once, stored whole with the model.

Field names are the keys of ``--set key=value`` and, where the paper has a
symbol, the paper's symbols.
"""

from __future__ import annotations

from diffrec_cli.config.comparators import COMPARATORS, Comparator
from diffrec_cli.config.fit import (
    RECENT,
    VARIANTS,
    FitConfig,
    closed_forms,
    comparator_class,
    full_name,
    variant_names,
)
from diffrec_cli.config.groups import (
    MAX_STEPS,
    DenoiserConfig,
    DiffusionConfig,
    LatentConfig,
    TemporalConfig,
    TrainingConfig,
)
from diffrec_cli.config.options import ReadOptions, SplitOptions

__all__ = [
    "COMPARATORS",
    "MAX_STEPS",
    "RECENT",
    "VARIANTS",
    "Comparator",
    "DenoiserConfig",
    "DiffusionConfig",
    "FitConfig",
    "LatentConfig",
    "ReadOptions",
    "SplitOptions",
    "TemporalConfig",
    "TrainingConfig",
    "closed_forms",
    "comparator_class",
    "full_name",
    "variant_names",
]
