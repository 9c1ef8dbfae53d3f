"""SASRec in training (Kang and McAuley, ICDM 2018): causal self-attention over sequences.

At every place of a history the model predicts the next item, here by the softmax over all items
instead of one sampled negative, which made it much stronger in later comparisons (Klenitskiy and
Vasilev, RecSys 2023). Norms come before attention and linear maps.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import Tensor, nn

from diffrec_cli.catalogue.comparators import SASRecConfig
from diffrec_cli.data.sequences import Rows
from diffrec_cli.diffusion.randomness import Draws, dropout
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.comparators.sasrec_inference import LAYER, aligned, encoded
from diffrec_cli.models.initial_weights import xavier
from diffrec_cli.models.softmax_output import rows_at_a_time, softmax_loss
from diffrec_cli.models.trainable import Trainable

_INITIAL_DEVIATION = 0.02


class SASRec(Trainable):
    """The parameters that :class:`SASRecScorer` reads.

    Parameters
    ----------
    config, n_items
        Its settings, and |I|.
    generator
        Source of the initial weights, on the CPU.
    """

    compact = True

    def __init__(self, config: SASRecConfig, n_items: int, generator: torch.Generator) -> None:
        super().__init__()
        self.config, self.n_items = config, n_items
        d = config.dim
        self.E = _small(n_items, d, generator)
        self.P = _small(config.length, d, generator)
        self.g, self.c = nn.Parameter(torch.ones(d)), nn.Parameter(torch.zeros(d))
        for name in LAYER:
            parameters = [_initial(name, d, generator) for _ in range(config.layers)]
            setattr(self, name, nn.ParameterList(parameters))

    def loss(self, rows: Rows, backend: TorchBackend, draws: Draws) -> Tensor:
        """Return the cross-entropy of the next items, averaged over all places."""
        items, present = aligned(rows.newest(self.config.length + 1))
        read, is_read = items[:, :-1], present[:, :-1]
        row, place = np.nonzero(is_read)
        if len(row) == 0:  # no user of the batch has two items
            return self.E.sum() * 0.0
        layer = itertools.count()

        def dropped(x: Tensor) -> Tensor:
            numbers = draws.at(f"dropout {next(layer)}", rows.users, x[0].numel())
            return dropout(x, self.config.dropout, numbers)

        states = encoded(
            self.config,
            self.scoring_weights(),
            read,
            is_read,
            backend,
            dropped,
        )
        h = states[backend.asarray(row), backend.asarray(place)]
        follows = items[:, 1:][row, place].astype(np.int32)
        ones = np.ones(len(row), np.float32)
        targets = Rows(rows.users[row], np.arange(len(row) + 1), follows, ones)
        return softmax_loss(h, self.E, self.E.new_zeros(self.n_items), targets, None, backend)

    def batch_bytes(self, users: int) -> int:
        """Return about how much memory a batch takes beside the weights and their gradients."""
        own = self.config
        of_place = 16 * own.dim + 4 * own.heads * own.length
        places = users * own.length
        scores = 2 * min(places, rows_at_a_time(self.n_items)) * self.n_items
        return 4 * (scores + places * own.layers * of_place)

    def scoring_weights(self) -> dict[str, Tensor]:
        """Return the live arrays that :func:`~.sasrec_inference.encoded` reads."""
        return dict(self.named_parameters())


def _small(rows: int, columns: int, generator: torch.Generator) -> nn.Parameter:
    return nn.Parameter(torch.randn(rows, columns, generator=generator) * _INITIAL_DEVIATION)


def _initial(name: str, d: int, generator: torch.Generator) -> nn.Parameter:
    if name.startswith("W"):
        return xavier(d, d, 2 * d, generator)
    return nn.Parameter(torch.ones(d) if name.startswith("g") else torch.zeros(d))
