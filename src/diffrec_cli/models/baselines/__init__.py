"""Simple models to measure against: they fit in seconds and are hard to beat.

Each is a function from settings and histories to arrays, and a scorer that reads them.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from diffrec_cli.catalogue import closed_form, model_of
from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Rows


def fitting_memory(config: FitConfig, n_items: int) -> int:
    """Return the bytes that fitting takes besides the log."""
    row = model_of(config)
    return 0 if row is None or row.memory is None else int(row.memory(n_items))


def fit_closed_form(config: FitConfig, train: Rows, n_items: int) -> dict[str, NDArray[Any]]:
    """Return the arrays of a model that has no epochs.

    Parameters
    ----------
    config
        Its settings.
    train
        Every user's interactions, all of weight 1. Weights by recency are for ranking alone:
        relations between items learnt from weighted histories rank worse for nearly every model
        and log (``examples/reproduce/README.md``).
    n_items
        |I|.

    Raises
    ------
    DeviceError
        The memory does not suffice (EASE, SLIM).
    MissingExtraError
        The model is of a package that is not installed (iALS).
    """
    fit = closed_form(config).fit
    if fit is None:
        raise ValueError(f"{config.variant} has a row without a function that fits it")
    arrays: dict[str, NDArray[Any]] = fit(config.comparator, train, n_items)
    return arrays
