"""Directed transitions: which item follows which, soon, in the histories of users."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.data.sequences import ages
from diffrec_cli.graph.degrees import power, scaled

#: Powers of the degrees of the item before and of the item after.
BEFORE, AFTER = 0.5, 0.3


def transitions(
    indptr: NDArray[np.int64], items: NDArray[np.int32], n_items: int, places: int
) -> Any:
    """Return T, (items, items) CSR float32, of which ``x T`` scores what follows a history x.

    ``T_ij = d_i^(-1/2) d_j^(-.3) sum 1 / gap`` over all users and all j that follow i after a gap
    of at most `places`.

    Parameters
    ----------
    indptr, items
        Users' histories, oldest first: user u has ``items[indptr[u]:indptr[u + 1]]``.
    n_items
        Number of items.
    places
        Largest gap; 1 is the next item alone.
    """
    from scipy.sparse import coo_matrix

    user = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    pairs = []
    for gap in range(1, places + 1):
        together = user[gap:] == user[:-gap]
        before, after = items[:-gap][together], items[gap:][together]
        pairs.append((np.full(len(before), 1 / gap, np.float32), before, after))
    values, before, after = (np.concatenate(part) for part in zip(*pairs, strict=True))
    counted = coo_matrix((values, (before, after)), (n_items, n_items)).tocsr()
    degree = np.bincount(items, minlength=n_items).astype(np.float64)
    return scaled(counted, power(degree, -BEFORE), power(degree, -AFTER))


def faded(indptr: NDArray[np.int64], half_life: float | None) -> NDArray[np.float32]:
    """Return each interaction's weight ``2^(-age / half_life)``; ``None``: 1.

    Examples
    --------
    >>> faded(np.array([0, 3]), half_life=1.0).tolist()
    [0.25, 0.5, 1.0]
    """
    if half_life is None:
        return np.ones(int(indptr[-1]), np.float32)
    return np.exp2(-ages(indptr) / half_life).astype(np.float32)
