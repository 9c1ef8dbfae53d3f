"""DiffRec and T-DiffRec in training: diffusion over the interactions themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from diffrec_cli.catalogue import corruption_row
from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Rows, Sequences
from diffrec_cli.diffusion.corruption import Corruption
from diffrec_cli.diffusion.importance import StepSampler
from diffrec_cli.diffusion.randomness import Draws
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.diffrec_inference import corruption_of
from diffrec_cli.models.item_range import ItemRange
from diffrec_cli.models.trainable import Trainable


class ItemDenoiser(Protocol):
    """The interface of a denoiser of histories, a torch module."""

    compact: bool

    def batch_bytes(self, users: int) -> int:
        """Return about how much memory a batch takes beside the weights and their gradients."""

    def losses(
        self, corruption: Corruption, rows: Rows, t: Tensor, backend: TorchBackend, draws: Draws
    ) -> Tensor:
        """Corrupt histories to steps t (B,), predict, and return the loss of each, (B,)."""

    def scoring_weights(self) -> dict[str, Tensor]:
        """Return the live arrays that the row's scorer reads."""

    def trained_weights(self, stored: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the parameters, by name, that are among the stored arrays."""


class DiffRec(Trainable):
    """DiffRec (paper, sections 3.1 and 3.2) with any corruption and denoiser.

    Parameters
    ----------
    corruption
        How histories are corrupted.
    denoiser
        An :class:`ItemDenoiser`.
    items
        The items of its arrays.
    """

    def __init__(self, corruption: Corruption, denoiser: ItemDenoiser, items: ItemRange) -> None:
        super().__init__()
        self.corruption, self.items, self.n_items = corruption, items, items.n_items
        self.denoiser, self.compact = denoiser, denoiser.compact
        self.sampler = StepSampler(corruption.T, by_importance=corruption.by_importance)

    @classmethod
    def of(
        cls,
        config: FitConfig,
        train: Sequences | None,
        items: ItemRange,
        generator: torch.Generator,
    ) -> DiffRec:
        """Return the model of these settings; see :func:`~diffrec_cli.models.build.build_model`."""
        row = corruption_row(config)
        if row.denoiser is None:
            raise TypeError(f"{config.variant} is not built from a denoiser")
        return cls(corruption_of(config), row.denoiser(config, train, items, generator), items)

    def loss(self, rows: Rows, backend: TorchBackend, draws: Draws) -> Tensor:
        """Return the mean loss of a batch of users: Algorithm 1, lines 3 to 7."""
        t, scale = self.sampler.draw(draws.at("step", rows.users, 1))
        losses = self.denoiser.losses(self.corruption, rows, t, backend, draws)  # (B,)
        if self.corruption.by_importance:
            self.sampler.tell(backend.of_batch(t), backend.of_batch(losses))
        mean: Tensor = (losses * scale).mean()
        return mean

    def batch_bytes(self, users: int) -> int:
        """Return about how much memory a batch takes beside the weights and their gradients."""
        return self.denoiser.batch_bytes(users)

    def scoring_weights(self) -> dict[str, Any]:
        """Return what the denoiser's scorer reads."""
        weights: dict[str, Any] = self.denoiser.scoring_weights()
        return weights

    def trained_weights(self, stored: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the denoiser's parameters that are among the stored arrays."""
        of_denoiser = self.denoiser.trained_weights(stored)
        return {f"denoiser.{name}": array for name, array in of_denoiser.items()}
