"""The neighbourhood ridge: every item from the few that tell most about it.

For item j with neighbours N it solves ``(G_NN + lambda I) b = G_Nj``, G being the Gram matrix of
the histories; b is column j of the result, and nothing is on the diagonal. N are the items that
alone would explain most of j, by ``G_ij^2 / (G_ii + lambda)``. With all items as
neighbours this is nearly EASE (Steck, WWW 2019); with few it is fsSLIM (Ning and Karypis, ICDM
2011) with an L2 penalty alone. It needs no items x items matrix and no inverse of one.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.graph.degrees import degrees, power, scaled

_DENSE_BYTES = 2**29  # of Gram rows that most neighbourhoods have, kept dense
_BLOCK = 256  # items solved together


def neighbourhood_ridge(
    x: Any,
    neighbours: int,
    lambda_: float,
    user_exponent: float = 0.0,
    item_exponent: float = 0.0,
) -> Any:
    """Return B, (items, items) CSR float32, of which ``x B`` scores histories x.

    Parameters
    ----------
    x
        (users, items) CSR matrix of the training histories.
    neighbours
        Number of items that may predict an item.
    lambda_
        Weight of the penalty.
    user_exponent, item_exponent
        Users are weighted by their degree to this power, and an item's column by its own.
    """
    users, items = degrees(x)
    columns = power(items, item_exponent)
    gram = gram_matrix(scaled(x, power(users, user_exponent / 2), columns))
    weights = _solved(gram, neighbours, lambda_)
    return scaled(weights, columns, power(items, -item_exponent)) if item_exponent else weights


def ridge_memory(lengths: NDArray[np.int64], n_items: int, neighbours: int) -> int:
    """Return a bound of the bytes that :func:`neighbourhood_ridge` takes.

    Parameters
    ----------
    lengths
        Number of interactions of each user.
    n_items, neighbours
        Sizes.
    """
    entries = min(int((lengths**2).sum()), n_items**2)  # of the Gram matrix
    return _DENSE_BYTES + 12 * entries + 24 * n_items * neighbours


def gram_matrix(x: Any) -> Any:
    """Return ``x^T x`` as a CSR matrix in float32, its columns sorted."""
    x = x.astype(np.float32)
    gram = (x.T @ x).T  # it is symmetric, and CSR that way without a copy
    gram.sort_indices()
    return gram


def mean_diagonal(x: Any) -> float:
    """Return the mean of the diagonal of ``x^T x``, over the items that have users."""
    diagonal = np.bincount(x.indices, x.data.astype(np.float64) ** 2)
    return float(diagonal[diagonal > 0].mean()) if diagonal.any() else 1.0


def _solved(gram: Any, neighbours: int, lambda_: float) -> Any:
    """Return the solutions of all neighbourhoods, one a column."""
    from scipy.sparse import csc_matrix

    n_items = gram.shape[0]
    nearest = _nearest(gram, neighbours, lambda_)
    rows_of = _Rows(gram, nearest)

    def solve(start: int) -> list[tuple[NDArray[np.int32], NDArray[np.float32]]]:
        return [
            _solution(rows_of, nearest[j], lambda_)
            for j in range(start, min(start + _BLOCK, n_items))
        ]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        columns = [c for block in pool.map(solve, range(0, n_items, _BLOCK)) for c in block]
    lengths = [len(rows) for rows, _ in columns]
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    rows = np.concatenate([rows for rows, _ in columns])
    values = np.concatenate([values for _, values in columns])
    return csc_matrix((values, rows, indptr), gram.shape).tocsr()


def _nearest(
    gram: Any, neighbours: int, lambda_: float
) -> list[tuple[NDArray[np.int32], NDArray[np.float32]]]:
    """Return each item's neighbours, ascending, and their entries of the Gram matrix."""
    worth = ((gram.diagonal() + lambda_) ** -0.5).astype(np.float32)
    return [_largest(*_row(gram, j), j, neighbours, worth) for j in range(gram.shape[0])]


def _row(gram: Any, j: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    place = slice(gram.indptr[j], gram.indptr[j + 1])
    return gram.indices[place], gram.data[place]


def _largest(
    items: NDArray[np.int32],
    values: NDArray[np.float32],
    itself: int,
    n: int,
    worth: NDArray[np.float32],
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the `n` entries of largest value times worth of the item; equal ones by item."""
    others = items != itself
    items, values = items[others], values[others]
    if len(items) <= n:
        return items, values
    kept = np.sort(np.argsort(-values * worth[items], kind="stable")[:n])
    return items[kept], values[kept]


class _Rows:
    """Small square parts of a sparse Gram matrix.

    Rows that many neighbourhoods have are also kept dense, so that their parts are looked up.
    """

    def __init__(self, gram: Any, nearest: list[tuple[NDArray[np.int32], Any]]) -> None:
        n_items = gram.shape[0]
        self.gram = gram
        uses = np.bincount(np.concatenate([items for items, _ in nearest]), minlength=n_items)
        worth = np.argsort(-uses * np.diff(gram.indptr), kind="stable")
        kept = worth[: max(1, _DENSE_BYTES // (4 * n_items))]
        self.place = np.full(n_items, -1, np.int64)
        self.place[kept] = np.arange(len(kept))
        self.dense = gram[kept].toarray()

    def square(self, items: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return G[items, items]."""
        n = len(items)
        result = np.zeros((n, n), np.float32)
        place = self.place[items]
        quick = np.flatnonzero(place >= 0)
        result[quick] = self.dense[place[quick][:, None], items[None, :]]
        for k in np.flatnonzero(place < 0):
            columns, values = _row(self.gram, items[k])
            found = np.searchsorted(columns, items)
            found[found == len(columns)] = 0
            there = columns[found] == items
            result[k, there] = values[found[there]]
        return result


def _solution(
    rows_of: _Rows, neighbourhood: tuple[NDArray[np.int32], NDArray[np.float32]], lambda_: float
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return an item's neighbours and their weights."""
    from scipy.linalg.lapack import sposv

    items, right = neighbourhood
    if not len(items):
        return items, right
    square = rows_of.square(items)
    square[np.diag_indices(len(items))] += lambda_
    _, solution, failed = sposv(square, right, lower=1, overwrite_a=1)
    if failed:
        solution = np.linalg.solve(rows_of.square(items) + lambda_ * np.eye(len(items)), right)
    return items, solution.ravel().astype(np.float32)
