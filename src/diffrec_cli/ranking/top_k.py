"""Top-K lists of a batch of users: from all scores, block by block, or from candidates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.data.sequences import Sequences
from diffrec_cli.models.backend import Array, Backend
from diffrec_cli.models.output import Output

#: (B, k) item indices, best first, -1 in empty places; and their scores, -inf there.
Lists = tuple[NDArray[np.int64], NDArray[np.float32]]

_MORE_CANDIDATES = 12  # in addition to two for each place of the list


@dataclass(frozen=True, slots=True)
class Mask:
    """Items that may not be recommended.

    Parameters
    ----------
    rows, items
        (n,) pairs of a row and an item that it may not get.
    excluded
        (m,) items that no row may get.
    """

    rows: NDArray[np.int64]
    items: NDArray[np.int64]
    excluded: NDArray[np.int64]

    @staticmethod
    def of(seen: Sequences | None, excluded: NDArray[np.bool_] | None) -> Mask:
        """Return the mask of the items seen in each row, and of excluded items, (|I|,)."""
        nothing = np.empty(0, np.int64)
        return Mask(
            nothing if seen is None else seen.row_index,
            nothing if seen is None else seen.items.astype(np.int64),
            nothing if excluded is None else np.flatnonzero(excluded),
        )

    def of_rows(self, rows: NDArray[np.int64]) -> Mask:
        """Return the mask of some rows in ascending order; the first of them becomes row 0."""
        place = np.searchsorted(rows, self.rows)
        mine = place < len(rows)
        mine[mine] = rows[place[mine]] == self.rows[mine]
        return Mask(place[mine], self.items[mine], self.excluded)

    def columns(self, output: Output) -> Mask:
        """Return the mask with columns of an output layer instead of items."""
        return Mask(self.rows, output.columns_of(self.items), output.columns_of(self.excluded))

    def between(self, start: int, stop: int) -> Mask:
        """Return the mask of these columns; the first of them becomes column 0."""
        inside = (self.items >= start) & (self.items < stop)
        excluded = self.excluded[(self.excluded >= start) & (self.excluded < stop)]
        return Mask(self.rows[inside], self.items[inside] - start, excluded - start)

    def apply(self, scores: Array, backend: Backend) -> None:
        """Set the masked scores to minus infinity, in place."""
        # Made where the scores are: a GPU's host would copy a number there, and wait.
        barred = backend.scratch(1, scores)
        barred[:] = -np.inf
        scores[backend.asarray(self.rows), backend.asarray(self.items)] = barred
        if len(self.excluded):
            scores[:, backend.asarray(self.excluded)] = barred


def from_scores(scores: Array, masked: Mask, k: int, backend: Backend) -> Lists:
    """Rank from the scores of all items."""
    masked.apply(scores, backend)
    return top_k(scores, k, backend)


def from_blocks(output: Output, h: Array, masked: Mask, k: int, width: int) -> Lists:
    """Rank from hidden vectors (B, H), `width` items at a time."""
    lists = []
    for start, scores in _masked_blocks(output, h, masked, width):
        columns, values = top_k(scores, k, output.backend)
        items = output.items_of(columns + start)
        lists.append((np.where(columns < 0, -1, items), values))
    return lists[0] if len(lists) == 1 else merged(lists, k)


def _masked_blocks(
    output: Output, h: Array, masked: Mask, width: int
) -> Iterator[tuple[int, Array]]:
    """Yield the first column of each block and its scores, (B, <= width), in reused memory."""
    backend = output.backend
    masked = masked.columns(output)
    scratch = backend.scratch(len(h) * min(width, output.n_items), h)
    for block in output.blocks(width):
        size = block.stop - block.start
        scores = output.scores(h, block, scratch[: len(h) * size].reshape(len(h), size))
        masked.between(block.start, block.stop).apply(scores, backend)
        yield block.start, scores


def from_candidates(
    output: Output, narrow: Output, h: Array, masked: Mask, k: int, width: int
) -> Lists:
    """Rank hidden vectors (B, H) by candidates, found in bfloat16 and then scored exactly.

    The approximate score of any other item is at most the lowest of a candidate. If this is below
    the k-th exact score by more than twice the largest error of a candidate, no other item can be
    in the list. Users for whom this does not hold are ranked in full precision.
    """
    backend = output.backend
    count = min(2 * k + _MORE_CANDIDATES, output.n_items)
    columns, rough = _candidates(narrow, h, masked, count, width)
    exact = backend.host(output.scores_at(h, columns))
    columns, rough = backend.host(columns), backend.host(rough)
    allowed = np.isfinite(rough)
    error = np.abs(exact - np.where(allowed, rough, exact)).max(axis=1)
    exact = np.where(allowed, exact, -np.inf)
    items, values = _ordered(output.items_of(columns), exact, k)
    enough = values[:, k - 1] > rough.min(axis=1) + 2 * error  # (B,)
    again = np.flatnonzero(~enough & allowed.all(axis=1) & (count < output.n_items))
    if len(again):
        rows = backend.asarray(again)
        items[again], values[again] = from_blocks(output, h[rows], masked.of_rows(again), k, width)
    return items, values


def _candidates(
    narrow: Output, h: Array, masked: Mask, count: int, width: int
) -> tuple[Array, Array]:
    """Return the columns of the `count` largest approximate scores, and these, (B, count)."""
    backend = narrow.backend
    columns, values = [], []
    for start, scores in _masked_blocks(narrow, backend.narrow(h), masked, width):
        best, place = backend.largest(scores, min(count, scores.shape[1]))
        columns.append(place + start)
        values.append(best)
    if len(columns) == 1:
        return columns[0], values[0]
    best, place = backend.largest(backend.xp.concatenate(values, 1), count)
    return backend.xp.take_along_dim(backend.xp.concatenate(columns, 1), place, 1), best


def merged(lists: Sequence[Lists], k: int) -> Lists:
    """Return the k best items of several lists of each user."""
    items = np.concatenate([items for items, _ in lists], axis=1)
    return _ordered(items, np.concatenate([values for _, values in lists], axis=1), k)


def _ordered(items: NDArray[np.int64], values: NDArray[np.float32], k: int) -> Lists:
    """Return the k best of each row, best first, ties by item index; -1 in empty places."""
    order = np.lexsort((items, -values), axis=1)[:, :k]
    items = np.take_along_axis(items, order, axis=1)
    values = np.take_along_axis(values, order, axis=1)
    items = np.where(np.isneginf(values), -1, items)
    if items.shape[1] == k:
        return items, values
    missing = ((0, 0), (0, k - items.shape[1]))  # a catalogue of fewer than k items
    return (
        np.pad(items, missing, constant_values=-1),
        np.pad(values, missing, constant_values=-np.inf),
    )


def top_k(scores: Array, k: int, backend: Backend) -> Lists:
    """Return the k best items of each row and their scores, best first, ties by item index.

    Partial sorts of libraries break ties in any order, so k + 1 scores are taken. If the last two
    are equal, the row is ranked again.

    Examples
    --------
    >>> from diffrec_cli.models.backend import NumpyBackend
    >>> top_k(np.float32([[1, 3, 3, 3, -np.inf]]), 2, NumpyBackend())[0].tolist()
    [[1, 2]]
    """
    taken = min(k + 1, scores.shape[1])
    values, items = map(backend.host, backend.largest(scores, taken))
    items, values = _ordered(items, values, taken)
    if taken > k:
        tied = (values[:, k - 1] == values[:, k]) & np.isfinite(values[:, k])
        for row in np.flatnonzero(tied):
            items[row, :k] = _break_ties(backend.host(scores[row]), items[row], values[row], k)
    return _ordered(items[:, :k], values[:, :k], k)


def _break_ties(
    scores: NDArray[np.float32], items: NDArray[np.int64], values: NDArray[np.float32], k: int
) -> NDArray[np.int64]:
    """Return the k best items of one row, ties by item index."""
    last = values[k - 1]
    above = items[:k][values[:k] > last]
    return np.concatenate([above, np.flatnonzero(scores == last)[: k - len(above)]])
