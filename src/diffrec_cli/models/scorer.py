"""The interface between models and ranking: scores of all items for given histories.

A scorer whose scores are a linear function of a hidden vector also has ``hidden`` and ``output``;
ranking then computes scores block by block. This module imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

from diffrec_cli.catalogue import corruption_row, model_row
from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Rows
from diffrec_cli.models.backend import Backend
from diffrec_cli.models.diffrec_inference import LatentScorer
from diffrec_cli.models.graph_sum import GraphScorer
from diffrec_cli.models.output import Output

Array = Any  # np.ndarray or torch.Tensor


class Scorer(Protocol):
    """A model that scores items."""

    n_items: int
    """|I|."""
    backend: Backend
    """Where its scores are."""

    def scores(self, rows: Rows) -> Array:
        """Return the scores of all items for each row, (B, |I|); seen items are not masked."""


@runtime_checkable
class LinearScorer(Protocol):
    """A scorer whose scores are a linear layer over hidden vectors."""

    output: Output | None
    """That layer; ``None`` where the scores of these settings are not linear."""
    backend: Backend
    """Where hidden vectors are."""

    def hidden(self, rows: Rows) -> Array:
        """Return the hidden vector of every row, (B, H)."""


def build_scorer(config: FitConfig, weights: Mapping[str, Any], backend: Backend) -> Scorer:
    """Return the scorer of a trained model.

    Parameters
    ----------
    config
        The settings it was trained with.
    weights
        Its arrays by name (NumPy arrays, or live tensors during training).
    backend
        Where to compute.
    """
    if f"{NEW}indptr" in weights:
        return _with_new_items(config, weights, backend)
    if config.graph is not None:
        return _sum_scorer(config, weights, backend)
    if config.comparator is None and config.latent is not None:
        return LatentScorer(config, weights, backend)
    row = model_row(config) or corruption_row(config)
    scorer: Scorer = row.scorer(config, weights, backend)
    return scorer


#: Begin of the names of the arrays that item graphs add to a trained model's, and new items.
GRAPH, NEW = "graph.", "new."


def trained_alone(scorer: Scorer) -> Scorer:
    """Return the scorer of the items that the model was trained with."""
    trained: Scorer = getattr(scorer, "trained", scorer)
    return trained


def _with_new_items(config: FitConfig, weights: Mapping[str, Any], backend: Backend) -> Scorer:
    """Return the scorer of a model and of items that came after it was trained."""
    from diffrec_cli.models.new_items import NewItemScorer

    trained = {name: array for name, array in weights.items() if not name.startswith(NEW)}
    return NewItemScorer(build_scorer(config, trained, backend), weights)


def _sum_scorer(config: FitConfig, weights: Mapping[str, Any], backend: Backend) -> GraphScorer:
    """Return the scorer of a trained model with item graphs in its output."""
    trained = build_scorer(replace(config, graph=None), weights, backend)
    of_graph = {k.removeprefix(GRAPH): v for k, v in weights.items() if k.startswith(GRAPH)}

    def learned(rows: Rows) -> Array:
        return trained.backend.host(trained.scores(rows))

    return GraphScorer(config, of_graph, backend, learned)
