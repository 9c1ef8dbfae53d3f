"""Bayesian personalised ranking: an item of the history should score above a random one."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import softplus

from diffrec_cli.data.sequences import Rows
from diffrec_cli.diffusion.randomness import Draws
from diffrec_cli.models.backend import TorchBackend

_DRAWS = 4


def draw_pairs(
    rows: Rows, n_items: int, backend: TorchBackend, draws: Draws
) -> tuple[Tensor, Tensor, Tensor]:
    """Return user, item and a random item that they do not have, for each interaction, (nnz,) each.

    After :data:`_DRAWS` attempts the random item may be one that they have.
    """
    row = backend.asarray(rows.row_index)
    positive = backend.asarray(rows.items.astype(np.int64))
    known = torch.sort(row * n_items + positive).values
    candidates = draws.at("negative", interactions(rows), _DRAWS).below(n_items)  # (nnz, _DRAWS)
    wrong = _contains(known, row[:, None] * n_items + candidates)
    negative = candidates[:, -1]
    for attempt in reversed(range(_DRAWS - 1)):  # the first that is not wrong is left at the end
        negative = torch.where(wrong[:, attempt], negative, candidates[:, attempt])
    return backend.asarray(rows.users[rows.row_index]), positive, negative


def interactions(rows: Rows) -> NDArray[np.int64]:
    """Return a number for each interaction, (nnz,), by which numbers are drawn for it."""
    numbers: NDArray[np.int64] = rows.users[rows.row_index] << 32 | rows.items
    return numbers


def _contains(known: Tensor, keys: Tensor) -> Tensor:
    """Return whether each key is among the sorted ones."""
    place = torch.searchsorted(known, keys).clamp(max=len(known) - 1)
    return known[place] == keys


def bpr(user: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Return ``-ln sigmoid(u (i - j))``, averaged: vectors (nnz, d) -> scalar."""
    return softplus(-(user * (positive - negative)).sum(dim=1)).mean()
