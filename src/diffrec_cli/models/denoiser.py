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
from diffrec_cli.diffusion.randomness import dropout
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.trainable import Draws


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
        return cls(n_items, config.of_corruption.T, config.denoiser, generator)

    def losses(
        self, corruption: Corruption, rows: Rows, t: Tensor, backend: TorchBackend, draws: Draws
    ) -> Tensor:
        """Corrupt histories to steps t (B,), predict, and return the loss of each, (B,)."""
        x_0 = backend.dense(rows, self.width)  # (B, D)
        y = corruption.mixed_in(x_0, draws.device)
        x_t = corruption.corrupt(x_0, t, y)
        target = corruption.target(x_0, y)
        del x_0, y  # each is as wide as the catalogue
        prediction = self(x_t, t, draws.device)
        del x_t
        return corruption.losses(prediction, target, t)

    def scoring_weights(self) -> dict[str, Tensor]:
        """Return the live arrays that :class:`CollapsedDenoiser` reads."""
        return {f"denoiser.{name}": tensor for name, tensor in self.state_dict().items()}

    def forward(self, x_t: Tensor, t: Tensor, generator: torch.Generator) -> Tensor:
        """Predict, with dropout.

        Parameters
        ----------
        x_t
            (B, D).
        t
            (B,) steps, 1 to T.
        generator
            Source of the dropout, on the device of x_t.

        Returns
        -------
        (B, D).
        """
        if self.normalize_input:
            x_t = nn.functional.normalize(x_t)
        step = self.embedding[t] @ self.W_embed + self.b_embed  # (B, E)
        a = dropout(x_t, self.rate, generator) @ self.W_in + step @ self.W_step + self.b_in
        h = torch.tanh(a)  # (B, H)
        for W, b in zip(self.W, self.b, strict=True):
            h = torch.tanh(h @ W + b)
        return nn.functional.linear(h, self.V, self.b_out)
