"""Scores that are moved towards chosen items and away from others, without training again."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.data.sequences import Rows
from diffrec_cli.models.scorer import LinearScorer, Scorer

Array = Any  # np.ndarray or torch.Tensor
Items = NDArray[np.int64]


def guided(
    scorer: Scorer,
    towards: Items,
    away: Items,
    *,
    weight: float = 1.0,
    most: float = np.inf,
    strength: float = 1.0,
) -> Scorer:
    """Return a scorer that favours what goes with some items and holds back what goes with others.

    What someone who has these items alone would gain over someone of whom nothing is known is
    added to every score, or taken from it, `strength` times. It is the same for all users, so
    where scores are a linear layer its bias holds it.

    Parameters
    ----------
    scorer
        The model.
    towards, away
        (n,) and (m,) distinct items.
    weight
        What stands for an interaction in the model's input.
    most
        Interactions that either side counts for at most: of more items each weighs less, so
        that the history of all of them resembles those that the model was trained on.
    strength
        How strongly; 0 changes nothing.
    """
    both = np.concatenate([towards, away])
    rows = Rows(
        np.full(3, -1),
        np.array([0, len(towards), len(both), len(both)]),
        both.astype(np.int32),
        np.concatenate([_shared(weight, most, towards), _shared(weight, most, away)]),
    )
    with_towards, with_away, nothing = scorer.backend.host(scorer.scores(rows))
    gain = (with_towards - nothing) - (with_away - nothing)
    offset = (strength * gain).astype(np.float32)
    if isinstance(scorer, LinearScorer) and scorer.output is not None:
        return _ShiftedLinear(scorer, offset)
    return _Shifted(scorer, offset)


def _shared(weight: float, most: float, items: Items) -> NDArray[np.float32]:
    """Return the weight of each of these items, (n,)."""
    each = weight * min(1.0, most / max(1, len(items)))
    return np.full(len(items), each, np.float32)


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
