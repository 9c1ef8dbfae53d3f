"""Top-K lists from scores, in batches of users sized from memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.config import TemporalConfig
from diffrec_cli.data.sequences import Rows, Sequences, temporal_weights
from diffrec_cli.models.backend import Array, Backend
from diffrec_cli.models.scoring import Scorer

#: Memory that the scores of a batch may take, with the copies made of them on the way.
BATCH_BYTES = 256 * 2**20
_COPIES = 3
_MAX_BATCH = 2048


@dataclass(frozen=True, slots=True)
class Ranked:
    """The lists of a batch of users.

    Parameters
    ----------
    start
        Place of the batch's first user in what was ranked.
    items
        (B, k) item indices, best first; -1 where fewer than k items remain.
    scores
        (B, k) their scores; -inf there.
    """

    start: int
    items: NDArray[np.int64]
    scores: NDArray[np.float32]


def input_rows(history: Sequences, temporal: TemporalConfig | None) -> Rows:
    """Return a model's input for these histories: ones, or weights by order (Eq. 16)."""
    if temporal is None:
        values = np.ones(history.size, np.float32)
    else:
        values = temporal_weights(history.indptr, temporal.w_min, temporal.w_max)
    return Rows(np.arange(len(history)), history.indptr, history.items, values)


def batch_size(n_items: int) -> int:
    """Return how many users' scores fit into :data:`BATCH_BYTES`."""
    return max(1, min(_MAX_BATCH, BATCH_BYTES // (4 * _COPIES * n_items)))


def rank(
    scorer: Scorer,
    backend: Backend,
    history: Sequences,
    k: int,
    *,
    seen: Sequences | None = None,
    temporal: TemporalConfig | None = None,
    excluded: NDArray[np.bool_] | None = None,
    users_per_batch: int | None = None,
) -> Iterator[Ranked]:
    """Rank all items for every row of `history`, batch by batch.

    Parameters
    ----------
    scorer, backend
        The model, and where its scores live.
    history
        What the model reads of each user.
    k
        Length of the lists.
    seen
        Items of each user that may not be recommended; ``None`` masks nothing.
    temporal
        Weights of the input by order, for the temporal variants.
    excluded
        (|I|,) items that may not be recommended to anyone.
    users_per_batch
        Overrides :func:`batch_size`.
    """
    step = users_per_batch or batch_size(scorer.n_items)
    for start in range(0, len(history), step):
        users = np.arange(start, min(start + step, len(history)))
        scores = scorer.scores(input_rows(history.take(users), temporal))
        if seen is not None:
            mask_seen(scores, seen.take(users), backend)
        if excluded is not None:
            scores[:, backend.asarray(np.flatnonzero(excluded))] = -np.inf
        yield Ranked(start, *top_k(scores, k, backend))


def mask_seen(scores: Array, seen: Sequences, backend: Backend) -> None:
    """Set the scores of seen items to minus infinity, in place."""
    rows, items = backend.asarray(seen.rows), backend.asarray(seen.items.astype(np.int64))
    scores[rows, items] = -np.inf


def top_k(scores: Array, k: int, backend: Backend) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the k best items of each row and their scores, best first, ties by item index.

    The libraries' partial sorts promise nothing about ties, so one more score than needed is
    taken: only where it equals the last one is the row looked at again.

    Examples
    --------
    >>> from diffrec_cli.models.backend import NumpyBackend
    >>> top_k(np.float32([[1, 3, 3, 3, -np.inf]]), 2, NumpyBackend())[0].tolist()
    [[1, 2]]
    """
    n_items = scores.shape[1]
    taken = min(k + 1, n_items)
    values, items = backend.largest(scores, taken)
    order = np.lexsort((items, -values), axis=1)
    values = np.take_along_axis(values, order, axis=1)
    items = np.take_along_axis(items, order, axis=1)
    if taken > k:
        tied = (values[:, k - 1] == values[:, k]) & np.isfinite(values[:, k])
        for row in np.flatnonzero(tied):
            items[row, :k] = _break_ties(np.asarray(_host(scores[row])), items[row], values[row], k)
        values, items = values[:, :k], items[:, :k]
    items = np.where(np.isneginf(values), -1, items)
    missing = ((0, 0), (0, k - items.shape[1]))  # a catalogue of fewer than k items
    return (
        np.pad(items, missing, constant_values=-1),
        np.pad(values, missing, constant_values=-np.inf),
    )


def _break_ties(
    scores: NDArray[np.float32], items: NDArray[np.int64], values: NDArray[np.float32], k: int
) -> NDArray[np.int64]:
    """Return the k best items of one row whose k-th score is shared by items left out."""
    last = values[k - 1]
    above = items[:k][values[:k] > last]
    return np.concatenate([above, np.flatnonzero(scores == last)[: k - len(above)]])


def _host(row: Array) -> Array:
    return row.cpu() if hasattr(row, "cpu") else row
