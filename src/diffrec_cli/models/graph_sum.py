"""Weighted sums of item graphs, and of a trained model: their scores.

The parts are in :mod:`~diffrec_cli.models.graph_parts`; weights and exponents are found on valid in
:mod:`~diffrec_cli.models.graph_selection`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.config import FitConfig, GraphSum
from diffrec_cli.config import graphs as g
from diffrec_cli.data.sequences import Rows
from diffrec_cli.graph.sums import Parts, scales
from diffrec_cli.models.backend import Backend
from diffrec_cli.models.graph_parts import NONE, Arrays, GraphParts, Learned, fit_parts

#: Weights where there is nothing to find them on, and where a search for them begins.
_WEIGHTS = {
    g.LEARNED: 0.5,
    g.FILTER: 1.0,
    g.SHARPENING: -0.5,
    g.RIDGE: 1.0,
    g.LOW_PASS: 0.2,
    g.FACTORS: 1.0,
    g.TRANSITIONS: 0.5,
    g.REPEAT: 0.5,
}


def fit_graph(
    settings: GraphSum,
    train: Rows,
    n_items: int,
    learned: Learned | None = None,
    seed: int = 1,
    ready: Mapping[str, Any] = NONE,
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
    ready
        Arrays of parts that have been fitted.
    """
    arrays = fit_parts(settings, train, n_items, seed, ready)
    return {**arrays, "scales": part_scales(settings, arrays, train, learned)}


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
        self._parts = GraphParts(settings, weights, learned)
        self.n_items = self._parts.n_items
        chosen = settings.weights or start_weights(settings)
        self._factors = np.asarray(chosen, np.float32) / np.asarray(weights["scales"])

    def scores(self, rows: Rows) -> Any:
        """Return (B, items) weighted sums."""
        total = np.zeros((len(rows), self.n_items), np.float32)
        for factor, scores in zip(self._factors, self._parts.scores(rows), strict=True):
            if factor:
                total += factor * scores
        return self.backend.asarray(total)


def start_weights(settings: GraphSum) -> tuple[float, ...]:
    """Return the weights with which a search for them begins."""
    return tuple(_WEIGHTS[name] for name in settings.parts)


def part_reader(settings: GraphSum, arrays: Arrays, train: Rows, learned: Learned | None) -> Parts:
    """Return the function from users of `train` to each part's scores."""
    parts = GraphParts(settings, arrays, learned)
    return lambda users: parts.scores(train.take(users))


def part_scales(
    settings: GraphSum, arrays: Arrays, train: Rows, learned: Learned | None
) -> NDArray[np.float32]:
    """Return what each part is divided by, (parts,)."""
    return scales(part_reader(settings, arrays, train, learned), np.arange(len(train)))
