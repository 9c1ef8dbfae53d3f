"""How good a ranking of held-out interactions is, in one number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Tells a search to stop with what it has.
Late = Callable[[], bool]

K = 20
_SMALLEST_CHUNK, _LARGEST_CHUNK = 4, 64
_FEW = 4
_BLOCK_ENTRIES = 2**20  # of scores that are compared at once: they stay in the cache
_DISCOUNT = 1 / np.log2(np.arange(2, K + 2))
_IDEAL = np.cumsum(_DISCOUNT)


def never() -> bool:
    """Never be late."""
    return False


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
    return float(qualities(hits, relevant).mean())


def qualities(hits: NDArray[np.bool_], relevant: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean of Recall@20 and NDCG@20 of each user, (users,); see :func:`quality`."""
    recall = hits.sum(axis=1) / relevant
    ndcg = (hits * _DISCOUNT[: hits.shape[1]]).sum(axis=1) / _IDEAL[np.minimum(relevant, K) - 1]
    found: NDArray[np.float64] = (recall + ndcg) / 2
    return found


def places(
    scores: NDArray[np.float32], rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the place, from 0, of some entries among the scores of their rows, (n,).

    Of equal scores the first column is the first.
    """
    block = max(1, _BLOCK_ENTRIES // scores.shape[1])
    found = [
        _places(scores, rows[i : i + block], columns[i : i + block])
        for i in range(0, len(rows), block)
    ]
    return np.concatenate([np.zeros(0, np.int64), *found])


def _places(
    scores: NDArray[np.float32], rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[np.int64]:
    of_row, own = scores[rows], scores[rows, columns, None]
    above: NDArray[np.int64] = np.count_nonzero(of_row > own, axis=1)
    equal = np.flatnonzero(np.count_nonzero(of_row >= own, axis=1) > above + 1)
    first = np.arange(scores.shape[1]) < columns[equal, None]
    above[equal] += np.count_nonzero((of_row[equal] == own[equal]) & first, axis=1)
    return above


def quality_of_places(
    users: NDArray[np.int64], found: NDArray[np.int64], relevant: NDArray[np.int64]
) -> float:
    """Return :func:`quality` by the places of held-out items.

    Parameters
    ----------
    users, found
        (n,) the user of each held-out item, and its place in their list, from 0.
    relevant
        (users,) number of relevant items of each, 1 or more.

    Examples
    --------
    >>> quality_of_places(np.array([0]), np.array([0]), np.array([1]))
    1.0
    """
    listed = found < K
    users, found = users[listed], found[listed]
    recall = np.bincount(users, minlength=len(relevant)) / relevant
    gain = np.bincount(users, _DISCOUNT[found], minlength=len(relevant))
    return float((recall + gain / _IDEAL[np.minimum(relevant, K) - 1]).mean() / 2)


def is_in(matrix: Any, rows: NDArray[np.int64], columns: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Tell for (B, n) columns whether a CSR matrix has an entry there, in (B,) rows."""
    width = matrix.shape[1]
    some = matrix[rows]
    entries = np.repeat(np.arange(len(rows)), np.diff(some.indptr)) * width + some.indices
    asked = np.arange(len(rows))[:, None] * width + columns
    return np.isin(asked, entries)


def top(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Return the columns of the k largest scores of each row, best first.

    Rows are cut into chunks: what is at least the k-th largest maximum of a chunk holds the k
    largest. Selection in whole rows takes ten times as long where most scores are 0. Of equal
    scores at the end of the k, those of the first columns are returned.
    """
    n = scores.shape[1]
    k = min(k, n)
    size = min(_LARGEST_CHUNK, n // (4 * k))
    if size < _SMALLEST_CHUNK:
        return _top(scores, k)
    chunks = n // size
    maxima = scores[:, : chunks * size].reshape(len(scores), chunks, size).max(axis=2)
    least = np.partition(maxima, chunks - k, axis=1)[:, chunks - k, None]
    large = scores >= least
    many = np.flatnonzero(large.sum(axis=1) > _FEW * k)  # most of them equal to the least
    large[many] = _first_at_least(scores[many], least[many], k)
    rows, columns = np.nonzero(large)
    order = np.lexsort((columns, -scores[rows, columns], rows))
    first = np.searchsorted(rows, np.arange(len(scores)))
    found: NDArray[np.int64] = columns[order][first[:, None] + np.arange(k)]
    return found


def _first_at_least(
    scores: NDArray[np.float32], least: NDArray[np.float32], k: int
) -> NDArray[np.bool_]:
    """Mark what is above `least`, (B, 1), and as many of the first that equal it as k needs."""
    above, equal = scores > least, scores == least
    missing = k - above.sum(axis=1, keepdims=True)
    first: NDArray[np.bool_] = np.cumsum(equal, axis=1, dtype=np.int32) <= missing
    marked: NDArray[np.bool_] = above | (equal & first)
    return marked


def _top(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    n = scores.shape[1]
    place = np.sort(np.argpartition(scores, n - k, axis=1)[:, n - k :], axis=1)
    order = np.argsort(-np.take_along_axis(scores, place, axis=1), axis=1, kind="stable")
    return np.take_along_axis(place, order, axis=1)


def hide(scores: NDArray[np.float32], seen: Any) -> None:
    """Set the scores, (B, items), at the entries of a CSR matrix to -inf, in place."""
    scores[np.repeat(np.arange(seen.shape[0]), np.diff(seen.indptr)), seen.indices] = -np.inf
