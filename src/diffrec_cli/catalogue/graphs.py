"""Item graphs: their settings and their rows. Settings that are ``None`` are found on valid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from diffrec_cli.catalogue.registered import register
from diffrec_cli.catalogue.rows import Code, Model
from diffrec_cli.config import Comparator
from diffrec_cli.config.checks import FINITE, POSITIVE, Size, check

FILTER, SHARPENING, RIDGE, LOW_PASS, TRANSITIONS = PARTS = (
    "filter",
    "sharpening",
    "ridge",
    "low_pass",
    "transitions",
)
#: Parts that read the order of a history.
DIRECTED = (TRANSITIONS,)

Found = Annotated[float | None, FINITE]


@dataclass(frozen=True)
class _Graphs(Comparator):
    """What all item graphs have."""

    weighted: ClassVar[bool] = False

    parts: tuple[str, ...] = (FILTER, SHARPENING, RIDGE)
    """Which parts are summed: filter (two sparse products), sharpening (the filter of the filter's
    scores, mostly taken away), ridge (each item from its neighbours), low_pass (leading singular
    vectors), transitions (what follows what)."""
    weights: tuple[float, ...] | None = None
    """Weight of each part, in units of its deviation over items."""
    p: Found = None
    """Filter: half the power by which active users count less."""
    q_in: Found = None
    """Filter: the power by which popular items of a history count less."""
    q_out: Found = None
    """Filter: the power by which popular items are scored less; may be below 0."""
    neighbours: Size = 150
    """Ridge: number of items that predict an item."""
    ridge_lambda: Annotated[float | None, POSITIVE] = None
    """Ridge: weight of the penalty; ``None`` is four times the mean of the Gram matrix's
    diagonal."""
    user_exponent: Annotated[float, FINITE] = -0.25
    """Ridge: users are weighted by their degree to this power."""
    low_pass_rank: Size = 128
    """Low-pass: number of singular vectors."""

    def __post_init__(self) -> None:
        """Check the parts and that there are as many weights."""
        super().__post_init__()
        known = [part for part in PARTS if part not in DIRECTED or self._directed()]
        unknown = [part for part in self.parts if part not in known]
        words = f"some of {', '.join(known)}, each once"
        right = self.parts and not unknown and len(set(self.parts)) == len(self.parts)
        check(bool(right), "parts", ",".join(self.parts), words)
        fits = self.weights is None or len(self.weights) == len(self.parts)
        check(fits, "weights", self.weights, f"one for each of {', '.join(self.parts)}")

    @classmethod
    def _directed(cls) -> bool:
        return False


@dataclass(frozen=True)
class GraphConfig(_Graphs):
    """A sum of item graphs that do not read order: filter, sharpening and neighbourhood ridge."""

    model: ClassVar[str] = "graph"


@dataclass(frozen=True)
class GraphTConfig(_Graphs):
    """Item graphs with recency weights, and directed transitions beside them."""

    model: ClassVar[str] = "graph-t"

    parts: tuple[str, ...] = (FILTER, SHARPENING, RIDGE, TRANSITIONS)
    half_life: Annotated[float | None, POSITIVE] = None
    """All but transitions: the age, in interactions, at which one counts half."""
    places: Size = 5
    """Transitions: largest gap between two items."""

    @classmethod
    def _directed(cls) -> bool:
        return True


@dataclass(frozen=True)
class MarkovConfig(Comparator):
    """Directed transitions alone: what follows the newest items of a history."""

    model: ClassVar[str] = "markov"
    weighted: ClassVar[bool] = False

    places: Size = 5
    """Largest gap between two items."""


_SCORER = Code(".models.baselines.graph:GraphScorer")
_SELECT = Code(".models.baselines.graph:select_graph")
_FIT = Code(".models.baselines.graph:fit_graph")
register(
    Model(GraphConfig, fit=_FIT, select=_SELECT, scorer=_SCORER),
    Model(GraphTConfig, fit=_FIT, select=_SELECT, scorer=_SCORER, reads_order=True),
    Model(
        MarkovConfig,
        fit=Code(".models.baselines.markov:fit_markov"),
        scorer=Code(".models.baselines.markov:MarkovScorer"),
        reads_order=True,
    ),
)
