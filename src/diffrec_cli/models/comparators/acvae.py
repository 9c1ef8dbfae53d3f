"""ACVAE in training (Xie et al., WWW 2021): a VAE over sequences, adversarial and contrastive.

At every place of a history the model predicts the next item. A recurrent state, a convolution over
the latest states and noise give z, and z gives the scores. A critic estimates the divergence of z
from the prior (adversarial variational Bayes), and a contrastive term draws a user's z to their own
states and away from those of others.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, pad, softplus

from diffrec_cli.catalogue.comparators import ACVAEConfig
from diffrec_cli.data.sequences import Rows
from diffrec_cli.diffusion.randomness import Draws, dropout
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.comparators.acvae_inference import WINDOW, padded
from diffrec_cli.models.initial_weights import xavier
from diffrec_cli.models.likelihood import wide
from diffrec_cli.models.trainable import Trainable


class ACVAE(Trainable):
    """The parameters that :class:`ACVAEScorer` reads, and a critic.

    Parameters
    ----------
    config, n_items
        Its settings, and |I|.
    generator
        Source of the initial weights, on the CPU.
    """

    def __init__(self, config: ACVAEConfig, n_items: int, generator: torch.Generator) -> None:
        super().__init__()
        self.config, self.n_items = config, n_items
        d = config.dim
        self.E = xavier(n_items, d, n_items + d, generator)
        self.gru = nn.GRU(d, d, batch_first=True)
        for p in self.gru.parameters():
            p.data.uniform_(-(d**-0.5), d**-0.5, generator=generator)
        self.kernel = nn.Parameter(torch.full((WINDOW, d), 1.0 / WINDOW))
        self.W_1 = xavier(3 * d, d, 4 * d, generator)  # state, convolution and noise
        self.b_1 = nn.Parameter(torch.zeros(d))
        self.W_2 = xavier(d, d, 2 * d, generator)
        self.b_2 = nn.Parameter(torch.zeros(d))
        self.V = xavier(n_items, d, n_items + d, generator)
        self.b_out = nn.Parameter(torch.zeros(n_items))
        self.critic = nn.ParameterList(
            [xavier(2 * d, d, 3 * d, generator), xavier(d, 1, d + 1, generator)]
        )

    def loss(self, rows: Rows, backend: TorchBackend, draws: Draws) -> Tensor:
        """Return the cross-entropy of the next items plus the adversarial and contrastive terms."""
        rows = rows.newest(self.config.length)
        items, lengths = padded(rows)
        row, place = np.nonzero(np.arange(items.shape[1])[None, 1:] < lengths[:, None])
        if len(row) == 0:  # no user of the batch has two items
            return self.b_out.sum() * 0.0
        at = backend.asarray(row), backend.asarray(place)
        sequence = backend.asarray(items)
        x = self.E[sequence[:, :-1]]  # (B, L, d)
        kept = draws.at("dropout", rows.users, x[0].numel())
        state, read = self._states(dropout(x, self.config.dropout, kept))
        state, read = state[at], read[at]  # (n, d), (n, 2 d)
        places = rows.users[row] << 32 | place
        z = self._code(read, draws.at("code", places, self.config.dim).normal(read.dtype))
        scores = wide(linear(z, self.V, self.b_out))  # (n, |I|)
        error = cross_entropy(scores, sequence[:, 1:][at])
        prior = draws.at("prior", places, self.config.dim).normal(z.dtype)
        divergence, lesson = self._criticism(state, z, prior)
        tie = self._contrast(state, z, row, backend)
        return error + self.config.beta * divergence + lesson + self.config.contrast * tie

    def _states(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the state at every place, (B, L, d), and with the convolution, (B, L, 2 d)."""
        states, _ = self.gru(x)
        before = pad(states, (0, 0, WINDOW - 1, 0))  # nothing comes before the first
        length = states.shape[1]
        local = torch.zeros_like(states)
        for i in range(WINDOW):  # i places back
            first = WINDOW - 1 - i
            local = local + self.kernel[i] * before[:, first : first + length]
        return states, torch.cat([states, local], dim=2)

    def _code(self, read: Tensor, noise: Tensor) -> Tensor:
        """Return z, (n, d), from what was read, (n, 2 d), and noise, (n, d)."""
        return torch.tanh(torch.cat([read, noise], 1) @ self.W_1 + self.b_1) @ self.W_2 + self.b_2

    def _criticism(self, state: Tensor, z: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
        """Return the critic's estimate of the divergence (for the model), and the critic's loss.

        The critic tells z from `prior`, as many draws of it; at its optimum its logit is the
        log-ratio of the two densities. The first term trains the model alone, the second the critic
        alone.
        """
        first, second = self.critic
        estimate = _logit(state.detach(), z, first.detach(), second.detach()).mean()
        state, z = state.detach(), z.detach()
        told = softplus(-_logit(state, z, first, second)).mean()
        return estimate, told + softplus(_logit(state, prior, first, second)).mean()

    def _contrast(
        self, state: Tensor, z: Tensor, row: NDArray[np.int64], backend: TorchBackend
    ) -> Tensor:
        """Return the cross-entropy of finding each user's mean z by the mean of their states."""
        # Users are counted on the host, so that it need not wait for the device.
        _, place, counts = np.unique(row, return_inverse=True, return_counts=True)
        users, at = len(counts), backend.asarray(place)
        each = backend.asarray(counts)[:, None]
        means = [
            wide(x).new_zeros(users, x.shape[1]).index_add(0, at, wide(x)) / each
            for x in (state, z)
        ]
        logits = means[0] @ means[1].T  # (users, users)
        return cross_entropy(logits, torch.arange(users, device=logits.device))


def _logit(state: Tensor, z: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Return the critic's logit that z comes from the model, (n, 1)."""
    return torch.relu(torch.cat([state, z], 1) @ first) @ second
