"""Simple models to measure against: they fit in seconds and are hard to beat.

Each is a function from settings and histories to arrays, and a scorer that reads them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Rows
from diffrec_cli.models.baselines import ease, slim
from diffrec_cli.models.baselines.ials import fit_ials
from diffrec_cli.models.baselines.itemknn import fit_itemknn
from diffrec_cli.models.baselines.popularity import fit_popularity
from diffrec_cli.models.baselines.rp3beta import fit_rp3beta
from diffrec_cli.models.baselines.userknn import fit_userknn

_FITS: dict[str, Callable[[Any, Rows, int], dict[str, NDArray[Any]]]] = {
    "popularity": fit_popularity,
    "itemknn": fit_itemknn,
    "userknn": fit_userknn,
    "ease": ease.fit_ease,
    "rp3beta": fit_rp3beta,
    "slim": slim.fit_slim,
    "ials": fit_ials,
}


#: Bytes that fitting takes, of the models whose memory grows with the square of the items.
_MEMORY = {"ease": ease.memory, "slim": slim.memory}


def fitting_memory(config: FitConfig, n_items: int) -> int:
    """Return the bytes that fitting takes besides the log."""
    known = _MEMORY.get(config.comparator.model if config.comparator else "")
    return 0 if known is None else known(n_items)


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
    comparator = config.comparator
    if comparator is None or comparator.model not in _FITS:
        raise ValueError(f"{config.variant} has epochs")
    return _FITS[comparator.model](comparator, train, n_items)
