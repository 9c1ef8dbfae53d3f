"""Training on large catalogues: losses from all scores and without them, and how they grow."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from diffrec_cli.catalogue import preset
from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Sequences, input_rows
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.build import build_model
from diffrec_cli.models.trainable import Trainable
from diffrec_cli.training import loop
from diffrec_cli.training.devices import choose_precision, reused_memory
from tests.benchmarks.measure import side_by_side
from tests.benchmarks.sizes import AMAZON, GOWALLA, ML_1M, Size, histories

STEPS = 2
VARIANTS = ("base", "base+smoothing", "l")
#: A batch as before, and as large logs have it.
WAYS = (("scores", 400), ("compact", 400), ("compact", 2000))

Row = dict[str, object]


def forms(rounds: int, device: str) -> Iterator[Row]:
    """Compare both forms of a loss on three catalogues, and the step with its products alone."""
    for size in (ML_1M, GOWALLA, AMAZON):
        for variant in VARIANTS:
            yield from _forms(size, variant, rounds, device)


def _forms(size: Size, variant: str, rounds: int, device: str) -> Iterator[Row]:
    batches = {f"{form}, {batch:,} users": (form, batch) for form, batch in WAYS}
    ways: dict[str, Callable[[], object]] = {
        name: _steps(size, variant, {"loss_form": form, "batch_size": batch}, device)
        for name, (form, batch) in batches.items()
    }
    products = "its two products"
    if variant != "l":
        ways[products] = _products(size, variant, device)
    times = side_by_side(ways, rounds, partial(_as_in_fit, ways))
    first = next(iter(batches))
    for name, (_, batch) in batches.items():
        of_user = WAYS[0][1] / batch  # users in a batch differ
        yield {
            "size": size.name,
            "model": variant,
            "way": name,
            "ms a step": 1e3 * times[name].median / STEPS,
            "us a user": 1e6 * times[name].median / STEPS / batch,
            "faster than scores, a user": times[first].over(times[name]) / of_user,
            "times its products": times[name].over(times[products]) if products in ways else "",
        }


def growth(rounds: int, device: str) -> Iterator[Row]:
    """Double items, users and width, one at a time; the exponent of growth is log2 of the ratio."""
    start = Size("start", 8_000, 20_000, 160_000)
    sizes = {
        "nothing": start,
        "items": replace(start, items=2 * start.items),
        "users of a batch": start,
        "width": start,
    }
    for variant, width in (("base+smoothing", {"dim": 400}), ("base", {"dims": (400, 1200)})):
        values: dict[str, dict[str, object]] = {
            "nothing": {"batch_size": 2000},
            "items": {"batch_size": 2000},
            "users of a batch": {"batch_size": 4000},
            "width": {"batch_size": 2000, **width},
        }
        for form in ("compact", "scores"):
            ways = {
                name: _steps(size, variant, {**values[name], "loss_form": form}, device, steps=1)
                for name, size in sizes.items()
            }
            times = side_by_side(ways, rounds, partial(_as_in_fit, ways))
            for name in list(ways)[1:]:
                ratio = times[name].over(times["nothing"])
                yield {
                    "model": variant,
                    "form": form,
                    "twice the": name,
                    "ms a step": 1e3 * times[name].median,
                    "ratio": ratio,
                    "exponent": math.log2(ratio),
                }


@contextmanager
def _as_in_fit(ways: Mapping[str, Callable[[], object]], name: str) -> Iterator[None]:
    """Keep freed memory as a fit does, once it has all that it needs."""
    with reused_memory() as reuse:
        ways[name]()
        reuse()
        ways[name]()
        yield


def _settings(size: Size, variant: str, values: Mapping[str, object]) -> FitConfig:
    config = preset("auto", variant, users=size.users, interactions=size.interactions)
    return config.with_values({"epoch_updates": None, **values})


def _steps(
    size: Size, variant: str, values: Mapping[str, object], device: str, steps: int = STEPS
) -> Callable[[], object]:
    """Return a few steps of training, as a fit makes them."""
    config = _settings(size, variant, values)
    history = histories(size)
    model = _model(config, size, history).to(device)
    backend, precision = TorchBackend(device), choose_precision("auto", device)
    optimizer = loop._optimizer(model, config.training, backend.device)
    users = np.arange(steps * config.training.batch_size) % len(history)
    rows = input_rows(history.take(users), None)
    return lambda: loop._epoch(
        model, rows, config.training, 1, backend, precision, optimizer, lambda *_: None
    )


def _model(config: FitConfig, size: Size, history: Sequences) -> Trainable:
    of_item = None if config.latent is None else np.arange(size.items) % config.latent.C
    return build_model(config, size.items, of_item, history)


def _products(size: Size, variant: str, device: str) -> Callable[[], object]:
    """Return the products that a compact loss needs: of a table with itself, and its gradient."""
    precision = choose_precision("auto", device)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    config = _settings(size, variant, {})
    model = _model(config, size, histories(size))
    tables: list[tuple[torch.Tensor, torch.Tensor]] = []
    if config.corruption is None:
        V, W = (torch.randn(size.items, config.denoiser.dims[-1], dtype=dtype) for _ in "VW")
        half = W[: round(size.items * (1 - config.denoiser.dropout))]
        tables = [(V, V), (half, half)]
    else:
        E, Q = model.denoiser.E.detach(), model.denoiser.basis[0]  # type: ignore[union-attr]
        tables = [(torch.cat([E, Q], 1).to(dtype), E.to(dtype))]
    tables = [(a.to(device), b.to(device)) for a, b in tables]

    def steps() -> None:
        for _ in range(STEPS):
            for a, b in tables:
                a @ (a.T @ b)
        if device.startswith("cuda"):
            torch.cuda.synchronize()

    return steps
