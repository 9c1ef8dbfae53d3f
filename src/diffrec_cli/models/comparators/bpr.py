"""Bayesian personalised ranking: an item of the history should score above a random one."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from diffrec_cli.data.sequences import Rows
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.trainable import Draws


def draw_pairs(
    rows: Rows, n_items: int, backend: TorchBackend, draws: Draws
) -> tuple[Tensor, Tensor, Tensor]:
    """Return user, item and a random item for every interaction, (nnz,) each."""
    users = backend.asarray(rows.users[rows.rows])
    positive = backend.asarray(rows.items.astype(np.int64))
    negative = torch.randint(
        n_items, positive.shape, generator=draws.device, device=positive.device
    )
    return users, positive, negative


def bpr(user: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Return ``-ln sigmoid(u (i - j))``, averaged: vectors (nnz, d) -> scalar."""
    return softplus(-(user * (positive - negative)).sum(dim=1)).mean()
