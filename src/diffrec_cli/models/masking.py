"""DiffRec with masking, in training: restore what a state of the history hides."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import normalize

from diffrec_cli.catalogue.masking import MaskingConfig
from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Rows, Sequences
from diffrec_cli.diffusion.masking import Masking
from diffrec_cli.diffusion.randomness import Draws
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.initial_weights import read_sparsely, xavier, zeros
from diffrec_cli.models.item_range import ItemRange
from diffrec_cli.models.masking_inference import hidden
from diffrec_cli.models.softmax_output import rows_at_a_time, softmax_loss
from diffrec_cli.models.trainable import Trainable


class MaskingDiffRec(Trainable):
    """Embeddings of items for each recency kernel and for the output.

    The loss is the cross-entropy of what a state hides, over all items that it does not keep.

    Parameters
    ----------
    config, items
        Its settings, and the items of its arrays.
    generator
        Source of the initial weights, on the CPU.
    mean_cuts
        See :class:`~diffrec_cli.diffusion.masking.Masking`.
    """

    compact = True

    def __init__(
        self,
        config: MaskingConfig,
        items: ItemRange,
        generator: torch.Generator,
        mean_cuts: float = 1.0,
    ) -> None:
        super().__init__()
        self.config, self.items, self.n_items = config, items, items.n_items
        self.masking = Masking(config, mean_cuts)
        d, kernels = config.dim, max(1, len(config.half_lives))
        if config.temperature is None:
            self.E = nn.ParameterList(
                read_sparsely(xavier(items, d, items.n_items + d, generator))
                for _ in range(kernels)
            )
        else:
            self.mix = nn.Parameter(torch.ones(kernels, d))
        self.V = xavier(items, d, items.n_items + d, generator)
        self.b = zeros(items)

    @classmethod
    def of(
        cls,
        config: FitConfig,
        train: Sequences | None,
        items: ItemRange,
        generator: torch.Generator,
    ) -> MaskingDiffRec:
        """Return the model of these settings."""
        if train is None:
            raise ValueError("masking needs the interactions")
        cuts = train.lengths[train.lengths > 1] - 1
        mean_cuts = float(cuts.mean()) if len(cuts) else 1.0
        return cls(config.settings(MaskingConfig), items, generator, mean_cuts)

    def loss(self, rows: Rows, backend: TorchBackend, draws: Draws) -> Tensor:
        """Return the mean loss of states of a batch of histories."""
        states = self.masking.draw(rows, draws)
        if len(states.kept) == 0:  # no user of the batch has two items
            return self.b.sum() * 0.0
        kept = states.kept
        present = draws.pairs("history", states.keys[kept.row_index], kept.items)
        weights = self._weights()
        read = self.masking.kernels(kept, present >= self.config.dropout)
        h = hidden(self.config, weights, read, backend)
        return softmax_loss(h, weights["V"], self.b, states.masked, kept, backend)

    def _weights(self) -> dict[str, Tensor]:
        """Return what :func:`~.masking_inference.hidden` reads."""
        if self.config.temperature is None:
            return {"V": self.V, **{f"E.{k}": E for k, E in enumerate(self.E)}}
        return {"V": normalize(self.V, dim=1), "mix": self.mix}

    def samples(self, lengths: NDArray[np.int64]) -> int:
        """Return the number of states of histories of these lengths."""
        return int(self.masking.count(lengths).sum())

    def batch_bytes(self, users: int) -> int:
        """Return about how much memory a batch takes beside the weights and their gradients."""
        d, n = self.config.dim, len(self.items)
        states = users * self.config.states
        scores = 2 * min(states, rows_at_a_time(n)) * n
        return 4 * (scores + states * 4 * d + 2 * n * d)

    def scoring_weights(self) -> dict[str, Tensor]:
        """Return what :class:`~.masking_inference.MaskingScorer` reads."""
        return {"b": self.b.detach(), **{k: w.detach() for k, w in self._weights().items()}}

    def trained_weights(self, stored: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the parameters, by name, that are among the stored arrays.

        Of embeddings whose cosines count the directions are stored: they get their initial length.
        """
        if self.config.temperature is None:
            return stored
        d = self.config.dim
        length = math.sqrt(2.0 * d / (self.n_items + d))
        return {**stored, "V": length * stored["V"]}
