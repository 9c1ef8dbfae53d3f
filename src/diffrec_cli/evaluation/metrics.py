"""Metrics of top-K lists, with binary relevance.

They follow the paper's protocol: NDCG divides by the ideal DCG over ``min(K, relevant items)``,
Recall by the number of all relevant items.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.data.sequences import IntArray, Sequences
from diffrec_cli.errors import UsageError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def per_user(
    lists: IntArray,
    truth: Sequences,
    ks: Sequence[int] = (10, 20),
    names: Sequence[str] = ("recall", "ndcg"),
) -> dict[str, Floats]:
    """Return each metric at each cut-off for every user.

    Parameters
    ----------
    lists
        (B, K) distinct item indices, best first; -1 is an empty place. Places beyond K are empty.
    truth
        B rows: the distinct relevant items of each user, in any order.
    ks
        Cut-offs.
    names
        Some of :data:`PER_USER`.

    Returns
    -------
    ``"recall@10"`` and so on to (B,) float64; NaN for users without relevant items.

    Raises
    ------
    UsageError
        A name or a cut-off is invalid.

    Examples
    --------
    >>> truth = Sequences.from_rows(np.array([0, 0]), np.array([7, 9]), users=1)
    >>> per_user(np.array([[3, 7]]), truth, ks=(2,), names=("recall", "mrr"))
    {'recall@2': array([0.5]), 'mrr@2': array([0.5])}
    """
    pairs = [parse_metric(f"{name}@{k}") for name in names for k in ks]
    hits = _hits(lists, truth)
    relevant = truth.lengths
    return {
        f"{name}@{k}": np.where(relevant > 0, _FUNCTIONS[name](hits[:, :k], relevant, k), np.nan)
        for name, k in pairs
    }


def parse_metric(text: str) -> tuple[str, int]:
    """Split a metric's name from its cut-off.

    Raises
    ------
    UsageError
        It is not the name of a metric, ``@`` and a whole number of at least 1.

    Examples
    --------
    >>> parse_metric("ndcg@20")
    ('ndcg', 20)
    """
    match = re.fullmatch(r"([a-z]+)@([1-9][0-9]{0,8})", text)
    if match is None or match[1] not in METRICS:
        raise UsageError(
            f"{text!r} is not a metric",
            f"write one of {', '.join(METRICS)}, then @ and a cut-off from 1, as in ndcg@20",
        )
    return match[1], int(match[2])


def coverage(counts: IntArray) -> float:
    """Return the share of items that are in at least one list.

    Parameters
    ----------
    counts
        (items,) number of lists with each item.

    Examples
    --------
    >>> coverage(np.array([3, 0, 1, 0]))
    0.5
    """
    return float(np.count_nonzero(counts) / max(len(counts), 1))


def novelty(lists: IntArray, counts: IntArray, users: int) -> Floats:
    """Return how surprising each list is: the mean of ``-log2`` of its items' popularity, (B,).

    Parameters
    ----------
    lists
        (B, K) item indices; -1 is an empty place. An empty list has 0.
    counts
        (items,) number of users who have each item; 0 counts as 1.
    users
        Number of users.

    Examples
    --------
    >>> novelty(np.array([[0, 1], [1, -1]]), np.array([4, 1]), users=4).tolist()
    [1.0, 2.0]
    """
    bits = np.log2(users / np.maximum(counts, 1))[lists]  # (B, K)
    filled = lists >= 0
    total = np.where(filled, bits, 0.0).sum(axis=1)
    return np.asarray(total / np.maximum(filled.sum(axis=1), 1))


def _hits(lists: IntArray, truth: Sequences) -> Bools:
    """Return whether each place has a relevant item, (B, K)."""
    if not truth.size or not lists.size:
        return np.zeros(lists.shape, np.bool_)
    # A binary search among sorted keys, one for each pair of user and item.
    n = max(int(truth.items.max()), int(lists.max())) + 1
    relevant = np.sort(truth.row_index * n + truth.items)  # (size,)
    keys = np.arange(len(lists))[:, None] * n + lists  # (B, K)
    place = np.minimum(np.searchsorted(relevant, keys), len(relevant) - 1)
    # The key of an empty place (-1) may be that of the previous user's last item.
    found: Bools = (relevant[place] == keys) & (lists >= 0)
    return found


# Each takes hits (B, <= k), numbers of relevant items (B,), and k. Values for 0 are not used.


def _recall(hits: Bools, relevant: IntArray, k: int) -> Floats:
    return np.asarray(hits.sum(axis=1) / np.maximum(relevant, 1))


def _precision(hits: Bools, relevant: IntArray, k: int) -> Floats:
    return np.asarray(hits.sum(axis=1) / k)


def _hit(hits: Bools, relevant: IntArray, k: int) -> Floats:
    return np.asarray(hits.any(axis=1), np.float64)


def _mrr(hits: Bools, relevant: IntArray, k: int) -> Floats:
    ranks = np.arange(1, hits.shape[1] + 1)
    reciprocals: Floats = hits / ranks  # (B, <= k)
    return np.asarray(reciprocals.max(axis=1, initial=0.0))


def _ndcg(hits: Bools, relevant: IntArray, k: int) -> Floats:
    places = min(k, max(hits.shape[1], int(relevant.max(initial=1))))  # k may be huge
    gains = 1 / np.log2(np.arange(2, places + 2))  # (places,)
    ideal = np.cumsum(gains)[np.clip(relevant, 1, k) - 1]  # (B,)
    dcg: Floats = hits @ gains[: hits.shape[1]]
    return np.asarray(dcg / ideal)


_FUNCTIONS: dict[str, Callable[[Bools, IntArray, int], Floats]] = {
    "recall": _recall,
    "ndcg": _ndcg,
    "precision": _precision,
    "mrr": _mrr,
    "hit": _hit,
}

#: Metrics of a user's list and their relevant items.
PER_USER: tuple[str, ...] = tuple(_FUNCTIONS)
#: All metrics; :func:`novelty` needs only the list, :func:`coverage` needs all lists.
METRICS: tuple[str, ...] = (*PER_USER, "novelty", "coverage")
