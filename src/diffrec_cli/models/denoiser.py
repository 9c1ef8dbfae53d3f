"""The denoising MLP of DiffRec: x_t and t in, a prediction of x_0 (or epsilon) out.

This one trains; :class:`~.denoiser_inference.CollapsedDenoiser` infers with the same weights.
"""

from __future__ import annotations

import math
from itertools import pairwise

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
from diffrec_cli.models.linear_output import compact_bytes, is_compact, own_products, squared_errors
from diffrec_cli.models.trainable import SCORE_ARRAYS

_WIDE = 4  # items for each number of the first layer, from which losses can be compact


def sinusoidal_embedding(T: int, size: int) -> NDArray[np.float32]:
    """Return cosines and sines of t = 0..T, (T + 1, size), of frequencies 10000^(-2 k / size)."""
    half = size // 2
    angle = np.arange(T + 1)[:, None] * np.exp(-math.log(10000.0) * np.arange(half) / half)
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


def xavier(rows: int, columns: int, fans: int, generator: torch.Generator) -> nn.Parameter:
    """Return a (rows, columns) parameter from N(0, 2 / fans), fans = fan_in + fan_out."""
    return nn.Parameter(torch.randn(rows, columns, generator=generator) * math.sqrt(2.0 / fans))


def small(size: int, generator: torch.Generator) -> nn.Parameter:
    """Return a (size,) bias from N(0, 0.001^2)."""
    return nn.Parameter(torch.randn(size, generator=generator) * 0.001)


class Denoiser(nn.Module):
    """MLP |D| - dims reversed - dims - |D| with tanh between; the step is a further input.

    The first and the last matrix have one row for each coordinate of x.

    Parameters
    ----------
    width
        D: number of items, or the size of the latent space.
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
        width: int,
        T: int,
        config: DenoiserConfig,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.width = width
        self.rate = config.dropout
        self.compact = False
        self.normalize_input = config.normalize_input
        E = config.step_embedding
        sizes = [*reversed(config.dims), *config.dims[1:]]  # [200, 600] -> 600, 200, 600
        self.register_buffer("embedding", torch.from_numpy(sinusoidal_embedding(T, E)))
        self.W_embed = xavier(E, E, 2 * E, generator)
        self.b_embed = small(E, generator)
        fans = width + E + sizes[0]  # x and the embedding enter as one concatenated input
        self.W_in = xavier(width, sizes[0], fans, generator)
        self.W_step = xavier(E, sizes[0], fans, generator)
        self.b_in = small(sizes[0], generator)
        self.W = nn.ParameterList(xavier(a, b, a + b, generator) for a, b in pairwise(sizes))
        self.b = nn.ParameterList(small(b, generator) for b in sizes[1:])
        self.V = xavier(width, sizes[-1], width + sizes[-1], generator)
        self.b_out = small(width, generator)

    @classmethod
    def of(
        cls, config: FitConfig, train: Sequences | None, n_items: int, generator: torch.Generator
    ) -> Denoiser:
        """Return the denoiser of histories of `n_items` items."""
        denoiser = cls(n_items, config.of_corruption.T, config.denoiser, generator)
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
        x_0 = backend.dense(rows, self.width)  # (B, D)
        y = corruption.mixed_in(x_0, draws.at("noise", rows.users, self.width))
        x_t = corruption.corrupt(x_0, t, y)
        target = corruption.target(x_0, y)
        del x_0, y  # each is as wide as the catalogue
        prediction = self(x_t, t, draws.at("dropout", rows.users, self.width))
        del x_t
        return corruption.losses(prediction, target, t)

    def _compact_losses(
        self, corruption: Corruption, rows: Rows, t: Tensor, backend: TorchBackend, draws: Draws
    ) -> Tensor:
        """Return the losses without an array as wide as the catalogue for each user.

        The noise enters by its product with W_in, see :func:`~.randomness.normal_product`. Dropout
        is drawn for each interaction, and for the noise of each item once a batch: a user's x_t has
        the distribution that it has above, but that an interaction and its noise are dropped apart.
        """
        x = backend.sparse_product(sparse_dropout(rows, self.rate, draws), self.W_in)
        items = np.arange(self.width)
        noisy = np.flatnonzero(draws.pairs("items", np.zeros_like(items), items) >= self.rate)
        xi = draws.at("noise", rows.users, self.W_in.shape[1])
        y = corruption.mixed_in_product(self.W_in, xi, backend.asarray(noisy))
        a = corruption.corrupt(x, t, y / (1.0 - self.rate))  # (B, H)
        h = self._last_hidden(a, t)
        VV, bV = own_products(self.V, self.b_out)
        xV = backend.sparse_product(rows, self.V)
        errors = squared_errors(rows, xV, h, VV, bV, self.b_out, backend)
        return corruption.weighted(errors / self.width, t)

    def batch_bytes(self, users: int) -> int:
        """Return about how much memory a batch takes beside the weights and their gradients."""
        if self.compact:
            return compact_bytes(users, self.width, max(self.W_in.shape[1], self.V.shape[1]))
        return 4 * SCORE_ARRAYS * users * self.width

    def scoring_weights(self) -> dict[str, Tensor]:
        """Return the live arrays that :class:`CollapsedDenoiser` reads."""
        return {f"denoiser.{name}": tensor for name, tensor in self.state_dict().items()}

    def forward(self, x_t: Tensor, t: Tensor, numbers: Numbers) -> Tensor:
        """Predict, with dropout.

        Parameters
        ----------
        x_t
            (B, D).
        t
            (B,) steps, 1 to T.
        numbers
            (B, D), for the dropout.

        Returns
        -------
        (B, D).
        """
        if self.normalize_input:
            x_t = nn.functional.normalize(x_t)
        h = self._last_hidden(dropout(x_t, self.rate, numbers) @ self.W_in, t)
        return nn.functional.linear(h, self.V, self.b_out)

    def _last_hidden(self, a: Tensor, t: Tensor) -> Tensor:
        """Return the last hidden layer, (B, H), from x_t W_in and the steps."""
        step = self.embedding[t] @ self.W_embed + self.b_embed  # (B, E)
        h = torch.tanh(a + step @ self.W_step + self.b_in)  # (B, H)
        for W, b in zip(self.W, self.b, strict=True):
            h = torch.tanh(h @ W + b)
        return h
