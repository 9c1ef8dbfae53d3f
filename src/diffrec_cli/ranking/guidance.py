"""Guidance: scores moved towards chosen items and away from others, without new training."""

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
    """Return a scorer that raises items related to `towards` and lowers those related to `away`.

    To each score is added `strength` times the change from an empty history to one of the items of
    `towards` alone, and the same for `away` is subtracted. This is the same for all users.

    Parameters
    ----------
    scorer
        The model.
    towards, away
        (n,) and (m,) distinct items.
    weight
        Value of an interaction in the model's input.
    most
        Largest total of interactions on either side: of more items each weighs less, so that the
        history of all is like those in training.
    strength
        Factor of the change; 0 changes nothing.
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
    """Return the weights of these items, (n,)."""
    each = weight * min(1.0, most / max(1, len(items)))
    return np.full(len(items), each, np.float32)


class _Shifted:
    """A scorer with an offset, (|I|,), added to its scores."""

    def __init__(self, scorer: Scorer, offset: NDArray[np.float32]) -> None:
        self.n_items, self.backend = scorer.n_items, scorer.backend
        self._scorer, self._offset = scorer, self.backend.asarray(offset)

    def scores(self, rows: Rows) -> Array:
        return self._scorer.scores(rows) + self._offset


class _ShiftedLinear(_Shifted):
    """The same for a linear scorer: the offset is in the bias."""

    def __init__(self, scorer: Any, offset: NDArray[np.float32]) -> None:
        super().__init__(scorer, offset)
        self.output, self.hidden = scorer.output.shifted(offset), scorer.hidden
