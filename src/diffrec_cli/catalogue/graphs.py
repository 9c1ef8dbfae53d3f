"""Item graphs: their settings and their rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from diffrec_cli.catalogue.registered import register
from diffrec_cli.catalogue.rows import Code, Model
from diffrec_cli.config import Comparator
from diffrec_cli.config.checks import Size
from diffrec_cli.config.graphs import (
    FACTORS,
    FILTER,
    LOW_PASS,
    REPEAT,
    RIDGE,
    SHARPENING,
    TRANSITIONS,
    GraphSum,
    OrderedGraphSum,
)


@dataclass(frozen=True)
class GraphConfig(GraphSum, Comparator):
    """A sum of item graphs that do not read order: filter, sharpening and neighbourhood ridge."""

    model: ClassVar[str] = "graph"
    weighted: ClassVar[bool] = False
    known: ClassVar[tuple[str, ...]] = (FILTER, SHARPENING, RIDGE, LOW_PASS, FACTORS, REPEAT)

    parts: tuple[str, ...] = (FILTER, SHARPENING, RIDGE)


@dataclass(frozen=True)
class GraphTConfig(OrderedGraphSum, Comparator):
    """Item graphs with recency weights, and directed transitions beside them."""

    model: ClassVar[str] = "graph-t"
    weighted: ClassVar[bool] = False
    known: ClassVar[tuple[str, ...]] = (*GraphConfig.known, TRANSITIONS)

    parts: tuple[str, ...] = (FILTER, SHARPENING, RIDGE, TRANSITIONS)


@dataclass(frozen=True)
class MarkovConfig(Comparator):
    """Directed transitions alone: what follows the newest items of a history."""

    model: ClassVar[str] = "markov"
    weighted: ClassVar[bool] = False

    places: Size = 5
    """Largest gap between two items."""


_SCORER = Code(".models.graph_sum:GraphScorer")
_SELECT = Code(".models.graph_selection:select_graph")
_FIT = Code(".models.graph_sum:fit_graph")
_MEMORY = Code(".models.graph_selection:graph_memory")
_TRAIN = ("train.",)  # of the filter: the interactions themselves
register(
    Model(GraphConfig, fit=_FIT, select=_SELECT, scorer=_SCORER, memory=_MEMORY, of_users=_TRAIN),
    Model(
        GraphTConfig,
        fit=_FIT,
        select=_SELECT,
        scorer=_SCORER,
        memory=_MEMORY,
        of_users=_TRAIN,
        reads_order=True,
    ),
    Model(
        MarkovConfig,
        weighs=False,
        fit=Code(".models.baselines.markov:fit_markov"),
        scorer=Code(".models.baselines.markov:MarkovScorer"),
        reads_order=True,
    ),
)
