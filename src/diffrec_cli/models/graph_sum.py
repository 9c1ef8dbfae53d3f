"""Sums of item graphs: the degree filter, its sharpening, the neighbourhood ridge and others.

Sources: GF-CF (Shen et al., CIKM 2021) for the filter and the low-pass, BSPM (Choi et al., SIGIR
2023) for the idea of sharpening, fsSLIM (Ning and Karypis, ICDM 2011) for neighbourhoods. The free
exponents and the weighted sum are this project's. A trained model may be one of the parts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.config import FitConfig, GraphSum, OrderedGraphSum
from diffrec_cli.config import graphs as g
from diffrec_cli.data.sequences import Rows
from diffrec_cli.graph.blas import one_thread_each
from diffrec_cli.graph.degree_filter import DegreeFilter, Exponents
from diffrec_cli.graph.degrees import degrees, power, scaled
from diffrec_cli.graph.exponents import FREE, START, best_exponents
from diffrec_cli.graph.factors import factors_memory, masked_factors, user_factors
from diffrec_cli.graph.judging import Late, never
from diffrec_cli.graph.low_pass import low_pass
from diffrec_cli.graph.ridge import mean_diagonal, neighbourhood_ridge, ridge_memory
from diffrec_cli.graph.sums import PER_SUM, Candidates, Parts, best_weights, candidates, scales
from diffrec_cli.graph.transitions import faded, transitions
from diffrec_cli.memory import require_memory
from diffrec_cli.models.backend import Backend
from diffrec_cli.models.baselines.markov import read_newest
from diffrec_cli.models.baselines.sparse import loaded, stored

Arrays = dict[str, NDArray[Any]]
#: The scores of a trained model for histories, (B, items).
Learned = Callable[[Rows], NDArray[np.float32]]

#: What :func:`reused_parts` keeps; ``None``: nothing.
_REUSED: ContextVar[dict[Any, tuple[GraphSum, Arrays]] | None] = ContextVar("reused", default=None)
_LAMBDA_FACTOR = 4.0
#: Half-lives that are tried.
_HALF_LIVES = (5.0, 20.0, 80.0)
_HALF_LIFE_USERS = 3_000
#: Most users by which weights are found: their candidates are all in memory.
_WEIGHT_USERS = 50_000
#: The same where it is late.
_HURRIED_USERS = 1_000
#: Weights where there is nothing to find them on.
_WEIGHTS = {
    g.LEARNED: 0.5,
    g.FILTER: 1.0,
    g.SHARPENING: -0.5,
    g.RIDGE: 1.0,
    g.LOW_PASS: 0.2,
    g.FACTORS: 1.0,
    g.TRANSITIONS: 0.5,
}


def fit_graph(
    settings: GraphSum, train: Rows, n_items: int, learned: Learned | None = None, seed: int = 1
) -> Arrays:
    """Return the parts' arrays, and the scale of each part.

    What the settings leave open has the value with which the search on valid begins.

    Parameters
    ----------
    settings
        The settings.
    train
        Every user's interactions, oldest first.
    n_items
        |I|.
    learned
        A trained model, if it is one of the parts.
    seed
        Of the masks of factors.
    """
    arrays = _fitted(settings, train, n_items, seed)
    return {**arrays, "scales": _scales(settings, arrays, train, learned)}


def graph_memory(settings: GraphSum, n_items: int, lengths: NDArray[np.int64]) -> int:
    """Return about how many bytes fitting takes besides the log and a trained model.

    Parameters
    ----------
    settings, n_items
        As in :func:`fit_graph`.
    lengths
        Number of interactions of each user.
    """
    parts = settings.parts
    judged = min(len(lengths), _WEIGHT_USERS)
    weighing = judged * (len(parts) + 2) * PER_SUM * 2 * (4 * len(parts) + 1)
    ridge = ridge_memory(lengths, n_items, settings.neighbours) if g.RIDGE in parts else 0
    factors = _factors_memory(settings, len(lengths), n_items) if g.FACTORS in parts else 0
    return max(weighing, ridge, factors)


def _factors_memory(settings: GraphSum, n_users: int, n_items: int) -> int:
    kept = 4 * settings.factors_fits * settings.factors_rank * n_items
    return factors_memory(n_users, n_items, settings.factors_rank) + kept


@one_thread_each()  # the search makes many small products, from threads of its own
def select_graph(
    settings: GraphSum,
    train: Rows,
    valid: Rows,
    n_items: int,
    learned: Learned | None = None,
    seed: int = 1,
    late: Late = never,
) -> tuple[GraphSum, Arrays]:
    """Return the settings with what they leave open found on valid, and the arrays of train.

    Parameters
    ----------
    settings, train, n_items, learned, seed
        As in :func:`fit_graph`.
    valid
        Every user's held-out interactions.
    late
        When to stop searching, with the best so far. What is found is then by some users alone.
    """
    seen, held_out = _matrix(train, n_items), _matrix(valid, n_items)
    settings, arrays = _on_valid(settings, train, valid, n_items, seed, late)
    if settings.weights is not None and _half_life_known(settings):
        return settings, {**arrays, "scales": _scales(settings, arrays, train, learned)}

    def weighed(choice: GraphSum, limit: int) -> tuple[float, GraphSum, Arrays]:
        parts = _reader(choice, arrays, train, learned)
        scale = scales(parts, np.arange(len(train)))
        limit = _HURRIED_USERS if late() else limit
        weights, value = _best_weights(choice, parts, scale, seen, held_out, limit, late)
        return value, replace(choice, weights=weights), {**arrays, "scales": scale}

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
    settings: GraphSum, train: Rows, valid: Rows, n_items: int, seed: int, late: Late
) -> tuple[GraphSum, Arrays]:
    """Return the settings with exponents found on valid, and the arrays of the parts."""
    others = tuple(name for name in settings.parts if name != g.LEARNED)
    values = {**vars(settings), "parts": others, "weights": None}
    key = (*sorted(values.items()), seed, _digest(train), _digest(valid))
    kept = _REUSED.get()
    kept = {} if kept is None else kept
    if key not in kept:
        seen, held_out = _matrix(train, n_items), _matrix(valid, n_items)
        found = _with_exponents(settings, train, seen, held_out, late)
        kept[key] = found, _fitted(found, train, n_items, seed)
    found, arrays = kept[key]
    return replace(settings, p=found.p, q_in=found.q_in, q_out=found.q_out), arrays


def _digest(rows: Rows) -> bytes:
    """Return a hash of the items of each row, in order."""
    digest = hashlib.sha256(np.ascontiguousarray(rows.indptr).tobytes())
    digest.update(np.ascontiguousarray(rows.items).tobytes())
    return digest.digest()


def _best_weights(
    settings: GraphSum,
    parts: Parts,
    scale: NDArray[np.float32],
    seen: Any,
    held_out: Any,
    limit: int,
    late: Late,
) -> tuple[tuple[float, ...], float]:
    """Return the weights, found on valid unless they are given, and the quality there.

    Both are by all users with held-out interactions, or by some, spread over all.
    """
    alone = np.eye(len(scale)).tolist()
    sums = [alone[k] for k, name in enumerate(settings.parts) if name != g.SHARPENING]
    sums.append(list(settings.weights or _start(settings)))
    if {g.FILTER, g.SHARPENING} <= set(settings.parts):
        of = {g.FILTER: 1.0, g.SHARPENING: _WEIGHTS[g.SHARPENING]}
        sums.append([of.get(name, 0.0) for name in settings.parts])
    users = np.flatnonzero(np.diff(held_out.indptr))
    users = users[:: -(-len(users) // limit)]
    found = candidates(parts, scale, sums, seen, held_out, users)
    if settings.weights is not None:
        return settings.weights, found.quality(settings.weights)
    if g.LEARNED in settings.parts and len(settings.parts) > 1:
        sums.append(_without(settings.parts.index(g.LEARNED), found, sums, late))
    return best_weights(found, sums, late)


def _without(
    place: int, found: Candidates, sums: Sequence[Sequence[float]], late: Late
) -> list[float]:
    """Return the best weights with 0 in one place: the search for all is never behind them."""
    others = [k for k in range(len(found.scores)) if k != place]
    rest = Candidates(found.scores[others], found.banned, found.hits, found.relevant)
    starts = [[weights[k] for k in others] for weights in sums]
    best, _ = best_weights(rest, [start for start in starts if any(start)], late)
    return [*best[:place], 0.0, *best[place:]]


def _start(settings: GraphSum) -> tuple[float, ...]:
    """Return the weights with which the search begins."""
    return tuple(_WEIGHTS[name] for name in settings.parts)


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
    if not free or not _filters(settings):
        return settings
    found = best_exponents(
        seen,
        held_out,
        _histories(settings, train, seen.shape[1]),
        start=_exponents(settings),
        free=free,
        sharpened=g.SHARPENING in settings.parts,
        late=late,
    )
    return replace(settings, p=found.p, q_in=found.q_in, q_out=found.q_out)


def _filters(settings: GraphSum) -> bool:
    return g.FILTER in settings.parts or g.SHARPENING in settings.parts


def _fitted(settings: GraphSum, train: Rows, n_items: int, seed: int) -> Arrays:
    """Return the arrays of the parts."""
    x = _matrix(train, n_items)
    arrays: Arrays = {"n_items": np.array([n_items])}
    if _filters(settings):
        arrays |= _named("train", stored(x))
    if g.RIDGE in settings.parts:
        arrays |= _named("ridge", stored(_ridge(settings, x)))
    if g.LOW_PASS in settings.parts:
        arrays["low_pass.A"], arrays["low_pass.B"] = low_pass(x, settings.low_pass_rank)
    if g.FACTORS in settings.parts:
        arrays["factors.V"], arrays["factors.P"] = _factors(settings, x, seed)
    if isinstance(settings, OrderedGraphSum) and g.TRANSITIONS in settings.parts:
        moves = transitions(train.indptr, train.items, n_items, settings.places)
        arrays |= _named("transitions", stored(moves))
    return arrays


def _ridge(settings: GraphSum, x: Any) -> Any:
    lambda_ = settings.ridge_lambda
    if lambda_ is None:
        users, _ = degrees(x)
        weighted = scaled(x, power(users, settings.user_exponent / 2))
        lambda_ = _LAMBDA_FACTOR * mean_diagonal(weighted)
    needed = ridge_memory(np.diff(x.indptr).astype(np.int64), x.shape[1], settings.neighbours)
    require_memory("the ridge of a graph", needed, x.shape[1])
    return neighbourhood_ridge(x, settings.neighbours, lambda_, settings.user_exponent)


def _factors(settings: GraphSum, x: Any, seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return V (fits, items, rank) and P (fits, rank, rank)."""
    rank, fits = settings.factors_rank, settings.factors_fits
    n_users, n_items = x.shape
    needed = _factors_memory(settings, n_users, n_items)
    require_memory("the factors of a graph", needed, n_items)
    found = [
        masked_factors(
            x,
            rank,
            alpha_0=settings.factors_alpha_0,
            lambda_=settings.factors_lambda,
            mask=settings.factors_mask,
            kept_weight=settings.factors_kept_weight,
            sweeps=settings.factors_sweeps,
            seed=[seed, fit],
        )
        for fit in range(fits)
    ]
    V, P = (np.stack(of_fits) for of_fits in zip(*found, strict=True))
    return V, P


class _Parts:
    """The scores of each part, for histories."""

    def __init__(
        self, settings: GraphSum, arrays: Mapping[str, Any], learned: Learned | None
    ) -> None:
        self.settings, self.learned = settings, learned
        self.n_items = n = int(np.asarray(arrays["n_items"])[0])
        self.filter: DegreeFilter | None = None
        if _filters(settings):
            self.filter = DegreeFilter(loaded(_of("train", arrays), n), _exponents(settings))
        self.sparse = {
            name: loaded(_of(name, arrays), n)
            for name in (g.RIDGE, g.TRANSITIONS)
            if name in settings.parts
        }
        if g.LOW_PASS in settings.parts:
            self.A, self.B = (np.asarray(arrays[f"low_pass.{name}"]) for name in "AB")
        if g.FACTORS in settings.parts:
            self.V, self.P = (np.asarray(arrays[f"factors.{name}"]) for name in "VP")

    def scores(self, rows: Rows) -> list[NDArray[np.float32]]:
        """Return the scores of each part in the order of the settings, (B, items) each."""
        histories = _histories(self.settings, rows, self.n_items)
        found: dict[str, NDArray[np.float32]] = {}
        if self.learned is not None:
            found[g.LEARNED] = self.learned(rows)
        if self.filter is not None:
            found[g.FILTER] = self.filter.scores(histories)
            if g.SHARPENING in self.settings.parts:
                found[g.SHARPENING] = self.filter.smoothed(found[g.FILTER])
        if g.RIDGE in self.sparse:
            found[g.RIDGE] = (histories @ self.sparse[g.RIDGE]).toarray()
        if g.LOW_PASS in self.settings.parts:
            found[g.LOW_PASS] = (histories @ self.A) @ self.B.T
        if g.FACTORS in self.settings.parts:
            found[g.FACTORS] = self._of_factors(rows)
        if g.TRANSITIONS in self.sparse:
            newest = read_newest(rows, self.n_items)
            found[g.TRANSITIONS] = (newest @ self.sparse[g.TRANSITIONS]).toarray()
        return [found[name] for name in self.settings.parts]

    def _of_factors(self, rows: Rows) -> NDArray[np.float32]:
        """Return the mean scores of all fits."""
        total = np.zeros((len(rows), self.n_items), np.float32)
        for V, P in zip(self.V, self.P, strict=True):
            total += user_factors(rows.indptr, rows.items, V, P) @ V.T
        total /= len(self.V)
        return total


class GraphScorer:
    """Scores items by the weighted sum of the parts.

    Parameters
    ----------
    config, weights, backend
        As in :func:`~diffrec_cli.models.scorer.build_scorer`.
    learned
        The trained model, if it is one of the parts.
    """

    def __init__(
        self,
        config: FitConfig,
        weights: Mapping[str, Any],
        backend: Backend,
        learned: Learned | None = None,
    ) -> None:
        settings = config.graph or config.comparator
        if not isinstance(settings, GraphSum):
            raise TypeError(f"{config.variant} is no sum of item graphs")
        self.backend = backend
        self._parts = _Parts(settings, weights, learned)
        self.n_items = self._parts.n_items
        chosen = settings.weights or _start(settings)
        self._factors = np.asarray(chosen, np.float32) / np.asarray(weights["scales"])

    def scores(self, rows: Rows) -> Any:
        """Return (B, items) weighted sums."""
        total = np.zeros((len(rows), self.n_items), np.float32)
        for factor, scores in zip(self._factors, self._parts.scores(rows), strict=True):
            if factor:
                total += factor * scores
        return self.backend.asarray(total)


def _reader(settings: GraphSum, arrays: Arrays, train: Rows, learned: Learned | None) -> Parts:
    """Return the function from users of `train` to each part's scores."""
    parts = _Parts(settings, arrays, learned)
    return lambda users: parts.scores(train.take(users))


def _scales(
    settings: GraphSum, arrays: Arrays, train: Rows, learned: Learned | None
) -> NDArray[np.float32]:
    return scales(_reader(settings, arrays, train, learned), np.arange(len(train)))


def _exponents(settings: GraphSum) -> Exponents:
    p, q_in, q_out = settings.p, settings.q_in, settings.q_out
    return Exponents(
        START.p if p is None else p,
        START.q_in if q_in is None else q_in,
        START.q_out if q_out is None else q_out,
    )


def _histories(settings: GraphSum, rows: Rows, n_items: int) -> Any:
    """Return histories as the parts without direction read them, (B, items) CSR."""
    histories = _matrix(rows, n_items)
    if isinstance(settings, OrderedGraphSum):
        histories.data = faded(rows.indptr, settings.half_life or _HALF_LIVES[1])
    return histories


def _matrix(rows: Rows, n_items: int) -> Any:
    """Return which items are in each row, (B, items) CSR; weights of the rows mean nothing."""
    from scipy.sparse import csr_matrix

    ones = np.ones(len(rows.items), np.float32)
    return csr_matrix((ones, rows.items, rows.indptr), (len(rows), n_items))


def _named(part: str, arrays: Arrays) -> Arrays:
    return {f"{part}.{name}": array for name, array in arrays.items()}


def _of(part: str, arrays: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the arrays of a part by the names of :func:`stored`."""
    return {name: arrays[f"{part}.{name}"] for name in ("data", "indices", "indptr")}
