"""Whether the rows of a user stand in an order of time, where no time column says so.

An order leaves a trace: some item follows another one for many users. Rows sorted by id have such
traces too, of the sorting, so they are told apart first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.data.sequences import Sequences

#: What a dataset says of its order: by a time column, as the rows of the file stand, or none.
TIMES, FILE, NONE = ORDERS = ("times", "file", "none")
#: Interactions of whole users that show it.
SAMPLE = 1_000_000

_SORTED_SHARE = 0.99
_SHUFFLES = 10
_MIN_DEVIATIONS = 4.0
_MIN_ERRORS = 5.0  # standard errors of a difference: MovieLens-1M's lists have 23, others below 2


def why_unordered(history: Sequences, ids: Sequence[str]) -> str | None:
    """Return why the rows of users carry no order, or None if they carry one.

    There is none where the items of nearly all neighbouring rows ascend or descend, by their id or
    by their first appearance in the file (which is then sorted by item). Nor is there one where
    users have no more pairs of neighbouring rows in common, in this direction, than after shuffles.

    Parameters
    ----------
    history
        Items of each user as the rows stand; items are numbered by first appearance, or by id.
    ids
        (items,) their ids.

    Examples
    --------
    >>> rows = Sequences.from_rows(np.array([0, 0, 0, 1, 1]), np.array([0, 1, 2, 0, 2]), users=2)
    >>> why_unordered(rows, ["5", "7", "11"])
    "each user's rows are sorted by item, upwards"
    """
    history = _first_users(history)
    follows = history.row_index[1:] == history.row_index[:-1]
    if not follows.any():
        return "no user has two rows"
    for rank in (np.arange(len(ids)), _rank(ids)):
        ranks = rank[history.items]
        ascending = float(np.mean((ranks[1:] > ranks[:-1])[follows]))
        if ascending >= _SORTED_SHARE:
            return "each user's rows are sorted by item, upwards"
        if ascending <= 1 - _SORTED_SHARE:
            return "each user's rows are sorted by item, downwards"
    if transition_excess(history) < _MIN_DEVIATIONS:
        return "which item follows which is as it is in shuffled rows"
    return None


def transition_excess(history: Sequences) -> float:
    """Return by how many standard deviations users share more transitions than after shuffles.

    Two users share a transition if the same item directly follows the same other one in both.
    """
    rng = np.random.default_rng(0)
    rows = history.row_index
    follows = rows[1:] == rows[:-1]
    shuffled = np.array(
        [
            _shared_transitions(history.items[np.lexsort((rng.random(len(rows)), rows))], follows)
            for _ in range(_SHUFFLES)
        ],
        np.float64,
    )
    here = _shared_transitions(history.items, follows)
    return float((here - shuffled.mean()) / max(shuffled.std(), 1.0))


def seems_to_precede(first: Sequences, second: Sequences, train: Sequences) -> bool:
    """Tell whether a part seems to come before another one, both after train.

    What follows what in train shows it: the step from a user's last item of train to the first of
    the part that follows at once is known from train more often.
    """
    users = np.flatnonzero(np.minimum.reduce([p.lengths for p in (first, second, train)]) > 0)
    if len(users) < 2:
        return False
    n = 1 + int(max(part.items.max() for part in (first, second, train)))
    follows = train.row_index[1:] == train.row_index[:-1]
    known = np.unique(train.items[:-1][follows].astype(np.int64) * n + train.items[1:][follows])
    last = train.items[train.indptr[users + 1] - 1].astype(np.int64)
    to_first, to_second = (
        np.isin(last * n + part.items[part.indptr[users]], known) for part in (first, second)
    )
    more = to_first.astype(np.float64) - to_second
    error = more.std() / np.sqrt(len(users))
    return bool(more.mean() > _MIN_ERRORS * max(error, 1e-9))


def _shared_transitions(items: NDArray[np.int32], follows: NDArray[np.bool_]) -> int:
    """Return the number of pairs of equal transitions."""
    first, second = items[:-1][follows].astype(np.int64), items[1:][follows]
    _, counts = np.unique(first * (int(items.max()) + 1) + second, return_counts=True)
    return int(np.sum(counts * (counts - 1) // 2))


def _rank(ids: Sequence[str]) -> NDArray[np.int64]:
    """Return the place of each id in their order: as numbers if all are, else as text."""
    texts = np.asarray(ids, dtype=str)
    numeric = all(text.isascii() and text.isdigit() for text in ids)
    keys = texts.astype(np.float64) if numeric else texts
    places: NDArray[np.int64] = np.unique(keys, return_inverse=True)[1].astype(np.int64)
    return places


def _first_users(history: Sequences) -> Sequences:
    """Return the first users' rows, about a million in all: an order shows in them too."""
    users = int(np.searchsorted(history.indptr, SAMPLE))
    return history if users >= len(history) else history.take(np.arange(users))
