"""Noise and dropout for training, from explicit generators.

On a CPU torch draws with one thread, which took a third of the time of a step's matrix products on
wide catalogues; here large tensors are drawn by several.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from diffrec_cli.data.sequences import Rows

_STREAMS = 2  # a constant, so that draws do not depend on the machine
_RIDGE = 1e-6  # share of its diagonal added to a covariance: rounding cannot make it negative
_LARGE = 2**20  # numbers from which several streams are faster


def sparse_dropout(rows: Rows, rate: float, generator: np.random.Generator) -> Rows:
    """Drop a share `rate` of the interactions and rescale the rest."""
    if rate == 0:
        return rows
    kept = generator.random(len(rows.items), np.float32) >= rate
    rows = rows.keep(kept)
    return replace(rows, values=rows.values / (1.0 - rate))


def normal_like(x: Tensor, generator: Generator) -> Tensor:
    """Draw standard normal noise of the shape, type and device of x."""
    return _fill(torch.empty_like(x), lambda part, g: part.normal_(generator=g), generator)


def normal_product(W: Tensor, n: int, generator: Generator, rows: Tensor | None = None) -> Tensor:
    """Draw eps W, (n, H), for standard normal eps, (n, D), without drawing eps.

    Its rows are normal with the covariance ``W^T W``, so they are drawn from its Cholesky factor L:
    ``eps W = xi L^T`` with xi (n, H). The gradient is the mean over all eps with this product,
    ``W (W^T W)^-1 (eps W)^T g``: that of an explicit eps, with less noise.

    Parameters
    ----------
    W
        (D, H), D well above H.
    n
        Number of rows to draw.
    generator
        On the device of W.
    rows
        Indices of the rows of W to use, each once, the others being 0; ``None``: all.
    """
    xi = torch.randn(n, W.shape[1], generator=generator, dtype=W.dtype, device=W.device)
    drawn: Tensor = _NormalProduct.apply(W, xi, rows)  # type: ignore[no-untyped-call]
    return drawn


class _NormalProduct(torch.autograd.Function):
    """xi L^T, with L L^T = W^T W."""

    @staticmethod
    def forward(ctx: Any, W: Tensor, xi: Tensor, rows: Tensor | None) -> Tensor:
        some = W if rows is None else W[rows]
        with torch.autocast(W.device.type, enabled=False):
            G = some.T @ some
            G.diagonal().add_(_RIDGE * G.diagonal().mean())
            L, failed = torch.linalg.cholesky_ex(G)
            L = L.masked_fill(failed != 0, torch.nan)  # a loss that is not finite has its own error
            ctx.save_for_backward(W, xi, rows, L)
            drawn: Tensor = xi @ L.T
        return drawn

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        W, xi, rows, L = ctx.saved_tensors
        (g,) = gradients  # (n, H)
        right = torch.linalg.solve_triangular(L.T, xi.T @ g, upper=True)  # L^-T xi^T g
        if rows is None:
            return W @ right, None, None
        of_W = torch.zeros_like(W)
        of_W[rows] = W[rows] @ right
        return of_W, None, None


def dropout(x: Tensor, rate: float, generator: Generator) -> Tensor:
    """Zero a share `rate` of x and rescale the rest."""
    if rate == 0:
        return x
    return (x * kept(x.shape, rate, generator)).div_(1.0 - rate)


def kept(shape: torch.Size, rate: float, generator: Generator) -> Tensor:
    """Draw which numbers dropout keeps, a bool tensor on the generator's device.

    On a CPU one draw gives four decisions, and `rate` is rounded to 1 / 65536.
    """
    device, size = generator.device, shape.numel()
    if device.type != "cpu":
        return torch.empty(shape, device=device).bernoulli_(1.0 - rate, generator=generator).bool()
    words = torch.empty(-(-size // 4), dtype=torch.int64)
    _fill(words, lambda part, g: part.random_(-(2**63), None, generator=g), generator)
    return words.view(torch.int16)[:size].view(shape) >= round(rate * 65536) - 32768


def _fill(x: Tensor, draw: Callable[[Tensor, Generator], object], generator: Generator) -> Tensor:
    """Fill x by `draw`; a large x on a CPU in parts, each with its own generator and thread."""
    if x.device.type != "cpu" or x.numel() < _LARGE:
        draw(x, generator)
        return x
    seeds = torch.randint(2**63 - 1, (_STREAMS,), generator=generator).tolist()
    children = [Generator().manual_seed(seed) for seed in seeds]
    list(_threads().map(draw, x.view(-1).chunk(_STREAMS), children))
    return x


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_STREAMS)
