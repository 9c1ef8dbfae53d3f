"""The interface between models and the training loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Rows, Sequences
from diffrec_cli.diffusion.randomness import Draws
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.item_range import ItemRange

#: Arrays of scores of all items that a batch has at a time where it has any: scores, errors, ...
SCORE_ARRAYS = 4
_TRAINING_ONLY = ("sampler.", "updates")


class Trainable(nn.Module):
    """A model that the training loop can train."""

    n_items: int
    #: Whether its losses are computed without the scores of all items.
    compact: bool = False

    @classmethod
    def of(
        cls,
        config: FitConfig,
        train: Sequences | None,
        items: ItemRange,
        generator: torch.Generator,
    ) -> Trainable:
        """Return the model of these settings; some also read the interactions."""
        return cls(config.comparator, items.n_items, generator)

    def loss(self, rows: Rows, backend: TorchBackend, draws: Draws) -> Tensor:
        """Return the loss of a batch of users, a scalar on the backend's device."""
        raise NotImplementedError

    def samples(self, lengths: NDArray[np.int64]) -> int:
        """Return over how many samples the loss of histories of these lengths is a mean."""
        return len(lengths)

    def batch_bytes(self, users: int) -> int:
        """Return about how much memory a batch takes beside the weights and their gradients.

        By default it is that of some arrays of the scores of all items.
        """
        return 4 * SCORE_ARRAYS * users * self.n_items

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """Return the parameters with their learning rates, as torch optimisers take them."""
        return [{"params": list(self.parameters()), "lr": lr}]

    def scoring_weights(self) -> dict[str, Any]:
        """Return the live arrays that :func:`~diffrec_cli.models.scorer.build_scorer` reads.

        Some may be copies: build a new scorer after each update.
        """
        state = self.state_dict()
        return {name: t for name, t in state.items() if not name.startswith(_TRAINING_ONLY)}

    def trained_weights(self, stored: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the parameters, by name, that are among the stored arrays of such a model.

        It turns :meth:`scoring_weights` round. Items are those of the stored model.
        """
        return stored

    def items_of(self, name: str, stored: Mapping[str, Any] | None) -> NDArray[np.int64] | None:
        """Return the items that the rows of a split parameter are for; ``None``: for no items.

        Parameters
        ----------
        name
            Of the parameter.
        stored
            The arrays that it is in; ``None``: it is this model's, of all items.
        """
        rows = self.n_items if stored is None else len(self.trained_weights(stored)[name])
        return np.arange(rows)

    def start_epoch(self, epoch: int) -> None:
        """Begin epoch `epoch` (from 1); schedules depend on this number alone."""

    @property
    def selectable(self) -> bool:
        """Whether the weights of this epoch may be the final ones."""
        return True
