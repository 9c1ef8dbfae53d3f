"""The catalogue of models: one row each, with its name, settings, search space and code.

Nothing else in the package lists models. To add a model other than DiffRec, write its code in
``models/``, and its settings and row in ``comparators.py`` or ``simple_models.py``. A corruption
goes into ``diffusion/``, its denoiser into ``models/``, its row into ``corruptions.py`` or a file
of its own, as masking's. :func:`register` adds a row from outside the package.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffrec_cli.catalogue import (  # their rows register
    comparators,
    corruptions,
    graphs,
    masking,
    simple_models,
)
from diffrec_cli.catalogue.choice import AUTO, Candidate, candidates
from diffrec_cli.catalogue.presets import (
    PRESETS,
    auto,
    check_own_name,
    own_preset,
    preset,
    write_own,
)
from diffrec_cli.catalogue.registered import (
    CORRUPTIONS,
    MODELS,
    Row,
    all_rows,
    closed_form,
    corruption_row,
    model_row,
    reads_order,
    register,
)
from diffrec_cli.catalogue.rows import Code, Corruption, Model, Space
from diffrec_cli.catalogue.search import draws, space
from diffrec_cli.catalogue.variant import VARIANTS, Variant, as_file_name, closed_forms, names
from diffrec_cli.config import FitConfig

__all__ = [
    "AUTO",
    "CORRUPTIONS",
    "MODELS",
    "PRESETS",
    "VARIANTS",
    "Candidate",
    "Code",
    "Corruption",
    "Model",
    "Row",
    "Space",
    "Variant",
    "all_rows",
    "as_file_name",
    "auto",
    "candidates",
    "check_own_name",
    "closed_form",
    "closed_forms",
    "comparators",
    "corruption_row",
    "corruptions",
    "draws",
    "graphs",
    "masking",
    "model_row",
    "names",
    "own_preset",
    "preset",
    "read_config",
    "reads_order",
    "register",
    "simple_models",
    "space",
    "write_own",
]


def read_config(values: Mapping[str, Any]) -> FitConfig:
    """Return the stored settings of any model.

    Raises
    ------
    ConfigError
        The model or a setting is unknown.
    """
    return FitConfig.from_dict(values)
