"""Noise and dropout for training, from explicit generators.

On a CPU torch draws with one thread, which took a third of the time of a step's matrix products on
wide catalogues; here large tensors are drawn by several.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache

import numpy as np
import torch
from torch import Generator, Tensor

from diffrec_cli.data.sequences import Rows

_STREAMS = 2  # a constant, so that draws do not depend on the machine
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
