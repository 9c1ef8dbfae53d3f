"""Models to measure against: they fit in seconds and are hard to beat.

A scorer, here and for every model of the project, has ``n_items`` and
``scores(rows)``; masking what a user has seen is the ranking's work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.data.sequences import Rows, Sequences
from diffrec_cli.errors import UsageError
from diffrec_cli.models.baselines.ease import EASE
from diffrec_cli.models.baselines.itemknn import ItemKNN
from diffrec_cli.models.baselines.popularity import Popularity


class Baseline(Protocol):
    """A fitted baseline."""

    name: str
    """Name in reports."""
    n_items: int
    """Number of items."""

    def scores(self, rows: Rows) -> NDArray[np.float32]:
        """Return (B, n_items) float32 scores of all items, seen ones included."""


#: What ``--baselines`` accepts.
BASELINES: dict[str, Callable[[Sequences, int], Baseline]] = {
    "pop": Popularity,
    "popularity": Popularity,
    "itemknn": ItemKNN,
    "ease": EASE,
}


def fit_baseline(name: str, train: Sequences, n_items: int) -> Baseline:
    """Fit a baseline with its defaults.

    Parameters
    ----------
    name
        A key of :data:`BASELINES`.
    train
        Items of every user.
    n_items
        Number of items.

    Raises
    ------
    UsageError
        No baseline has that name.
    DeviceError
        The memory does not suffice (EASE).
    """
    if name not in BASELINES:
        raise UsageError(f"no baseline {name!r}", f"use some of: {', '.join(BASELINES)}")
    return BASELINES[name](train, n_items)
