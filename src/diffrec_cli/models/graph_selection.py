"""Finding on valid what the settings of a sum of item graphs leave open."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.config import GraphSum, OrderedGraphSum
from diffrec_cli.config import graphs as g
from diffrec_cli.data.sequences import Rows
from diffrec_cli.graph.blas import one_thread_each
from diffrec_cli.graph.exponents import FREE, best_exponents
from diffrec_cli.graph.judging import Late, never
from diffrec_cli.graph.sums import PER_SUM, Candidates, Parts, best_weights, candidates, scales
from diffrec_cli.models.graph_parts import (
    HALF_LIFE,
    NONE,
    Arrays,
    Learned,
    exponents_of,
    filters,
    fit_parts,
    histories_of,
    matrix_of,
    parts_memory,
)
from diffrec_cli.models.graph_sum import part_reader, part_scales, start_weights

#: What :func:`reused_parts` keeps; ``None``: nothing.
_REUSED: ContextVar[dict[Any, tuple[GraphSum, Arrays]] | None] = ContextVar("reused", default=None)
Weights = tuple[float, ...]
#: The weight of sharpening in a sum with the filter alone, from which weights are searched too.
_SHARPENING = -0.5
#: Half-lives that are tried.
_HALF_LIVES = (5.0, HALF_LIFE, 80.0)
_HALF_LIFE_USERS = 3_000
#: Most users by which weights are found: their candidates are all in memory.
_WEIGHT_USERS = 50_000
#: The same where it is late.
_HURRIED_USERS = 1_000


def graph_memory(
    settings: GraphSum, n_items: int, lengths: NDArray[np.int64], shares: int = 1
) -> int:
    """Return about how many bytes fitting and weighing takes besides the log and a trained model.

    Parameters
    ----------
    settings, n_items
        As in :func:`select_graph`.
    lengths
        Number of interactions of each user.
    shares
        Number of processes that share the fitting.
    """
    parts = settings.parts
    judged = min(len(lengths), _WEIGHT_USERS)
    weighing = judged * (len(parts) + 2) * PER_SUM * 2 * (4 * len(parts) + 1)
    return max(weighing, parts_memory(settings, n_items, lengths, shares))


@one_thread_each()  # the search makes many small products, from threads of its own
def select_graph(
    settings: GraphSum,
    train: Rows,
    valid: Rows,
    n_items: int,
    learned: Learned | None = None,
    seed: int = 1,
    late: Late = never,
    ready: Mapping[str, Any] = NONE,
) -> tuple[GraphSum, Arrays]:
    """Return the settings with what they leave open found on valid, and the arrays of train.

    Parameters
    ----------
    settings, train, n_items, learned, seed, ready
        As in :func:`fit_graph`.
    valid
        Every user's held-out interactions.
    late
        When to stop searching, with the best so far. What is found is then by some users alone.
    """
    seen, held_out = matrix_of(train.closed, n_items), matrix_of(valid, n_items)
    settings, arrays = _on_valid(settings, train, valid, n_items, seed, late, ready)
    if settings.weights is not None and _half_life_known(settings):
        return settings, {**arrays, "scales": part_scales(settings, arrays, train, learned)}

    def weighed(choice: GraphSum, limit: int) -> tuple[float, GraphSum, Arrays]:
        parts = part_reader(choice, arrays, train, learned)
        scale = scales(parts, np.arange(len(train)))
        limit = _HURRIED_USERS if late() else limit
        found = _candidates(choice, parts, scale, seen, held_out, limit)
        weights, value = _best_weights(choice, found, ends, late)
        return value, replace(choice, weights=weights), {**arrays, "scales": scale}

    ends: list[Weights] = []  # of the searches so far: the next begin there
    choices = _half_life_choices(settings)
    if late():
        choices = [choices[len(choices) // 2]]
    if len(choices) == 1:
        return weighed(choices[0], _WEIGHT_USERS)[1:]
    by_some = [weighed(choice, _HALF_LIFE_USERS) for choice in choices]
    best = max(range(len(choices)), key=lambda k: by_some[k][0])
    if np.count_nonzero(np.diff(held_out.indptr)) <= _HALF_LIFE_USERS:  # some are all
        return by_some[best][1:]
    return weighed(choices[best], _WEIGHT_USERS)[1:]


@contextmanager
def reused_parts() -> Iterator[None]:
    """While this lasts, sums of the same log have exponents found and parts fitted but once."""
    token = _REUSED.set({})
    try:
        yield
    finally:
        _REUSED.reset(token)


def _on_valid(
    settings: GraphSum,
    train: Rows,
    valid: Rows,
    n_items: int,
    seed: int,
    late: Late,
    ready: Mapping[str, Any],
) -> tuple[GraphSum, Arrays]:
    """Return the settings with exponents found on valid, and the arrays of the parts."""
    others = tuple(name for name in settings.parts if name != g.LEARNED)
    values = {**vars(settings), "parts": others, "weights": None}
    key = (*sorted(values.items()), seed, _digest(train), _digest(valid))
    kept = _REUSED.get()
    kept = {} if kept is None else kept
    if key not in kept:
        seen, held_out = matrix_of(train, n_items), matrix_of(valid, n_items)
        found = _with_exponents(settings, train, seen, held_out, late)
        kept[key] = found, fit_parts(found, train, n_items, seed, ready)
    found, arrays = kept[key]
    return replace(settings, p=found.p, q_in=found.q_in, q_out=found.q_out), arrays


def _digest(rows: Rows) -> bytes:
    """Return a hash of the items of each row, in order, and their strengths."""
    digest = hashlib.sha256(np.ascontiguousarray(rows.indptr).tobytes())
    digest.update(np.ascontiguousarray(rows.items).tobytes())
    digest.update(b"" if rows.strength is None else rows.strength.tobytes())
    return digest.digest()


def _candidates(
    settings: GraphSum,
    parts: Parts,
    scale: NDArray[np.float32],
    seen: Any,
    held_out: Any,
    limit: int,
) -> Candidates:
    """Return what may be in the lists of all users with held-out items, or of some of them.

    Some are spread over all.
    """
    users = np.flatnonzero(np.diff(held_out.indptr))
    users = users[:: -(-len(users) // limit)]
    return candidates(parts, scale, _sums(settings), seen, held_out, users)


def _sums(settings: GraphSum) -> list[Weights]:
    """Return the sums whose best items are candidates; the search begins at each."""
    parts = settings.parts
    sums = [
        tuple(float(other == name) for other in parts) for name in parts if name != g.SHARPENING
    ]
    sums.append(settings.weights or start_weights(settings))
    if {g.FILTER, g.SHARPENING} <= set(parts):
        of = {g.FILTER: 1.0, g.SHARPENING: _SHARPENING}
        sums.append(tuple(of.get(name, 0.0) for name in parts))
    return sums


def _best_weights(
    settings: GraphSum, found: Candidates, ends: list[Weights], late: Late
) -> tuple[Weights, float]:
    """Return the weights, unless they are given the best, and the quality.

    The search begins where searches for other half-lives ended, if there are such `ends`; its own
    are added to them.
    """
    if settings.weights is not None:
        return settings.weights, found.quality(settings.weights)
    sums = _sums(settings)
    starts = list(ends)
    if not starts:
        starts = list(sums)
        if g.LEARNED in settings.parts and len(settings.parts) > 1:
            starts.append(_without(settings.parts.index(g.LEARNED), found, sums, late))
            ends.append(starts[-1])
    best, value = best_weights(found, starts, late, beside=sums)
    ends.append(best)
    return best, value


def _without(place: int, found: Candidates, sums: Sequence[Weights], late: Late) -> Weights:
    """Return the best weights with 0 in one place: the search for all is never behind them."""
    others = [k for k in range(len(found.scores)) if k != place]
    rest = Candidates(found.scores[others], found.banned, found.hits, found.relevant)
    starts = [tuple(weights[k] for k in others) for weights in sums]
    best, _ = best_weights(rest, [start for start in starts if any(start)], late)
    return (*best[:place], 0.0, *best[place:])


def _half_life_known(settings: GraphSum) -> bool:
    return not isinstance(settings, OrderedGraphSum) or settings.half_life is not None


def _half_life_choices(settings: GraphSum) -> list[GraphSum]:
    if isinstance(settings, OrderedGraphSum) and settings.half_life is None:
        return [replace(settings, half_life=half_life) for half_life in _HALF_LIVES]
    return [settings]


def _with_exponents(
    settings: GraphSum, train: Rows, seen: Any, held_out: Any, late: Late
) -> GraphSum:
    """Return the settings with exponents, found on valid unless they are given."""
    free = [name for name in FREE if getattr(settings, name) is None]
    if not free or not filters(settings):
        return settings
    found = best_exponents(
        seen,
        held_out,
        histories_of(settings, train, seen.shape[1]),
        start=exponents_of(settings),
        free=free,
        sharpened=g.SHARPENING in settings.parts,
        late=late,
    )
    return replace(settings, p=found.p, q_in=found.q_in, q_out=found.q_out)
