"""Everyone gets what most people liked."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.data.sequences import Rows, Sequences
from diffrec_cli.models.baselines._sparse import item_counts


class Popularity:
    """Items by their number of train interactions, the same for every user.

    Parameters
    ----------
    train
        Items of every user.
    n_items
        Number of items.

    Examples
    --------
    >>> train = Sequences.from_rows(np.array([0, 1, 1]), np.array([2, 2, 0]), users=2)
    >>> Popularity(train, n_items=3).counts.tolist()
    [1, 0, 2]
    """

    name = "popularity"

    def __init__(self, train: Sequences, n_items: int) -> None:
        self.n_items = n_items
        self.counts = item_counts(train, n_items)

    def scores(self, rows: Rows) -> NDArray[np.float32]:
        """Return (B, items) counts; the histories do not matter."""
        return np.tile(self.counts.astype(np.float32), (len(rows.indptr) - 1, 1))
