"""Adding item graphs to the output of a trained model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from diffrec_cli.config import FitConfig, GraphSum
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.sequences import Rows, input_rows
from diffrec_cli.graph.judging import Late, never
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.graph_parts import NONE, Learned
from diffrec_cli.models.graph_selection import select_graph
from diffrec_cli.models.graph_sum import fit_graph
from diffrec_cli.models.scorer import GRAPH, build_scorer
from diffrec_cli.workflows.fitting.closed_form import changes
from diffrec_cli.workflows.progress import Listener, Note

Arrays = dict[str, NDArray[Any]]


def with_graphs(
    config: FitConfig,
    arrays: Mapping[str, Any],
    dataset: Dataset,
    device: str,
    listener: Listener,
    late: Late = never,
    ready: Mapping[str, Any] = NONE,
) -> tuple[FitConfig, Arrays]:
    """Return the settings with weights found on valid, and a trained model's arrays and graphs'.

    Parameters
    ----------
    config
        Settings with `graph`.
    arrays
        Those of the model, trained on the train part.
    dataset, device, listener
        The log, where to compute, and who gets notes.
    late
        When to stop the search for what is left open.
    ready
        Arrays of graphs that all processes have built.
    """
    settings = _settings(config)
    listener(Note("adding item graphs to the scores"))
    learned = _learned(config, arrays, device)
    train, n_items = input_rows(dataset.judged, config.temporal), dataset.n_items
    seed = config.seed
    if not dataset.valid.size:
        return config, _joined(arrays, fit_graph(settings, train, n_items, learned, seed, ready))
    valid = input_rows(dataset.to_find("valid"), None)
    found, of_graph = select_graph(settings, train, valid, n_items, learned, seed, late, ready)
    if late():
        listener(Note("time is up: the graphs' exponents and weights are the best so far"))
    config_found = replace(config, graph=found)
    if config_found != config:
        listener(Note(f"found on valid: {changes(config, config_found)}"))
    return config_found, _joined(arrays, of_graph)


def refitted_graphs(
    config: FitConfig,
    arrays: Mapping[str, Any],
    dataset: Dataset,
    trained_on: str,
    device: str,
    ready: Mapping[str, Any] = NONE,
) -> Arrays:
    """Return a refitted model's arrays, and those of graphs of the same interactions."""
    history: Rows = input_rows(dataset.history(trained_on), config.temporal)
    learned = _learned(config, arrays, device)
    settings, n_items = _settings(config), dataset.n_items
    return _joined(arrays, fit_graph(settings, history, n_items, learned, config.seed, ready))


def _settings(config: FitConfig) -> GraphSum:
    if config.graph is None:
        raise TypeError(f"{config.variant} has no item graphs")
    return config.graph


def _learned(config: FitConfig, arrays: Mapping[str, Any], device: str) -> Learned:
    scorer = build_scorer(replace(config, graph=None), arrays, TorchBackend(device))
    one_at_a_time = Lock()  # the graphs are read by many threads

    def scores(rows: Rows) -> NDArray[np.float32]:
        with one_at_a_time, torch.inference_mode():
            return scorer.backend.host(scorer.scores(rows))

    return scores


def _joined(arrays: Mapping[str, Any], of_graph: Arrays) -> Arrays:
    return {**arrays, **{f"{GRAPH}{name}": array for name, array in of_graph.items()}}
