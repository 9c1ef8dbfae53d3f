"""The denoising MLP of DiffRec: x_t and t in, a prediction of x_0 (or epsilon) out.

This one trains; :class:`~.denoiser_inference.CollapsedDenoiser` infers with the same weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from diffrec_cli.config import DenoiserConfig, FitConfig
from diffrec_cli.data.sequences import Rows, Sequences
from diffrec_cli.diffusion.corruption import Corruption
from diffrec_cli.diffusion.randomness import Draws, Numbers, dropout, sparse_dropout
from diffrec_cli.errors import ConfigError
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.diffrec_inference import corruption_of
from diffrec_cli.models.initial_weights import small, xavier
from diffrec_cli.models.item_range import ItemRange
from diffrec_cli.models.linear_output import compact_bytes, is_compact, own_products, squared_errors
from diffrec_cli.models.trainable import SCORE_ARRAYS

_PREFIX = "denoiser."  # of stored arrays

_WIDE = 4  # items for each number of the first layer, from which losses can be compact


def sinusoidal_embedding(T: int, size: int) -> NDArray[np.float32]:
    """Return cosines and sines of t = 0..T, (T + 1, size), of frequencies 10000^(-2 k / size)."""
    half = size // 2
    angle = np.arange(T + 1)[:, None] * np.exp(-math.log(10000.0) * np.arange(half) / half)
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


class Denoiser(nn.Module):
    """MLP |D| - dims reversed - dims - |D| with tanh between; the step is a further input.

    The first and the last matrix have one row for each coordinate of x.

    Parameters
    ----------
    items
        The coordinates of x: D items, those of a process, or all of the latent space.
    T
        Number of steps.
    config
        Sizes and dropout.
    generator
        Source of the initial weights, on the CPU.
    """

    embedding: Tensor

    def __init__(
        self,
        items: ItemRange,
        T: int,
        config: DenoiserConfig,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.items = items
        self.width = width = items.n_items
        self.rate = config.dropout
        self.compact = False
        self.normalize_input = config.normalize_input
        E = config.step_embedding
        sizes = [*reversed(config.dims), *config.dims[1:]]  # [200, 600] -> 600, 200, 600
        self.register_buffer("embedding", torch.from_numpy(sinusoidal_embedding(T, E)))
        self.W_embed = xavier(E, E, 2 * E, generator)
        self.b_embed = small(E, generator)
        fans = width + E + sizes[0]  # x and the embedding enter as one concatenated input
        self.W_in = xavier(items, sizes[0], fans, generator)
        self.W_step = xavier(E, sizes[0], fans, generator)
        self.b_in = small(sizes[0], generator)
        self.W = nn.ParameterList(xavier(a, b, a + b, generator) for a, b in pairwise(sizes))
        self.b = nn.ParameterList(small(b, generator) for b in sizes[1:])
        self.V = xavier(items, sizes[-1], width + sizes[-1], generator)
        self.b_out = small(items, generator)

    @classmethod
    def of(
        cls,
        config: FitConfig,
        train: Sequences | None,
        items: ItemRange,
        generator: torch.Generator,
    ) -> Denoiser:
        """Return the denoiser of histories of these items."""
        denoiser = cls(items, config.of_corruption.T, config.denoiser, generator)
        users = config.training.batch_size
        if train is not None:
            users = min(len(train), users)
        denoiser.compact = denoiser._is_compact(corruption_of(config), config.denoiser, users)
        return denoiser

    def _is_compact(self, corruption: Corruption, config: DenoiserConfig, users: int) -> bool:
        """Return whether to compute losses without the scores of all items."""
        possible = corruption.has_product and not config.normalize_input
        if config.loss_form == "compact" and not possible:
            raise ConfigError(
                "loss_form = compact needs the prediction of x_0 from an input as it is",
                "leave loss_form out, or set prediction=x0 normalize_input=false",
            )
        first, last = self.W_in.shape[1], self.V.shape[1]
        if config.loss_form == "auto" and self.width < _WIDE * first:
            return False  # too few items for the covariance of their noise
        return possible and is_compact(
            config.loss_form,
            users=users,
            of_user=2 * first + 3 * last,
            of_batch=round(2 * (1 - self.rate) * first**2) + 2 * last**2,
        )

    def losses(
        self, corruption: Corruption, rows: Rows, t: Tensor, backend: TorchBackend, draws: Draws
    ) -> Tensor:
        """Corrupt histories to steps t (B,), predict, and return the loss of each, (B,)."""
        if self.compact:
            return self._compact_losses(corruption, rows, t, backend, draws)
        columns = self.items.columns
        x_0 = backend.dense(backend.own(rows), len(self.items))  # (B, D)
        y = corruption.mixed_in(x_0, draws.at("noise", rows.users, columns))
        x_t = corruption.corrupt(x_0, t, y)
        target = corruption.target(x_0, y)
        del x_0, y  # each is as wide as the catalogue
        prediction = self(x_t, t, draws.at("dropout", rows.users, columns), backend)
        del x_t
        errors = backend.summed(corruption.errors(prediction, target))  # (B,)
        return corruption.weighted(errors / self.width, t)

    def _compact_losses(
        self, corruption: Corruption, rows: Rows, t: Tensor, backend: TorchBackend, draws: Draws
    ) -> Tensor:
        """Return the losses without an array as wide as the catalogue for each user.

        The noise enters by its product with W_in, see :func:`~.randomness.normal_product`. Dropout
        is drawn for each interaction, and for the noise of each item once a batch: a user's x_t has
        the distribution that it has above, but that an interaction and its noise are dropped apart.
        """
        read = backend.own(sparse_dropout(rows, self.rate, draws))
        x = backend.summed(backend.sparse_product(read, self.W_in))
        items = np.arange(self.items.start, self.items.stop)
        noisy = np.flatnonzero(draws.pairs("items", np.zeros_like(items), items) >= self.rate)
        xi = draws.at("noise", rows.users, self.W_in.shape[1])
        y = corruption.mixed_in_product(self.W_in, xi, backend.asarray(noisy), backend.total)
        a = corruption.corrupt(x, t, y / (1.0 - self.rate))  # (B, H)
        h = self._last_hidden(a, t)
        VV, bV = map(backend.summed, own_products(self.V, self.b_out))
        own = backend.own(rows)
        xV = backend.summed(backend.sparse_product(own, self.V))
        errors = squared_errors(rows, own, xV, h, VV, bV, self.b_out, backend)
        return corruption.weighted(errors / self.width, t)

    def batch_bytes(self, users: int) -> int:
        """Return about how much memory a batch takes beside the weights and their gradients."""
        if self.compact:
            return compact_bytes(users, len(self.items), max(self.W_in.shape[1], self.V.shape[1]))
        return 4 * SCORE_ARRAYS * users * len(self.items)

    def scoring_weights(self) -> dict[str, Tensor]:
        """Return the live arrays that :class:`CollapsedDenoiser` reads."""
        return {f"{_PREFIX}{name}": tensor for name, tensor in self.state_dict().items()}

    def trained_weights(self, stored: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the parameters, by name, that are among the stored arrays."""
        named = ((name, array) for name, array in stored.items() if name.startswith(_PREFIX))
        return {name.removeprefix(_PREFIX): array for name, array in named}

    def forward(self, x_t: Tensor, t: Tensor, numbers: Numbers, backend: TorchBackend) -> Tensor:
        """Predict, with dropout.

        Parameters
        ----------
        x_t
            (B, D).
        t
            (B,) steps, 1 to T.
        numbers
            (B, D), for the dropout.
        backend
            Joins the parts of the coordinates.

        Returns
        -------
        (B, D).
        """
        if self.normalize_input:
            squares = backend.summed(x_t.square().sum(dim=1, keepdim=True))
            x_t = x_t / squares.sqrt().clamp_min(1e-12)
        a = backend.summed(dropout(x_t, self.rate, numbers) @ self.W_in)  # (B, H)
        h = backend.shared(self._last_hidden(a, t))
        return nn.functional.linear(h, self.V, self.b_out)

    def _last_hidden(self, a: Tensor, t: Tensor) -> Tensor:
        """Return the last hidden layer, (B, H), from x_t W_in and the steps."""
        step = self.embedding[t] @ self.W_embed + self.b_embed  # (B, E)
        h = torch.tanh(a + step @ self.W_step + self.b_in)  # (B, H)
        for W, b in zip(self.W, self.b, strict=True):
            h = torch.tanh(h @ W + b)
        return h
