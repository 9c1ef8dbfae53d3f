"""An exponential moving average of a model's weights."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from diffrec_cli.models.trainable import Trainable

_HEAD_START = 10  # makes early averages forget the initial weights


class WeightAverage:
    """A copy of a model whose parameters are a moving average of the model's.

    It reduces the noise of a constant learning rate in the weights (Polyak and Juditsky, 1992).

    Parameters
    ----------
    current
        The model in training, on its device.
    decay
        Share of the average that an update keeps; with 0 the average is the model itself.
    """

    def __init__(self, current: Trainable, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.model = copy.deepcopy(current).requires_grad_(False) if decay > 0 else current
        self._pairs = list(zip(self.model.parameters(), current.parameters(), strict=True))

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after an update of the model."""
        if self.decay == 0:
            return
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (_HEAD_START + self.updates))
        for average, value in self._pairs:
            average.lerp_(value, 1.0 - decay)

    def tensors(self) -> dict[str, Tensor]:
        """Return the live averaged weights, for a checkpoint; none without averaging."""
        return dict(self.model.named_parameters()) if self.decay > 0 else {}
