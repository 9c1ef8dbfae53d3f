"""Simple models that fit without epochs, as baselines.

Each has a function from settings and histories to arrays, and a scorer that reads these.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from diffrec_cli.catalogue import closed_form, model_row
from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Rows


def fitting_memory(config: FitConfig, n_items: int) -> int:
    """Return the bytes that fitting takes besides the log."""
    row = model_row(config)
    return 0 if row is None or row.memory is None else int(row.memory(n_items))


def fit_closed_form(config: FitConfig, train: Rows, n_items: int) -> dict[str, NDArray[Any]]:
    """Return the arrays of a model that has no epochs.

    Parameters
    ----------
    config
        Its settings.
    train
        Every user's interactions, all of weight 1. Only ranking weights them by recency: fitting
        on weighted histories ranks worse on nearly every log (``examples/reproduce/README.md``).
    n_items
        |I|.

    Raises
    ------
    DeviceError
        There is not enough memory (EASE, SLIM).
    MissingExtraError
        The model needs a package that is not installed (iALS).
    """
    fit = closed_form(config).fit
    if fit is None:
        raise ValueError(f"{config.variant} has a row without a function that fits it")
    arrays: dict[str, NDArray[Any]] = fit(config.comparator, train, n_items)
    return arrays
