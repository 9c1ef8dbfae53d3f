"""Weighted sums of parts with scores of different scales, weighted by held-out interactions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.graph.judging import Late, hide, is_in, never, places, quality_of_places, top
from diffrec_cli.launch import cores

#: Scores of some users by each part: (B,) users -> (B, items) a part.
Parts = Callable[[NDArray[np.int64]], Sequence[NDArray[np.float32]]]

#: Number of items that each sum brings.
PER_SUM = 100
_BLOCK = 256
_SCALE_USERS = 1_000
_CLIMBING_USERS = 2_000
_STEPS = (0.5, 0.25, 0.125, 0.0625)
_MIN_DEVIATION = 1e-12


@dataclass(frozen=True)
class Candidates:
    """The items that may be in the lists of some users, and their scores by each part.

    Parameters
    ----------
    scores
        (parts, users, candidates) float32, each part divided by its scale.
    banned
        (users, candidates) whether an item may not be in the list.
    hits
        (users, candidates) whether an item is held out.
    relevant
        (users,) number of held-out items.
    """

    scores: NDArray[np.float32]
    banned: NDArray[np.bool_]
    hits: NDArray[np.bool_]
    relevant: NDArray[np.int64]

    @cached_property
    def _places_of_hits(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        users, items = np.nonzero(self.hits)
        return users, items

    def sample(self, limit: int) -> Candidates:
        """Return those of some users, spread over all."""
        n = len(self.relevant)
        kept = np.unique(np.linspace(0, n - 1, min(n, limit)).astype(np.int64))
        scores = self.scores[:, kept]
        return Candidates(scores, self.banned[kept], self.hits[kept], self.relevant[kept])

    def quality(self, weights: Sequence[float]) -> float:
        """Return the quality of the weighted sum."""
        total = _total(self.scores, weights)
        total[self.banned] = -np.inf
        users, items = self._places_of_hits
        return quality_of_places(users, places(total, users, items), self.relevant)


def scales(
    parts: Parts, users: NDArray[np.int64], limit: int = _SCALE_USERS
) -> NDArray[np.float32]:
    """Return each part's mean standard deviation over items, of some users spread over all.

    Parameters
    ----------
    parts
        The scores.
    users
        (users,) those to read.
    limit
        Largest number of them that is read.
    """
    spread = np.linspace(0, len(users) - 1, min(len(users), limit)).astype(np.int64)
    some = users[np.unique(spread)]
    blocks = [parts(some[i : i + _BLOCK]) for i in range(0, len(some), _BLOCK)]
    deviations = [
        np.concatenate([scores.std(axis=1) for scores in of_part])
        for of_part in zip(*blocks, strict=True)
    ]
    means = [max(float(of_part.mean()), _MIN_DEVIATION) for of_part in deviations]
    return np.array(means, np.float32)


def candidates(
    parts: Parts,
    scale: NDArray[np.float32],
    sums: Sequence[Sequence[float]],
    seen: Any,
    held_out: Any,
    users: NDArray[np.int64],
) -> Candidates:
    """Return the best items by some sums of the parts, and each part's scores of them.

    Parameters
    ----------
    parts, scale
        The scores, and what each part is divided by.
    sums
        Weights of the parts; each of these sums brings its best :data:`PER_SUM` items.
    seen, held_out
        (users, items) CSR matrices: items that may not be in the lists, and those to find.
    users
        Those to judge by; each has held-out interactions.
    """

    def of_block(
        start: int,
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
        block = users[start : start + _BLOCK]
        of_parts = [part / s for part, s in zip(parts(block), scale, strict=True)]
        tops = []
        for weights in sums:
            total = _total(of_parts, weights)
            hide(total, seen[block])
            tops.append(top(total, PER_SUM))
        items = np.concatenate(tops, axis=1)
        items.sort(axis=1)
        chosen = np.stack([np.take_along_axis(part, items, 1) for part in of_parts])
        banned = is_in(seen, block, items)  # of users with nearly all items
        banned[:, 1:] |= items[:, 1:] == items[:, :-1]  # brought by two sums
        return chosen, banned, is_in(held_out, block, items) & ~banned

    with ThreadPoolExecutor(cores()) as pool:
        blocks = list(pool.map(of_block, range(0, len(users), _BLOCK)))
    scores, banned, hits = zip(*blocks, strict=True)
    relevant = np.diff(held_out.indptr)[users]
    return Candidates(
        np.concatenate(scores, axis=1), np.concatenate(banned), np.concatenate(hits), relevant
    )


def _total(parts: Iterable[NDArray[np.float32]], weights: Sequence[float]) -> NDArray[np.float32]:
    """Return the weighted sum of parts, a new array."""
    used = [(w, part) for w, part in zip(weights, parts, strict=True) if w]
    total = np.float32(used[0][0]) * used[0][1]
    for w, part in used[1:]:
        total += np.float32(w) * part
    return total


def best_weights(
    found: Candidates,
    starts: Sequence[Sequence[float]],
    late: Late = never,
    beside: Sequence[Sequence[float]] = (),
) -> tuple[tuple[float, ...], float]:
    """Return the weights of the best sum, and its quality.

    From every start, one weight at a time moves as long as the quality of some users rises; the
    step then shrinks. What is best there moves once more, by the quality of all users. Weights may
    be below 0. What is found is not behind any start, nor any sum `beside` them. It is `late` that
    stops the search earlier.
    """
    some = found.sample(_CLIMBING_USERS)
    ends = [_climbed(some, start, late)[0] for start in starts]
    start = max([*ends, *map(tuple, starts), *map(tuple, beside)], key=found.quality)
    return _climbed(found, start, late)


def _climbed(
    found: Candidates, start: Sequence[float], late: Late
) -> tuple[tuple[float, ...], float]:
    best, value = tuple(start), found.quality(start)
    for step in _STEPS:
        moved = True
        while moved and not late():
            best, higher = _better(found, best, value, step)
            moved, value = higher > value, higher
    return best, value


def _better(
    found: Candidates, weights: tuple[float, ...], value: float, step: float
) -> tuple[tuple[float, ...], float]:
    """Return the weights after a round of steps in each coordinate, and their quality."""
    for place in range(len(weights)):
        for sign in (step, -step):
            moved = tuple(w + sign * (i == place) for i, w in enumerate(weights))
            if not any(moved):
                continue
            higher = found.quality(moved)
            if higher > value:
                weights, value = moved, higher
                break
    return weights, value
