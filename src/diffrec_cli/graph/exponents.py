"""The exponents of the degree filter, by held-out interactions: a search without edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.graph.degree_filter import DegreeFilter, Exponents
from diffrec_cli.graph.judging import Late, never
from diffrec_cli.graph.sums import candidates, scales

START = Exponents(0.25, 0.4, 0.2)
FREE = tuple(field.name for field in fields(Exponents))
#: Steps of the search, and on how many users at most each is judged.
_STEPS = ((0.15, 2_000), (0.075, 4_000), (0.04, 8_000))
#: Users times interactions of the log by which one filter is judged, and fewest users.
_BUDGET, _FEWEST = 2_000_000_000, 2_000
#: How much of the smoothed scores is taken away, both in units of their deviation over items.
_SHARPENINGS = tuple(tenths / 10 for tenths in range(11))
_BLOCK = 256


def best_exponents(
    x: Any,
    held_out: Any,
    histories: Any | None = None,
    *,
    start: Exponents = START,
    free: Sequence[str] = FREE,
    sharpened: bool = False,
    late: Late = never,
) -> Exponents:
    """Return the exponents whose filter ranks the held-out interactions best.

    From `start` one exponent at a time moves as long as the quality rises; then the step shrinks
    and there are more users to judge by.

    Parameters
    ----------
    x
        (users, items) CSR matrix of the interactions.
    held_out
        (users, items) CSR matrix of those to rank.
    histories
        (users, items) CSR matrix that is read; ``None``: `x`.
    start, free
        Where the search begins, and the names of the exponents that may move.
    sharpened
        Whether the filter is judged with the best sharpening: other exponents are best then.
    late
        When to stop with the best so far.
    """
    users = np.flatnonzero(np.diff(held_out.indptr))
    best = start
    affordable = max(_FEWEST, _BUDGET // max(1, x.nnz))
    for step, limit in _STEPS:
        judge = _Judge(x, held_out, x if histories is None else histories, sharpened)
        if late():
            break
        best = _climbed(judge, _sample(users, min(limit, affordable)), best, free, step, late)
    return best


def _sample(users: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    if limit >= len(users):
        return users
    return np.sort(np.random.default_rng(0).choice(users, limit, replace=False))


def _climbed(
    judge: _Judge,
    users: NDArray[np.int64],
    start: Exponents,
    free: Sequence[str],
    step: float,
    late: Late,
) -> Exponents:
    """Return the best exponents that single steps of this size lead to."""
    known = {start: judge.quality(start, users)}
    best, moved = start, True
    while moved:
        moved = False
        for name in free:
            for sign in (step, -step):
                if late():
                    return best
                there = replace(best, **{name: round(getattr(best, name) + sign, 4)})
                if there not in known:
                    known[there] = judge.quality(there, users)
                if known[there] > known[best]:
                    best, moved = there, True
                    break
    return best


class _Judge:
    """Qualities of filters."""

    def __init__(self, x: Any, held_out: Any, histories: Any, sharpened: bool) -> None:
        self.x, self.held_out, self.histories = x, held_out, histories
        self.sharpenings = _SHARPENINGS if sharpened else (0.0,)

    def quality(self, exponents: Exponents, users: NDArray[np.int64]) -> float:
        """Return the quality of a filter, with the best sharpening if that is wanted."""
        degree_filter = DegreeFilter(self.x, exponents)

        def parts(some: NDArray[np.int64]) -> list[NDArray[np.float32]]:
            scores = degree_filter.scores(self.histories[some])
            return [scores, degree_filter.smoothed(scores)] if len(tried[0]) > 1 else [scores]

        tried = [(1.0, -c) if len(self.sharpenings) > 1 else (1.0,) for c in self.sharpenings]
        scale = scales(parts, users, _BLOCK)
        middle = {tried[0], tried[len(tried) // 2]}
        found = candidates(parts, scale, sorted(middle), self.x, self.held_out, users)
        return max(found.quality(weights) for weights in tried)
