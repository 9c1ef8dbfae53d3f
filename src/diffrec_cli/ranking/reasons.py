"""Why an item is recommended: by leaving each item out of the history."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.config import TemporalConfig
from diffrec_cli.data.sequences import Sequences, input_rows
from diffrec_cli.models.scorer import LinearScorer, Scorer
from diffrec_cli.ranking.batches import batch_size

_BATCH = 256  # histories that are read at a time


def gains(
    scorer: Scorer,
    history: Sequences,
    items: NDArray[np.int64],
    *,
    temporal: TemporalConfig | None = None,
    user: int = -1,
) -> NDArray[np.float32]:
    """Return how much each item of a history raises the scores of some items.

    An item's gain is the score minus the score without this item in the history. The rest of the
    history is weighted again by its order.

    Parameters
    ----------
    scorer
        The model.
    history
        One row: the user's n items, oldest first.
    items
        (k,) items whose scores are explained.
    temporal
        Weights of the input by order, for the temporal variants.
    user
        Index of the user in the training data, -1 for an unseen user.

    Returns
    -------
    (n, k); negative where an item of the history lowers a score.
    """
    n = history.size
    score = _scores(scorer, history, items, temporal, user)  # (1, k)
    batch = min(_BATCH, batch_size(scorer.n_items))
    parts = [
        score - _scores(scorer, without(history, places), items, temporal, user)
        for places in (np.arange(i, min(i + batch, n)) for i in range(0, n, batch))
    ]
    return np.concatenate([np.empty((0, len(items)), np.float32), *parts])


def without(history: Sequences, places: NDArray[np.int64]) -> Sequences:
    """Return one row for each place: the only row of the history without the item there.

    Examples
    --------
    >>> history = Sequences(np.array([0, 3]), np.array([7, 8, 9], np.int32))
    >>> rows = without(history, np.array([0, 1, 2]))
    >>> [rows.of(row).tolist() for row in range(3)]
    [[8, 9], [7, 9], [7, 8]]
    """
    kept = np.arange(history.size) != places[:, None]  # (places, n)
    return history.take(np.zeros(len(places), np.int64)).keep(kept.ravel())


def _scores(
    scorer: Scorer,
    histories: Sequences,
    items: NDArray[np.int64],
    temporal: TemporalConfig | None,
    user: int,
) -> NDArray[np.float32]:
    """Return the scores of some items for each of one user's histories, (rows, k)."""
    rows = input_rows(histories, temporal, np.full(len(histories), user))
    if isinstance(scorer, LinearScorer) and scorer.output is not None:
        scores = scorer.output.scores_of(scorer.hidden(rows), items)
    else:
        scores = scorer.scores(rows)[:, scorer.backend.asarray(items)]
    host: NDArray[np.float32] = scorer.backend.host(scores)
    return host
