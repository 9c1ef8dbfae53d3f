"""The neighbourhood ridge: every item from the few that tell most about it.

For item j with neighbours N it solves ``(G_NN + lambda I) b = G_Nj``, G being the Gram matrix of
the histories; b is column j of the result, and nothing is on the diagonal. N are the items that
alone would explain most of j, by ``G_ij^2 / (G_ii + lambda)``. With all items as
neighbours this is nearly EASE (Steck, WWW 2019); with few it is fsSLIM (Ning and Karypis, ICDM
2011) with an L2 penalty alone. It needs no items x items matrix and no inverse of one.

Several processes may share the work: items are dealt to them, item j to ``j mod n`` of n, first for
the rows of G and then, when each can read all rows, for the columns of B.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.graph.degrees import degrees, power, scaled
from diffrec_cli.launch import cores

_DENSE_BYTES = 2**29  # of Gram rows that most neighbourhoods have, kept dense
_BLOCK = 256  # items solved together
#: A place among n, and n: of items that are dealt, its own are those of ``j mod n``.
Share = tuple[int, int]
WHOLE: Share = (0, 1)


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
    gram = Gram([gram_rows(scaled(x, power(users, user_exponent / 2), columns))])
    weights = joined_columns([ridge_columns(gram, neighbours, lambda_)])
    return scaled(weights, columns, power(items, -item_exponent)) if item_exponent else weights


def ridge_memory(lengths: NDArray[np.int64], n_items: int, neighbours: int, shares: int = 1) -> int:
    """Return a bound of the bytes that :func:`neighbourhood_ridge` takes.

    Parameters
    ----------
    lengths
        Number of interactions of each user.
    n_items, neighbours
        Sizes.
    shares
        Number of processes that share the work.
    """
    entries = min(int((lengths**2).sum()), n_items**2)  # of the Gram matrix
    return _DENSE_BYTES + 12 * entries // shares + 24 * n_items * neighbours


class Gram:
    """The Gram matrix ``x^T x`` by rows.

    Parameters
    ----------
    blocks
        What :func:`gram_rows` returns for each share.
    """

    def __init__(self, blocks: Sequence[Any]) -> None:
        self.blocks = blocks
        self.n_items = int(blocks[0].shape[1])

    def row(self, j: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return the items of row j, ascending, and their entries."""
        shares = len(self.blocks)
        block, place = self.blocks[j % shares], j // shares
        entries = slice(block.indptr[place], block.indptr[place + 1])
        return block.indices[entries], block.data[entries]

    def lengths(self) -> NDArray[np.int64]:
        """Return the number of entries of each row."""
        found = np.empty(self.n_items, np.int64)
        for place, block in enumerate(self.blocks):
            found[place :: len(self.blocks)] = np.diff(block.indptr)
        return found

    def diagonal(self) -> NDArray[np.float32]:
        """Return the diagonal, (items,)."""
        found = np.zeros(self.n_items, np.float32)
        for j in range(self.n_items):
            items, values = self.row(j)
            place = np.searchsorted(items, j)
            if place < len(items) and items[place] == j:
                found[j] = values[place]
        return found


def gram_rows(x: Any, share: Share = WHOLE) -> Any:
    """Return the rows of ``x^T x`` of a share of the items: CSR float32, its columns sorted."""
    x = x.astype(np.float32)
    place, of = share
    rows = x.T.tocsr()[place::of] @ x
    rows.sort_indices()
    return rows


def mean_diagonal(x: Any) -> float:
    """Return the mean of the diagonal of ``x^T x``, over the items that have users."""
    diagonal = np.bincount(x.indices, x.data.astype(np.float64) ** 2)
    return float(diagonal[diagonal > 0].mean()) if diagonal.any() else 1.0


def ridge_columns(gram: Gram, neighbours: int, lambda_: float, share: Share = WHOLE) -> Any:
    """Return the columns of B of a share of the items, (items, some) CSC float32.

    Parameters
    ----------
    gram
        The whole Gram matrix.
    neighbours, lambda_
        As for :func:`neighbourhood_ridge`.
    share
        Which of the items.
    """
    from scipy.sparse import csc_matrix

    nearest = _nearest(gram, neighbours, lambda_, share)
    rows_of = _Rows(gram, nearest)

    def solve(start: int) -> list[tuple[NDArray[np.int32], NDArray[np.float32]]]:
        return [_solution(rows_of, near, lambda_) for near in nearest[start : start + _BLOCK]]

    with ThreadPoolExecutor(cores()) as pool:
        columns = [c for block in pool.map(solve, range(0, len(nearest), _BLOCK)) for c in block]
    lengths = [len(rows) for rows, _ in columns]
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    rows = np.concatenate([np.zeros(0, np.int32), *(rows for rows, _ in columns)])
    values = np.concatenate([np.zeros(0, np.float32), *(values for _, values in columns)])
    return csc_matrix((values, rows, indptr), (gram.n_items, len(columns)))


def joined_columns(shares: Sequence[Any]) -> Any:
    """Return B, (items, items) CSR, of the columns of all shares."""
    from scipy.sparse import hstack

    together = hstack(shares, format="csc")
    dealt = [np.arange(place, together.shape[1], len(shares)) for place in range(len(shares))]
    return together[:, np.argsort(np.concatenate(dealt))].tocsr()


def _nearest(
    gram: Gram, neighbours: int, lambda_: float, share: Share
) -> list[tuple[NDArray[np.int32], NDArray[np.float32]]]:
    """Return the neighbours of each item of a share, ascending, and their entries of its row."""
    worth = ((gram.diagonal() + lambda_) ** -0.5).astype(np.float32)
    place, of = share
    return [_largest(*gram.row(j), j, neighbours, worth) for j in range(place, gram.n_items, of)]


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

    def __init__(self, gram: Gram, nearest: list[tuple[NDArray[np.int32], Any]]) -> None:
        n_items = gram.n_items
        self.gram = gram
        near = np.concatenate([np.zeros(0, np.int32), *(items for items, _ in nearest)])
        uses = np.bincount(near, minlength=n_items)
        worth = np.argsort(-uses * gram.lengths(), kind="stable")
        kept = worth[: max(1, _DENSE_BYTES // (4 * n_items))]
        self.place = np.full(n_items, -1, np.int64)
        self.place[kept] = np.arange(len(kept))
        self.dense = np.zeros((len(kept), n_items), np.float32)
        for row, j in zip(self.dense, kept, strict=True):
            items, values = gram.row(j)
            row[items] = values

    def square(self, items: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return G[items, items]."""
        n = len(items)
        result = np.zeros((n, n), np.float32)
        place = self.place[items]
        quick = np.flatnonzero(place >= 0)
        result[quick] = self.dense[place[quick][:, None], items[None, :]]
        for k in np.flatnonzero(place < 0):
            columns, values = self.gram.row(items[k])
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
