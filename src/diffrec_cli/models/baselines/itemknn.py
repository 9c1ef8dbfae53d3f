"""Items like those of the history, by the cosine of their columns.

Source: Sarwar et al., Item-based collaborative filtering recommendation algorithms, WWW 2001,
with neighbours picked for the item that is scored.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.data.sequences import Rows, Sequences
from diffrec_cli.errors import UsageError
from diffrec_cli.models.baselines._sparse import history, item_counts, matrix

_BLOCK_CELLS = 2**23  # cells of a block of similarities, at 12 bytes if none is zero


class ItemKNN:
    """Score of an item: the sum of its cosines with the items of the history.

    Only the nearest neighbours of the scored item count, and an item is none of its own. (The
    other choice, the neighbours of each history item, ranks worse: valid Recall@20 .0996 against
    .1100 on ML-1M clean.)

    Parameters
    ----------
    train
        Items of every user.
    n_items
        Number of items.
    neighbours
        Nearest neighbours that an item keeps; of equally near ones those of lower index.

    Attributes
    ----------
    similarities
        (items, items) float32 CSR; column j holds the neighbours of item j.

    Raises
    ------
    UsageError
        `neighbours` is below 1.
    """

    name = "itemknn"

    def __init__(self, train: Sequences, n_items: int, *, neighbours: int = 100) -> None:
        if neighbours < 1:
            raise UsageError(f"neighbours = {neighbours} is out of range", "keep 1 or more")
        self.n_items = n_items
        self.similarities = _nearest(train, n_items, neighbours)

    def scores(self, rows: Rows) -> NDArray[np.float32]:
        """Return (B, items) summed similarities to each history, weighted by its values."""
        result: NDArray[np.float32] = (history(rows, self.n_items) @ self.similarities).toarray()
        return result


def _nearest(train: Sequences, n_items: int, neighbours: int) -> Any:
    """Return the neighbours of every item as columns, found block after block of items."""
    from scipy.sparse import vstack

    x = matrix(train, n_items)  # (users, items)
    by_item = x.T.tocsr()
    norms = np.sqrt(np.maximum(item_counts(train, n_items), 1))
    size = max(1, _BLOCK_CELLS // n_items)
    blocks = [
        _block(by_item[start : start + size] @ x, start, norms, neighbours)
        for start in range(0, n_items, size)
    ]
    return vstack(blocks).T.tocsr()


def _block(counts: Any, start: int, norms: NDArray[np.float64], neighbours: int) -> Any:
    """Turn (block, items) co-occurrence counts into the cosines of the nearest neighbours."""
    from scipy.sparse import csr_matrix

    counts.sort_indices()  # `_largest` breaks ties by position
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    # Counts are exact, so equal cosines are equal bit by bit and ties are ties.
    cosines = counts.data / (norms[rows + start] * norms[counts.indices])
    cosines[rows + start == counts.indices] = 0.0  # an item is no neighbour of itself
    kept = np.concatenate(
        [
            first + _largest(cosines[first:last], neighbours)
            for first, last in zip(counts.indptr[:-1], counts.indptr[1:], strict=True)
        ]
    )
    cells = (rows[kept], counts.indices[kept])
    return csr_matrix((cosines[kept].astype(np.float32), cells), counts.shape)


def _largest(values: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    """Return the positions of the `n` largest values above 0, the earlier of equal ones."""
    bound = np.partition(values, -n)[-n] if len(values) > n else 0.0
    above = np.flatnonzero(values > bound)
    if bound == 0.0:
        return above
    return np.concatenate([above, np.flatnonzero(values == bound)[: n - len(above)]])
