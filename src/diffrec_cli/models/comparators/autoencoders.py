"""CDAE, MultiDAE, MultiDAE++ and MultiVAE in training.

They share one network and differ in its input and in its code.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from diffrec_cli.catalogue.comparators import (
    CDAEConfig,
    MultiDAEConfig,
    MultiDAEPlusConfig,
    MultiVAEConfig,
)
from diffrec_cli.config import DiffusionConfig, FitConfig
from diffrec_cli.data.sequences import Rows, Sequences
from diffrec_cli.diffusion.gaussian import Gaussian
from diffrec_cli.diffusion.randomness import Draws, dropout, sparse_dropout
from diffrec_cli.models import likelihood
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.comparators.network import Network, normalized
from diffrec_cli.models.initial_weights import xavier, zeros
from diffrec_cli.models.item_range import ItemRange
from diffrec_cli.models.trainable import SCORE_ARRAYS, Trainable

LOSSES = {
    "multinomial": likelihood.multinomial,
    "logistic": likelihood.logistic,
    "square": likelihood.square,
}


class Autoencoder(Trainable):
    """The parameters of a :class:`Network`: Xavier matrices, zero biases.

    Parameters
    ----------
    items
        The items of its arrays.
    sizes
        Widths of the hidden layers; the smallest is the code.
    activation
        Of the hidden layers.
    generator
        Source of the initial weights, on the CPU.
    variational
        Whether the code is a mean and a log-variance.
    """

    def __init__(
        self,
        items: ItemRange,
        sizes: list[int],
        activation: str,
        generator: torch.Generator,
        *,
        variational: bool = False,
    ) -> None:
        super().__init__()
        self.items, self.n_items, self.activation = items, items.n_items, activation
        code = sizes.index(min(sizes))
        gives = [2 * size if variational and i == code else size for i, size in enumerate(sizes)]
        shapes = list(zip(sizes, gives[1:], strict=False))  # of the layers after the first
        self.W_in = xavier(items, gives[0], self.n_items + gives[0], generator)
        self.b_in = _zeros(gives[0])
        self.W = nn.ParameterList(xavier(a, b, a + b, generator) for a, b in shapes)
        self.b = nn.ParameterList(_zeros(b) for _, b in shapes)
        self.V = xavier(items, sizes[-1], self.n_items + sizes[-1], generator)
        self.b_out = zeros(items)
        self._view: Network | None = None

    @classmethod
    def of(
        cls,
        config: FitConfig,
        train: Sequences | None,
        items: ItemRange,
        generator: torch.Generator,
    ) -> Autoencoder:
        """Return the model of these settings."""
        model: Any = cls
        found: Autoencoder = model(config.comparator, items, generator)
        return found

    def network(self, backend: TorchBackend) -> Network:
        """Return the network, as a cached view of these parameters."""
        if self._view is None or self._view.backend is not backend:
            self._view = Network(backend, dict(self.named_parameters()), self.activation)
        return self._view

    def scores(self, h: Tensor, backend: TorchBackend) -> Tensor:
        """Return the scores of all items, (B, |I|), from the last hidden layer."""
        return nn.functional.linear(backend.shared(h), self.V, self.b_out)

    def scores_from(self, a: Tensor, backend: TorchBackend) -> Tensor:
        """Return the scores of all items, (B, |I|), from the first layer's product, (B, H_1)."""
        network = self.network(backend)
        return self.scores(network.decode(network.activate(network.encode(a))), backend)

    def batch_bytes(self, users: int) -> int:
        """Return about how much memory a batch takes beside the weights and their gradients."""
        return 4 * SCORE_ARRAYS * users * len(self.items)


class CDAE(Autoencoder):
    """A denoising autoencoder with a vector for each user (Wu et al., WSDM 2016)."""

    def __init__(
        self, config: CDAEConfig, n_users: int, items: ItemRange, generator: torch.Generator
    ) -> None:
        super().__init__(items, [config.dim], config.activation, generator)
        self.config = config
        self.users = xavier(n_users, config.dim, n_users + config.dim, generator)

    @classmethod
    def of(
        cls, config: FitConfig, train: Any, items: ItemRange, generator: torch.Generator
    ) -> CDAE:
        """Return the model of these settings."""
        return cls(config.settings(CDAEConfig), len(train), items, generator)

    def loss(self, rows: Rows, backend: TorchBackend, draws: Draws) -> Tensor:
        """Return the reconstruction loss of histories read with dropout."""
        network = self.network(backend)
        read = sparse_dropout(rows, self.config.dropout, draws)
        a = network.first(read) + self.users[backend.asarray(rows.users)]
        return LOSSES[self.config.loss](self.scores_from(a, backend), rows, backend)


class MultiDAE(Autoencoder):
    """A denoising autoencoder with multinomial likelihood (Liang et al., WWW 2018)."""

    def __init__(
        self, config: MultiDAEConfig, items: ItemRange, generator: torch.Generator
    ) -> None:
        super().__init__(items, _mirrored(config.dims), "tanh", generator)
        self.config = config

    def loss(self, rows: Rows, backend: TorchBackend, draws: Draws) -> Tensor:
        """Return the negative log-likelihood of histories read with dropout."""
        scores = self.scores_from(self.read(rows, backend, draws), backend)
        return likelihood.multinomial(scores, rows, backend)

    def read(self, rows: Rows, backend: TorchBackend, draws: Draws) -> Tensor:
        """Return the first layer's product with the corrupted histories, (B, H_1)."""
        kept = sparse_dropout(normalized(rows), self.config.dropout, draws)
        first: Tensor = self.network(backend).first(kept)
        return first


class MultiDAEPlus(MultiDAE):
    """MultiDAE that reads histories with DiffRec's noise (paper, section 4.1.2)."""

    def __init__(
        self,
        config: MultiDAEPlusConfig,
        diffusion: DiffusionConfig,
        items: ItemRange,
        generator: torch.Generator,
    ) -> None:
        super().__init__(config, items, generator)
        self.gaussian = Gaussian(diffusion)

    @classmethod
    def of(
        cls, config: FitConfig, train: Any, items: ItemRange, generator: torch.Generator
    ) -> MultiDAEPlus:
        """Return the model of these settings."""
        return cls(config.settings(MultiDAEPlusConfig), config.diffusion, items, generator)

    def read(self, rows: Rows, backend: TorchBackend, draws: Draws) -> Tensor:
        """Return the first layer's product with x_t at uniform steps t, (B, H_1)."""
        columns = self.items.columns
        x_0 = backend.dense(backend.own(rows), len(self.items))
        t = 1 + draws.at("step", rows.users, 1).below(self.gaussian.T)[:, 0]
        eps = draws.at("noise", rows.users, columns).normal(x_0.dtype)
        x_t = self.gaussian.corrupt(x_0, t, eps)
        squares = backend.summed(x_t.square().sum(dim=1, keepdim=True))
        x_t = x_t / squares.sqrt().clamp_min(1e-12)
        kept = draws.at("dropout", rows.users, columns)
        product: Tensor = backend.summed(dropout(x_t, self.config.dropout, kept) @ self.W_in)
        return product + self.b_in


class MultiVAE(Autoencoder):
    """A variational autoencoder with multinomial likelihood (Liang et al., WWW 2018)."""

    updates: Tensor

    def __init__(
        self, config: MultiVAEConfig, items: ItemRange, generator: torch.Generator
    ) -> None:
        super().__init__(items, _mirrored(config.dims), "tanh", generator, variational=True)
        self.config = config
        self.register_buffer("updates", torch.zeros(()))

    def loss(self, rows: Rows, backend: TorchBackend, draws: Draws) -> Tensor:
        """Return the negative log-likelihood plus beta times the KL divergence of the code."""
        network = self.network(backend)
        kept = sparse_dropout(normalized(rows), self.config.dropout, draws)
        code = likelihood.wide(network.encode(network.first(kept)))
        mean, log_variance = code[:, : network.code], code[:, network.code :]
        numbers = draws.at("code", rows.users, network.code)
        h = network.decode(likelihood.sample(mean, log_variance, numbers))
        error = likelihood.multinomial(self.scores(h, backend), rows, backend)
        beta = likelihood.annealed(self.updates, self.config.beta, self.config.beta_updates)
        self.updates += 1
        return error + beta * likelihood.divergence(mean, log_variance)


def _mirrored(dims: tuple[int, ...]) -> list[int]:
    """Return [600, 200, 600] for [200, 600]."""
    return [*reversed(dims), *dims[1:]]


def _zeros(size: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(size))
