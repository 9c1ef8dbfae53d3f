"""What smoothing costs beside Gaussian noise: the graph, a training step, ranking."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from diffrec_cli.catalogue import preset
from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Sequences, input_rows
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.build import build_model, stored_weights
from diffrec_cli.models.item_spectrum import item_spectrum
from diffrec_cli.models.scorer import build_scorer
from diffrec_cli.ranking.batches import rank
from diffrec_cli.training import loop
from diffrec_cli.training.devices import choose_precision
from tests.benchmarks.measure import side_by_side
from tests.benchmarks.sizes import AMAZON, ML_1M, Size, histories

STEPS = 5
VARIANTS = ("base", "base+smoothing")

Row = dict[str, object]


def _settings(name: str, size: Size) -> FitConfig:
    return preset("auto", name, users=size.users, interactions=size.interactions)


def run(users: int, rounds: int, device: str) -> Iterator[Row]:
    """Measure both corruptions as `auto` sets them, at two sizes."""
    for size in (ML_1M, AMAZON):
        yield from _costs(size, users, rounds, device)


def _costs(size: Size, users: int, rounds: int, device: str) -> Iterator[Row]:
    history = histories(size)
    started = time.perf_counter()
    spectrum = item_spectrum(history, size.items, _rank(size))
    of_graph = time.perf_counter() - started
    steps = {name: _steps(name, size, history, device) for name in VARIANTS}
    lists = {name: _lists(name, size, history.take(np.arange(users)), device) for name in VARIANTS}
    of_steps, of_lists = side_by_side(steps, rounds), side_by_side(lists, rounds)
    epoch = {name: size.users / _settings(name, size).training.batch_size for name in VARIANTS}
    for name in VARIANTS:
        yield {
            "size": size.name,
            "model": name,
            "the graph, s": of_graph if name.endswith("smoothing") else 0.0,
            "users a step": _settings(name, size).training.batch_size,
            "ms a step": 1e3 * of_steps[name].median / STEPS,
            "s an epoch": of_steps[name].median / STEPS * epoch[name],
            "times a Gaussian step": of_steps[name].over(of_steps["base"]),
            "us a list": 1e6 * of_lists[name].median / users,
            "times a Gaussian list": of_lists[name].over(of_lists["base"]),
            "MB of the graph": spectrum.Q.nbytes / 1e6 if name.endswith("smoothing") else 0.0,
        }


def _rank(size: Size) -> int:
    smoothing = _settings("base+smoothing", size).corruption
    assert smoothing is not None
    return smoothing.rank


def _steps(name: str, size: Size, history: Sequences, device: str) -> Callable[[], object]:
    """Return a few steps of training, as a fit makes them."""
    config = _settings(name, size)
    training = replace(config.training, epochs=1)
    model = build_model(config, size.items, train=history).to(device)
    backend, precision = TorchBackend(device), choose_precision("auto", device)
    optimizer = loop._optimizer(model, training, backend.device)
    rows = input_rows(history.take(np.arange(STEPS * training.batch_size)), None)
    return lambda: loop._epoch(
        model, rows, training, 1, backend, precision, optimizer, lambda *_: None
    )


def _lists(name: str, size: Size, history: Sequences, device: str) -> Callable[[], object]:
    """Return the ranking of these users, initial weights."""
    config = _settings(name, size)
    model = build_model(config, size.items, train=histories(size)).to(device)
    weights = stored_weights(model.scoring_weights())
    scorer = build_scorer(config, weights, TorchBackend(device))
    return lambda: list(rank(scorer, history, 20, seen=history))
