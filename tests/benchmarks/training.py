"""One training step: the package, a plain float32 step, and the step's own matrix products."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from diffrec_cli.catalogue import preset
from diffrec_cli.config import FitConfig, TrainingConfig
from diffrec_cli.data.sequences import Rows, input_rows
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.build import build_model
from diffrec_cli.models.diffrec import DiffRec
from diffrec_cli.training import loop
from diffrec_cli.training.devices import choose_precision, reused_memory
from tests.benchmarks import reference
from tests.benchmarks.measure import side_by_side
from tests.benchmarks.sizes import AMAZON, ML_1M, YELP, Size, histories, settings

STEPS = 5
PLAIN = "plain float32"
TRAINING = TrainingConfig(batch_size=reference.BATCH, epochs=1, ema_decay=0.0)

Row = dict[str, object]


def run(rounds: int, device: str) -> Iterator[Row]:
    """Measure DiffRec on three sizes and L-DiffRec on the largest."""
    for size, dims in ((ML_1M, (200, 600)), (YELP, (1000,)), (AMAZON, (1000,))):
        yield from _diffrec(size, dims, rounds, device)
    yield from _latent(AMAZON, rounds, device)


def _diffrec(size: Size, dims: tuple[int, ...], rounds: int, device: str) -> Iterator[Row]:
    config = replace(settings(dims, 5), training=TRAINING)
    rows = _rows(size)
    precision = choose_precision("auto", device)
    ways: dict[str, Callable[[], object]] = {
        PLAIN: _plain(config, size, device),
        f"package {precision}": _package(config, size, rows, TorchBackend(device), precision),
        "its products": _products(config, size, device, precision),
    }
    times = side_by_side(ways, rounds, partial(_as_in_fit, ways))
    for name in ways:
        yield {
            "size": size.name,
            "model": f"base {list(dims)}",
            "way": name,
            "ms a step": 1e3 * times[name].median / STEPS,
            "faster than plain": times[PLAIN].over(times[name]),
            "times its products": times[name].over(times["its products"]),
        }


def _latent(size: Size, rounds: int, device: str) -> Iterator[Row]:
    latent = preset("auto", "l", users=size.users)
    config = replace(latent, training=replace(latent.training, batch_size=400, ema_decay=0.0))
    rows = _rows(size)
    precision = choose_precision("auto", device)
    ways = {
        f"dense encoders {precision}": _package(
            config, size, rows, DenseEncoders(device), precision
        ),
        f"package {precision}": _package(config, size, rows, TorchBackend(device), precision),
    }
    times = side_by_side(ways, rounds, partial(_as_in_fit, ways))
    dense = next(iter(ways))
    for name in ways:
        yield {
            "size": size.name,
            "model": "l, auto",
            "way": name,
            "ms a step": 1e3 * times[name].median / STEPS,
            "faster than dense encoders": times[dense].over(times[name]),
        }


@contextmanager
def _as_in_fit(ways: Mapping[str, Callable[[], object]], name: str) -> Iterator[None]:
    """Keep freed memory as a fit does, but for plain torch, once it has all that it needs."""
    if name == PLAIN:
        yield
        return
    with reused_memory() as reuse:
        ways[name]()
        reuse()
        ways[name]()
        yield


class DenseEncoders(TorchBackend):
    """A backend whose sparse products are dense ones."""

    def sparse_product(self, rows: Rows, W: Tensor) -> Tensor:
        return self.dense(rows, W.shape[0]) @ W


def _rows(size: Size) -> Rows:
    """Return the batches of a few steps."""
    history = histories(size)
    return input_rows(history.take(np.arange(STEPS * reference.BATCH)), None)


def _package(
    config: FitConfig, size: Size, rows: Rows, backend: TorchBackend, precision: str
) -> Callable[[], object]:

    of_item = np.arange(size.items) % 2 if config.latent is not None else None
    model = build_model(config, size.items, of_item).to(backend.device)
    optimizer = loop._optimizer(model, config.training, backend.device)

    return lambda: loop._epoch(
        model, rows, config.training, 1, backend, precision, optimizer, lambda *_: None
    )


def _plain(config: FitConfig, size: Size, device: str) -> Callable[[], object]:
    model = build_model(config, size.items).to(device)
    assert isinstance(model, DiffRec)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    history = histories(size).take(np.arange(STEPS * reference.BATCH))

    def steps() -> None:
        for _, x_0 in reference.dense_batches(history, size.items, device):
            reference.train_step(model, x_0, optimizer)

    return steps


def _products(config: FitConfig, size: Size, device: str, precision: str) -> Callable[[], object]:
    """The products of a step: two forwards and three backwards, as wide as the catalogue."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    H = config.denoiser.dims[-1]
    x, g = (torch.randn(reference.BATCH, size.items, device=device, dtype=dtype) for _ in "xg")
    h = torch.randn(reference.BATCH, H, device=device, dtype=dtype)
    W, V = (torch.randn(size.items, H, device=device, dtype=dtype) for _ in "WV")

    def steps() -> None:
        for _ in range(STEPS):
            x @ W
            h @ V.T
            x.T @ h
            g.T @ h
            g @ V
        if device.startswith("cuda"):
            torch.cuda.synchronize()

    return steps
