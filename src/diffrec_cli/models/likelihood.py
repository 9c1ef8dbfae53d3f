"""The terms of autoencoders' losses: reconstruction of sparse histories, and the KL divergence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import softplus

from diffrec_cli.data.sequences import Rows
from diffrec_cli.diffusion.randomness import Numbers
from diffrec_cli.models.backend import TorchBackend


def wide(x: Tensor) -> Tensor:
    """Return bfloat16 as float32, and float32 and float64 as they are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def multinomial(
    logits: Tensor,
    rows: Rows,
    backend: TorchBackend,
    columns: NDArray[np.int64] | None = None,
) -> Tensor:
    """Return ``-sum_i x_i log softmax(logits)_i``, averaged over users: logits (B, |I|).

    `columns` are those of the items in the logits; ``None``: column i is item i.
    """
    logits = wide(logits)
    normalisers = backend.log_sum_exp(torch.logsumexp(logits, dim=1))  # (B,)
    lengths = np.bincount(rows.row_index, rows.values, len(rows)).astype(rows.values.dtype)
    of_x: Tensor = (backend.asarray(lengths) * normalisers).sum() / len(logits)
    own = backend.own(rows)
    if columns is not None:
        own = replace(own, items=columns[own.items].astype(np.int32))
    return of_x - _at(logits, own, backend)


def logistic(logits: Tensor, rows: Rows, backend: TorchBackend) -> Tensor:
    """Return the binary cross-entropy, summed over items and averaged over users."""
    logits = wide(logits)
    normaliser: Tensor = backend.summed(softplus(logits).sum()) / len(logits)
    return normaliser - _at(logits, backend.own(rows), backend)


def square(scores: Tensor, rows: Rows, backend: TorchBackend) -> Tensor:
    """Return ``|x - scores|^2``, averaged over users."""
    return squares(scores, rows, backend).mean()


def squares(scores: Tensor, rows: Rows, backend: TorchBackend) -> Tensor:
    """Return ``|x - scores|^2`` of each user, (B,)."""
    rows = backend.own(rows)
    scores, values = wide(scores), backend.asarray(rows.values)
    at = entries(scores, rows, backend)
    errors = scores.square().sum(dim=1) + _by_user((values - 2 * at) * values, rows, backend)
    total: Tensor = backend.summed(errors)
    return total


def squares_at(scores: Tensor, rows: Rows, backend: TorchBackend) -> Tensor:
    """Return ``sum_i (x_i - scores_i)^2`` of each user over the items of their row, (B,).

    `scores` are those at the rows' entries of the backend's items, (nnz,).
    """
    rows = backend.own(rows)
    errors = scores - backend.asarray(rows.values)
    total: Tensor = backend.summed(_by_user(errors.square(), rows, backend))
    return total


def entries(scores: Tensor, rows: Rows, backend: TorchBackend) -> Tensor:
    """Return the scores at the rows' entries, (B, |I|) -> (nnz,)."""
    return wide(scores.view(-1)[_places(scores, rows, backend)])


def sample(mean: Tensor, log_variance: Tensor, numbers: Numbers) -> Tensor:
    """Draw a code, mean + sigma eps, (B, z)."""
    return mean + (0.5 * log_variance).exp() * numbers.normal(mean.dtype)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the KL divergence of N(mean, sigma^2) from N(0, 1), averaged over users."""
    terms: Tensor = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance)
    return terms.sum(dim=1).mean()


def annealed(updates: Tensor, cap: float, over: int) -> Tensor:
    """Return the weight of a divergence after so many updates: it rises by 1/over each, to its cap.

    As in the code of MultiVAE (Liang et al., WWW 2018) and L-DiffRec. Over 0 updates: the cap.
    """
    return (updates / over).clamp(max=cap) if over else torch.full_like(updates, cap)


def _at(scores: Tensor, rows: Rows, backend: TorchBackend) -> Tensor:
    """Return ``sum_i x_i scores_i``, averaged over users, from the entries of the own items."""
    found = (entries(scores, rows, backend) * backend.asarray(rows.values)).sum()
    total: Tensor = backend.summed(found) / len(scores)
    return total


def _by_user(entries: Tensor, rows: Rows, backend: TorchBackend) -> Tensor:
    """Return the sums of each row's entries, (nnz,) -> (B,)."""
    return entries.new_zeros(len(rows)).index_add(0, backend.asarray(rows.row_index), entries)


def _places(scores: Tensor, rows: Rows, backend: TorchBackend) -> Tensor:
    """Return the positions of the rows' entries in the flattened scores, (nnz,)."""
    places: Tensor = backend.asarray(rows.row_index * scores.shape[1] + rows.items)
    return places
