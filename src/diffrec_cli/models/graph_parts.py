"""The parts of a sum of item graphs: what is fitted for each, and their scores of histories.

Sources: GF-CF (Shen et al., CIKM 2021) for the filter and the low-pass, BSPM (Choi et al., SIGIR
2023) for the idea of sharpening, fsSLIM (Ning and Karypis, ICDM 2011) for neighbourhoods. The free
exponents are this project's. A trained model may be one of the parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.config import GraphSum, OrderedGraphSum
from diffrec_cli.config import graphs as g
from diffrec_cli.data.sequences import Rows
from diffrec_cli.graph.degree_filter import DegreeFilter, Exponents
from diffrec_cli.graph.degrees import degrees, power, scaled
from diffrec_cli.graph.exponents import START
from diffrec_cli.graph.factors import factors_memory, masked_factors, user_factors
from diffrec_cli.graph.low_pass import low_pass
from diffrec_cli.graph.ridge import (
    WHOLE,
    Gram,
    Share,
    gram_rows,
    joined_columns,
    mean_diagonal,
    ridge_columns,
    ridge_memory,
)
from diffrec_cli.graph.transitions import faded, transitions
from diffrec_cli.memory import require_memory
from diffrec_cli.models.baselines.markov import read_newest
from diffrec_cli.models.baselines.sparse import loaded, stored

Arrays = dict[str, NDArray[Any]]
#: The scores of a trained model for histories, (B, items).
Learned = Callable[[Rows], NDArray[np.float32]]
Factors = tuple[NDArray[np.float32], NDArray[np.float32]]
#: No arrays.
NONE: Mapping[str, Any] = MappingProxyType({})

#: Half-life of a history that the parts without direction read, unless it is given or found.
HALF_LIFE = 20.0
_LAMBDA_FACTOR = 4.0


def fit_parts(
    settings: GraphSum, train: Rows, n_items: int, seed: int, ready: Mapping[str, Any] = NONE
) -> Arrays:
    """Return the arrays of the parts.

    Parameters
    ----------
    settings
        The settings.
    train
        Every user's interactions, oldest first.
    n_items
        |I|.
    seed
        Of the masks of factors.
    ready
        Arrays of parts that have been fitted.
    """
    x = matrix_of(train, n_items)
    arrays: Arrays = {"n_items": np.array([n_items]), **ready}
    if filters(settings):
        arrays |= _named("train", stored(x))
    if g.RIDGE in settings.parts and not ready:
        problem = ridge_problem(settings, x)
        gram = Gram([problem.gram_rows()])
        arrays |= joined_ridge([problem.columns(gram)])
    if g.LOW_PASS in settings.parts:
        arrays["low_pass.A"], arrays["low_pass.B"] = low_pass(x, settings.low_pass_rank)
    if g.FACTORS in settings.parts and not ready:
        fits = range(settings.factors_fits)
        arrays |= joined_factors([fit_factors(settings, x, [seed, fit]) for fit in fits])
    if isinstance(settings, OrderedGraphSum) and g.TRANSITIONS in settings.parts:
        moves = transitions(train.indptr, train.items, n_items, settings.places)
        arrays |= _named("transitions", stored(moves))
    return arrays


def parts_memory(
    settings: GraphSum, n_items: int, lengths: NDArray[np.int64], shares: int = 1
) -> int:
    """Return about how many bytes fitting the parts takes, with histories of these lengths.

    Parameters
    ----------
    settings, n_items, lengths
        As for :func:`fit_parts`.
    shares
        Number of processes that share the work.
    """
    ridge = g.RIDGE in settings.parts
    factors = g.FACTORS in settings.parts
    return max(
        ridge_memory(lengths, n_items, settings.neighbours, shares) if ridge else 0,
        _factors_memory(settings, len(lengths), n_items) if factors else 0,
    )


def _factors_memory(settings: GraphSum, n_users: int, n_items: int) -> int:
    kept = 4 * settings.factors_fits * settings.factors_rank * n_items
    return factors_memory(n_users, n_items, settings.factors_rank) + kept


@dataclass(frozen=True)
class RidgeProblem:
    """The ridge of a graph, which processes may share.

    Parameters
    ----------
    x
        (users, items) CSR weighted histories.
    neighbours, lambda_
        As for :func:`~diffrec_cli.graph.ridge.neighbourhood_ridge`.
    """

    x: Any
    neighbours: int
    lambda_: float

    def gram_rows(self, share: Share = WHOLE) -> Any:
        """Return a share of the rows of the Gram matrix."""
        return gram_rows(self.x, share)

    def columns(self, gram: Gram, share: Share = WHOLE) -> Any:
        """Return a share of the columns of the solution."""
        return ridge_columns(gram, self.neighbours, self.lambda_, share)


def ridge_problem(settings: GraphSum, x: Any, shares: int = 1) -> RidgeProblem:
    """Return what is to solve for (users, items) histories, by so many processes.

    Raises
    ------
    DeviceError
        There is not enough memory.
    """
    n_items = x.shape[1]
    needed = ridge_memory(np.diff(x.indptr).astype(np.int64), n_items, settings.neighbours, shares)
    require_memory("the ridge of a graph", needed, n_items)
    users, _ = degrees(x)
    weighted = scaled(x, power(users, settings.user_exponent / 2))
    lambda_ = settings.ridge_lambda
    if lambda_ is None:
        lambda_ = _LAMBDA_FACTOR * mean_diagonal(weighted)
    return RidgeProblem(weighted, settings.neighbours, lambda_)


def joined_ridge(shares: Sequence[Any]) -> Arrays:
    """Return the arrays of the ridge, of the columns of all shares."""
    return _named("ridge", stored(joined_columns(shares)))


def fit_factors(settings: GraphSum, x: Any, seed: list[int]) -> Factors:
    """Return V (items, rank) and P (rank, rank) of one fit.

    Raises
    ------
    DeviceError
        There is not enough memory for all fits.
    """
    n_users, n_items = x.shape
    needed = _factors_memory(settings, n_users, n_items)
    require_memory("the factors of a graph", needed, n_items)
    return masked_factors(
        x,
        settings.factors_rank,
        alpha_0=settings.factors_alpha_0,
        lambda_=settings.factors_lambda,
        mask=settings.factors_mask,
        kept_weight=settings.factors_kept_weight,
        sweeps=settings.factors_sweeps,
        seed=seed,
    )


def joined_factors(fits: Sequence[Factors]) -> Arrays:
    """Return the arrays of the factors, of all fits."""
    V, P = (np.stack(of_fits) for of_fits in zip(*fits, strict=True))
    return {"factors.V": V, "factors.P": P}


class GraphParts:
    """The scores of each part, for histories.

    Parameters
    ----------
    settings
        The settings.
    arrays
        Those of :func:`fit_parts`.
    learned
        The trained model, if it is one of the parts.
    """

    def __init__(
        self, settings: GraphSum, arrays: Mapping[str, Any], learned: Learned | None
    ) -> None:
        self.settings, self.learned = settings, learned
        self.n_items = n = int(np.asarray(arrays["n_items"])[0])
        self.filter: DegreeFilter | None = None
        if filters(settings):
            self.filter = DegreeFilter(loaded(_of("train", arrays), n), exponents_of(settings))
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
        histories = histories_of(self.settings, rows, self.n_items)
        found: dict[str, NDArray[np.float32]] = {}
        if self.learned is not None:
            found[g.LEARNED] = self.learned(rows)
        if self.filter is not None:
            found[g.FILTER] = self.filter.scores(histories)
            if g.SHARPENING in self.settings.parts:
                found[g.SHARPENING] = self.filter.smoothed(found[g.FILTER])
        if g.RIDGE in self.sparse:
            found[g.RIDGE] = (histories @ self.sparse[g.RIDGE]).toarray()
        if g.REPEAT in self.settings.parts:
            found[g.REPEAT] = histories.toarray()
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
            total += user_factors(rows.indptr, rows.items, rows.strengths, V, P) @ V.T
        total /= len(self.V)
        return total


def exponents_of(settings: GraphSum) -> Exponents:
    """Return the filter's exponents; those left open are where the search for them begins."""
    p, q_in, q_out = settings.p, settings.q_in, settings.q_out
    return Exponents(
        START.p if p is None else p,
        START.q_in if q_in is None else q_in,
        START.q_out if q_out is None else q_out,
    )


def histories_of(settings: GraphSum, rows: Rows, n_items: int) -> Any:
    """Return histories as the parts without direction read them, (B, items) CSR."""
    histories = matrix_of(rows, n_items)
    if isinstance(settings, OrderedGraphSum):
        histories.data *= faded(rows.indptr, settings.half_life or HALF_LIFE)
    return histories


def matrix_of(rows: Rows, n_items: int) -> Any:
    """Return the strength of each item in each row, (B, items) CSR; weights by order do not count.

    It has arrays of its own.
    """
    from scipy.sparse import csr_matrix

    strengths = np.array(rows.strengths)
    return csr_matrix((strengths, rows.items, rows.indptr), (len(rows), n_items))


def filters(settings: GraphSum) -> bool:
    """Tell whether one of the parts needs the degree filter."""
    return g.FILTER in settings.parts or g.SHARPENING in settings.parts


def _named(part: str, arrays: Arrays) -> Arrays:
    return {f"{part}.{name}": array for name, array in arrays.items()}


def _of(part: str, arrays: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the arrays of a part by the names of :func:`stored`."""
    return {name: arrays[f"{part}.{name}"] for name in ("data", "indices", "indptr")}
