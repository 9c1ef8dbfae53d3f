"""Scores that are moved away from chosen items, without training again."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.data.sequences import Rows
from diffrec_cli.models.scoring import LinearScorer, Scorer

Array = Any  # np.ndarray or torch.Tensor


def away_from(
    scorer: Scorer, items: NDArray[np.int64], *, weight: float = 1.0, strength: float = 1.0
) -> Scorer:
    """Return a scorer that holds against an item what it shares with these.

    What someone who has these items alone would gain over someone of whom nothing is known is
    taken from every score, `strength` times; it is the same for all users, so a linear layer
    keeps it in its bias.

    Parameters
    ----------
    scorer
        The model.
    items
        (n,) distinct items.
    weight
        What stands for an interaction in the model's input.
    strength
        How strongly; 0 changes nothing.
    """
    rows = Rows(
        np.full(2, -1),
        np.array([0, len(items), len(items)]),
        items.astype(np.int32),
        np.full(len(items), weight, np.float32),
    )
    having, nothing = scorer.backend.host(scorer.scores(rows))
    offset = (-strength * (having - nothing)).astype(np.float32)
    if isinstance(scorer, LinearScorer) and scorer.output is not None:
        return _ShiftedLinear(scorer, offset)
    return _Shifted(scorer, offset)


class _Shifted:
    """A scorer whose scores are higher by an offset, (|I|,)."""

    def __init__(self, scorer: Scorer, offset: NDArray[np.float32]) -> None:
        self.n_items, self.backend = scorer.n_items, scorer.backend
        self._scorer, self._offset = scorer, self.backend.asarray(offset)

    def scores(self, rows: Rows) -> Array:
        return self._scorer.scores(rows) + self._offset


class _ShiftedLinear(_Shifted):
    """The same where scores are a linear layer: ranking still reads it block by block."""

    def __init__(self, scorer: Any, offset: NDArray[np.float32]) -> None:
        super().__init__(scorer, offset)
        self.output, self.hidden = scorer.output.shifted(offset), scorer.hidden
