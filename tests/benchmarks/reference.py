"""DiffRec step by step in plain torch: what the package's speed is measured against.

Dense batches of 400 users as in the paper, every step of Algorithm 2 through all items, float32,
AdamW as torch has it by default. Nothing is wasted on purpose: no copies beyond what the equations
ask for, the same top-K and metrics as the package's.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from diffrec_cli.data.sequences import Sequences
from diffrec_cli.diffusion.gaussian import Gaussian
from diffrec_cli.models.diffrec import DiffRec

BATCH = 400


def dense_batches(history: Sequences, n_items: int, device: str) -> Iterator[tuple[slice, Tensor]]:
    """Yield which users, and their interactions as a dense matrix, (B, |I|)."""
    for start in range(0, len(history), BATCH):
        users = slice(start, min(start + BATCH, len(history)))
        rows = history.take(np.arange(users.start, users.stop))
        x = torch.zeros(len(rows), n_items)
        x[torch.from_numpy(rows.row_index), torch.from_numpy(rows.items.astype(np.int64))] = 1.0
        yield users, x.to(device)


def predict(model: DiffRec, x_t: Tensor, t: Tensor) -> Tensor:
    """Return the denoiser's prediction of x_0 at steps t, without dropout, (B, |I|)."""
    d = model.denoiser
    step = d.embedding[t] @ d.W_embed + d.b_embed
    h = torch.tanh(torch.cat([x_t, step], 1) @ torch.cat([d.W_in, d.W_step]) + d.b_in)
    for W, b in zip(d.W, d.b, strict=True):
        h = torch.tanh(h @ W + b)
    return h @ d.V.T + d.b_out


@torch.inference_mode()
def rank(model: DiffRec, history: Sequences, k: int, device: str) -> Iterator[tuple[slice, Tensor]]:
    """Yield which users, and their k best unseen items by Algorithm 2, (B, k)."""
    gaussian: Gaussian = model.gaussian
    for users, x in dense_batches(history, model.n_items, device):
        seen = x.bool()
        for t in range(gaussian.T, 0, -1):
            out, keep = gaussian.back[t].tolist()
            steps = torch.full((len(x),), t, device=device)
            x = out * predict(model, x, steps) + keep * x
        x[seen] = -torch.inf
        yield users, x.topk(k, dim=1).indices


def train_step(model: DiffRec, x_0: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Take one step of Algorithm 1 in float32 (uniform steps, unweighted)."""
    t = torch.randint(1, model.gaussian.T + 1, (len(x_0),), device=x_0.device)
    alpha_bar = torch.as_tensor(model.gaussian.schedule.alpha_bar, dtype=torch.float32).to(t.device)
    signal = alpha_bar[t].sqrt()[:, None]
    noise = (1 - alpha_bar[t]).sqrt()[:, None]
    x_t = signal * x_0 + noise * torch.randn_like(x_0)
    x_t = torch.nn.functional.dropout(x_t, model.denoiser.rate)
    loss = (predict(model, x_t, t) - x_0).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
