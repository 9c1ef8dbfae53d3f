"""How good a ranking of held-out interactions is, in one number."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

K = 20
_CHUNK = 64
_FEW = 4
_DISCOUNT = 1 / np.log2(np.arange(2, K + 2))
_IDEAL = np.cumsum(_DISCOUNT)


def quality(hits: NDArray[np.bool_], relevant: NDArray[np.int64]) -> float:
    """Return the mean of Recall@20 and NDCG@20, over users.

    Parameters
    ----------
    hits
        (users, up to 20) whether the item in each place is relevant, best place first.
    relevant
        (users,) number of relevant items of each, 1 or more.

    Examples
    --------
    >>> quality(np.array([[True] + [False] * 19]), np.array([1]))
    1.0
    """
    recall = hits.sum(axis=1) / relevant
    ndcg = (hits * _DISCOUNT[: hits.shape[1]]).sum(axis=1) / _IDEAL[np.minimum(relevant, K) - 1]
    return float((recall + ndcg).mean() / 2)


def is_in(matrix: Any, rows: NDArray[np.int64], columns: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Tell for (B, n) columns whether a CSR matrix has an entry there, in (B,) rows."""
    width = matrix.shape[1]
    some = matrix[rows]
    entries = np.repeat(np.arange(len(rows)), np.diff(some.indptr)) * width + some.indices
    asked = np.arange(len(rows))[:, None] * width + columns
    return np.isin(asked, entries)


def top(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Return the columns of the k largest scores of each row, best first.

    Long rows are cut into chunks: what is at least the k-th largest maximum of a chunk holds the k
    largest. Selection in whole rows takes five times as long where most scores are 0.
    """
    n = scores.shape[1]
    k, chunks = min(k, n), n // _CHUNK
    if chunks < 2 * k:
        return _top(scores, k)
    maxima = scores[:, : chunks * _CHUNK].reshape(len(scores), chunks, _CHUNK).max(axis=2)
    least = np.partition(maxima, chunks - k, axis=1)[:, chunks - k]
    large = scores >= least[:, None]
    many = large.sum(axis=1) > _FEW * k  # rows with fewer than k scores above 0
    large[many] = False
    rows, columns = np.nonzero(large)
    order = np.lexsort((columns, -scores[rows, columns], rows))
    first = np.searchsorted(rows, np.flatnonzero(~many))
    found = np.empty((len(scores), k), np.int64)
    found[~many] = columns[order][first[:, None] + np.arange(k)]
    if many.any():
        found[many] = _top(scores[many], k)
    return found


def _top(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    n = scores.shape[1]
    place = np.sort(np.argpartition(scores, n - k, axis=1)[:, n - k :], axis=1)
    order = np.argsort(-np.take_along_axis(scores, place, axis=1), axis=1, kind="stable")
    return np.take_along_axis(place, order, axis=1)


def hide(scores: NDArray[np.float32], seen: Any) -> None:
    """Set the scores, (B, items), at the entries of a CSR matrix to -inf, in place."""
    scores[np.repeat(np.arange(seen.shape[0]), np.diff(seen.indptr)), seen.indices] = -np.inf
