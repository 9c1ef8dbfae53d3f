"""Noise and dropout of training, from explicit generators, as fast as a CPU can draw them.

torch fills a tensor on the CPU with one thread and one draw a number. On wide catalogues that took
as long as a third of a step's matrix products.
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

_STREAMS = 2  # a constant: what is drawn must not depend on the machine
_LARGE = 2**20  # draws, from where on streams pay


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

    On a CPU four decisions come of one draw; `rate` is then rounded to 1 / 65536.
    """
    device, size = generator.device, shape.numel()
    if device.type != "cpu":
        return torch.empty(shape, device=device).bernoulli_(1.0 - rate, generator=generator).bool()
    words = torch.empty(-(-size // 4), dtype=torch.int64)
    _fill(words, lambda part, g: part.random_(-(2**63), None, generator=g), generator)
    return words.view(torch.int16)[:size].view(shape) >= round(rate * 65536) - 32768


def _fill(x: Tensor, draw: Callable[[Tensor, Generator], object], generator: Generator) -> Tensor:
    """Let `draw` fill x; on a CPU, if x is large, in parts with a generator and a thread each."""
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
