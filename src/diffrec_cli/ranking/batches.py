"""Ranking for many users, in batches of users and blocks of items that fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.config import TemporalConfig
from diffrec_cli.data.sequences import Rows, Sequences, input_rows
from diffrec_cli.models.backend import Backend
from diffrec_cli.models.scorer import LinearScorer, Scorer
from diffrec_cli.ranking.top_k import Lists, Mask, from_blocks, from_candidates, from_scores, merged

#: Memory that the scores of a batch may take.
BATCH_BYTES = 256 * 2**20
_COPIES = 3  # copies of the scores in memory when a scorer computes all items at once
_MAX_BATCH = 2048
#: Users in a batch when ranking goes by blocks of items.
BLOCK_BATCH = 1024


@dataclass(frozen=True, slots=True)
class Ranked:
    """The lists of a batch of users.

    Parameters
    ----------
    start
        Row of the batch's first user.
    items
        (B, k) item indices, best first; -1 in places for which no item is left.
    scores
        (B, k) their scores; -inf there.
    """

    start: int
    items: NDArray[np.int64]
    scores: NDArray[np.float32]


def batch_size(n_items: int) -> int:
    """Return how many users' scores of all items fit into :data:`BATCH_BYTES`."""
    return max(1, min(_MAX_BATCH, BATCH_BYTES // (4 * _COPIES * n_items)))


def rank(
    scorer: Scorer,
    history: Sequences,
    k: int,
    *,
    users: NDArray[np.int64] | None = None,
    seen: Sequences | None = None,
    temporal: TemporalConfig | None = None,
    excluded: NDArray[np.bool_] | None = None,
    precision: str = "fp32",
    users_per_batch: int | None = None,
    items_per_block: int | None = None,
) -> Iterator[Ranked]:
    """Rank all items for every row of `history`, batch by batch.

    Parameters
    ----------
    scorer
        The model.
    history
        The history of each user that the model reads.
    k
        Length of the lists.
    users
        (users,) indices in the training data, -1 for unseen users; ``None``: all are unseen.
    seen
        Items of each user that may not be recommended; ``None`` masks nothing.
    temporal
        Weights of the input by order, for the temporal variants.
    excluded
        (|I|,) whether an item may not be recommended to anyone.
    precision
        ``bf16`` finds candidates in bfloat16, where backend and scorer can, and scores them again.
        The lists are those of ``fp32``, except for scores equal to six digits.
    users_per_batch, items_per_block
        Override the sizes chosen by memory. Scorers without an ``output`` ignore blocks.
    """
    step = users_per_batch or users_at_a_time(scorer)
    width = items_per_block or max(1, BATCH_BYTES // (4 * step))
    lists = _joined(_lists_of(scorer, k, width, precision), scorer.backend, k)
    users = np.full(len(history), -1) if users is None else users
    for start in range(0, len(history), step):
        batch = np.arange(start, min(start + step, len(history)))
        masked = Mask.of(None if seen is None else seen.take(batch), excluded)
        rows = input_rows(history.take(batch), temporal, users[batch])
        yield Ranked(start, *lists(rows, masked))


def users_at_a_time(scorer: Scorer) -> int:
    """Return how many users are ranked at a time unless something else is asked for."""
    linear = isinstance(scorer, LinearScorer) and scorer.output is not None
    return BLOCK_BATCH if linear else batch_size(catalogue_size(scorer))


def catalogue_size(scorer: Scorer) -> int:
    """Return the number of items that are ranked, of which several processes may have parts."""
    items = scorer.backend.items
    return scorer.n_items if items is None else items.n_items


def _joined(
    lists: Callable[[Rows, Mask], Lists], backend: Backend, k: int
) -> Callable[[Rows, Mask], Lists]:
    """Return the function to the lists of all items from that to the lists of a process's items."""
    part = backend.items
    if part is None:
        return lists

    def of_all(rows: Rows, masked: Mask) -> Lists:
        items, scores = lists(rows, masked.between(part.start, part.stop))
        items = np.where(items < 0, -1, items + part.start)
        found = zip(backend.of_all_items(items), backend.of_all_items(scores), strict=True)
        return merged(list(found), k)

    return of_all


def _lists_of(scorer: Scorer, k: int, width: int, precision: str) -> Callable[[Rows, Mask], Lists]:
    """Return the function from a batch to its lists for this scorer."""
    if not isinstance(scorer, LinearScorer) or scorer.output is None:
        return lambda rows, masked: from_scores(scorer.scores(rows), masked, k, scorer.backend)
    hidden, output = scorer.hidden, scorer.output
    narrow = None if precision == "fp32" else output.narrowed()
    if narrow is None:
        return lambda rows, masked: from_blocks(output, hidden(rows), masked, k, width)
    return lambda rows, masked: from_candidates(output, narrow, hidden(rows), masked, k, width)
