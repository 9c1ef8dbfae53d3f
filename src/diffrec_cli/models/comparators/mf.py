"""Matrix factorisation with the BPR loss in training (Rendle et al., UAI 2009)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from diffrec_cli.catalogue.comparators import MFConfig
from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Rows
from diffrec_cli.diffusion.randomness import Draws, dropout
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.comparators.bpr import bpr, draw_pairs, interactions
from diffrec_cli.models.item_range import ItemRange
from diffrec_cli.models.trainable import Trainable


class MF(Trainable):
    """A vector for each user and one for each item; their product is the score.

    Parameters
    ----------
    config, n_users, n_items
        Its settings, |U| and |I|.
    generator
        Source of the initial vectors, on the CPU.
    """

    def __init__(
        self, config: MFConfig, n_users: int, n_items: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.config, self.n_users, self.n_items = config, n_users, n_items
        self.users = nn.Parameter(0.1 * torch.randn(n_users, config.dim, generator=generator))
        self.items = nn.Parameter(0.1 * torch.randn(n_items, config.dim, generator=generator))

    @classmethod
    def of(cls, config: FitConfig, train: Any, items: ItemRange, generator: torch.Generator) -> MF:
        """Return the model of these settings."""
        return cls(config.settings(MFConfig), len(train), items.n_items, generator)

    def loss(self, rows: Rows, backend: TorchBackend, draws: Draws) -> Tensor:
        """Return the BPR loss with one random item for each interaction, and the L2 penalty."""
        user, positive, negative = draw_pairs(rows, self.n_items, backend, draws)
        u, i, j = (
            embedding(user, self.users),
            embedding(positive, self.items),
            embedding(negative, self.items),
        )
        penalty = sum(vector.square().sum() for vector in (u, i, j)) / len(user)
        kept = draws.at("dropout", interactions(rows), self.config.dim)
        read = dropout(u, self.config.dropout, kept)
        return bpr(read, i, j) + self.config.decay / 2 * penalty

    def scoring_weights(self) -> dict[str, Tensor]:
        """Return the vectors of items, which :class:`FactorScorer` reads."""
        return {"item_factors": self.items.detach()}
