"""Reranking for diversity, by maximal marginal relevance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.ranking.item_vectors import ItemVectors
from diffrec_cli.ranking.top_k import Lists

_ROWS = 64  # users at a time, to bound the memory for vectors of candidates


def candidates(k: int, n_items: int) -> int:
    """Return the number of best items from which a diverse list of k is chosen."""
    return min(n_items, max(5 * k, 100))


def diversified(lists: Lists, vectors: ItemVectors, k: int, strength: float) -> Lists:
    """Choose k of the candidates of each user, one after the other.

    Each place goes to the item with the largest ``(1 - strength) relevance - strength likeness``
    (Carbonell and Goldstein, SIGIR 1998). Relevance is the score, scaled to 0 to 1 for each user;
    likeness is the largest cosine to an item already in the list.

    Parameters
    ----------
    lists
        Items and scores, (B, C) each, best first; -1 and -inf in empty places.
    vectors
        Vectors of items.
    k
        Length of the lists.
    strength
        0 leaves the lists as they are, 1 uses likeness alone.

    Returns
    -------
    Items and their scores, (B, k), in the order in which they were chosen.
    """
    parts = [
        _chosen(lists[0][rows], lists[1][rows], vectors, k, strength)
        for rows in (slice(start, start + _ROWS) for start in range(0, len(lists[0]), _ROWS))
    ]
    if not parts:
        return lists[0][:, :k], lists[1][:, :k]
    return np.concatenate([items for items, _ in parts]), np.concatenate([s for _, s in parts])


def _chosen(
    items: NDArray[np.int64],
    scores: NDArray[np.float32],
    vectors: ItemVectors,
    k: int,
    strength: float,
) -> Lists:
    present = items >= 0  # (B, C)
    v = vectors.of(np.maximum(items, 0))  # (B, C, H)
    value = np.where(present, (1 - strength) * _relevance(scores, present), -np.inf)
    likeness = np.full(items.shape, -1.0, np.float32)
    rows, places = np.arange(len(items)), []
    for place in range(min(k, items.shape[1])):
        gain = value if place == 0 else value - strength * likeness
        best = gain.argmax(axis=1)  # (B,); the better candidate where gains are equal
        places.append(best)
        value[rows, best] = -np.inf
        likeness = np.maximum(likeness, np.einsum("bch,bh->bc", v, v[rows, best]))
    order = np.stack(places, axis=1)  # (B, k)
    chosen = np.take_along_axis(items, order, axis=1)
    # Where the candidates run out, argmax repeats earlier ones: these places stay empty.
    taken = np.arange(order.shape[1]) >= present.sum(axis=1)[:, None]
    chosen = np.where(taken, -1, chosen)
    found = np.where(taken, -np.inf, np.take_along_axis(scores, order, axis=1))
    return chosen, found.astype(np.float32)


def _relevance(scores: NDArray[np.float32], present: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the scores, scaled to 0 to 1 in each row."""
    low = np.where(present, scores, np.inf).min(axis=1, keepdims=True)
    high = np.where(present, scores, -np.inf).max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):  # a row without candidates
        return np.where(present, (scores - low) / np.maximum(high - low, 1e-12), 0.0)
