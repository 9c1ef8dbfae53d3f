"""Data and models of the sizes of the paper's datasets, from the sample generator."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow.compute as pc

from diffrec_cli.config import DenoiserConfig, DiffusionConfig, FitConfig
from diffrec_cli.data.sequences import Sequences
from diffrec_cli.data.sources.sample import SampleOptions, sample_log


@dataclass(frozen=True)
class Size:
    """Users, items and train interactions of a dataset."""

    name: str
    users: int
    items: int
    interactions: int


ML_1M = Size("ml-1m", 5_949, 2_810, 403_277)
YELP = Size("yelp", 54_574, 34_395, 1_000_000)
GOWALLA = Size("gowalla", 29_858, 40_981, 730_000)
AMAZON = Size("amazon-book", 108_822, 94_949, 2_200_000)
SIZES = {size.name: size for size in (ML_1M, YELP, GOWALLA, AMAZON)}


@cache
def histories(size: Size) -> Sequences:
    """Return distinct items of each user, oldest first."""
    table, _ = sample_log(SampleOptions(size.users, size.items, size.interactions))
    user, item = (np.asarray(_numbers(table[name])) for name in ("user", "item"))
    order = np.lexsort((np.asarray(table["timestamp"]), user))
    users, codes = np.unique(user[order], return_inverse=True)
    return Sequences.from_rows(codes, item[order].astype(np.int32) % size.items, len(users))


def _numbers(ids: object) -> object:
    """Return 42 for u0042."""
    return pc.cast(pc.utf8_slice_codeunits(ids, 1), "int64")


def settings(dims: tuple[int, ...], T: int) -> FitConfig:
    """Return DiffRec's default settings with these hidden sizes and this many steps."""
    return FitConfig(diffusion=DiffusionConfig(T=T), denoiser=DenoiserConfig(dims=dims))
