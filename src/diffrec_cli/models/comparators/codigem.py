"""CODIGEM in training (Walker et al., KSEM 2022): a chain of autoencoders, one a step."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from diffrec_cli.catalogue.comparators import CodigemConfig
from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Rows
from diffrec_cli.diffusion.randomness import Draws, dropout
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.comparators.autoencoders import LOSSES, Autoencoder
from diffrec_cli.models.item_range import ItemRange
from diffrec_cli.models.trainable import SCORE_ARRAYS, Trainable


class Codigem(Trainable):
    """Autoencoder t predicts x_(t-1) from x_t; inference uses only the first, which predicts x_0.

    The steps share no weights, so the others do not change the lists (paper, sections 4.2.1 and 5).
    They are trained here all the same.

    Parameters
    ----------
    config, items
        Its settings, and the items of its arrays.
    generator
        Source of the initial weights, on the CPU.
    """

    def __init__(self, config: CodigemConfig, items: ItemRange, generator: torch.Generator) -> None:
        super().__init__()
        self.config, self.items, self.n_items = config, items, items.n_items
        self.chain = [
            Autoencoder(items, [config.dim] * 4, "tanh", generator) for _ in range(config.T)
        ]
        self.steps = nn.ModuleList(self.chain)

    def loss(self, rows: Rows, backend: TorchBackend, draws: Draws) -> Tensor:
        """Return the reconstruction loss of step 1 plus the squared errors of the others."""
        columns = self.items.columns
        x: Tensor = backend.dense(backend.own(rows), len(self.items))  # (B, |I|), x_0
        total = x.new_zeros(())
        beta = self.config.step_beta
        for t, step in enumerate(self.chain, start=1):
            noise = draws.at(f"noise {t}", rows.users, columns).normal(x.dtype)
            kept = draws.at(f"dropout {t}", rows.users, columns)
            x_t = math.sqrt(1.0 - beta) * x + math.sqrt(beta) * noise
            a = backend.summed(dropout(x_t, self.config.dropout, kept) @ step.W_in) + step.b_in
            predicted = step.scores_from(a, backend)
            if t == 1:
                total = total + LOSSES[self.config.loss](predicted, rows, backend)
            else:
                total = total + backend.summed((predicted - x).square().sum(dim=1)).mean()
            x = x_t
        return total

    @classmethod
    def of(
        cls, config: FitConfig, train: Any, items: ItemRange, generator: torch.Generator
    ) -> Codigem:
        """Return the model of these settings."""
        return cls(config.settings(CodigemConfig), items, generator)

    def batch_bytes(self, users: int) -> int:
        """Return about how much memory a batch takes beside the weights and their gradients."""
        return 4 * SCORE_ARRAYS * users * len(self.items)

    def scoring_weights(self) -> dict[str, Tensor]:
        """Return the weights of the first autoencoder."""
        return {
            name.removeprefix("steps.0."): tensor
            for name, tensor in self.state_dict().items()
            if name.startswith("steps.0.")
        }
