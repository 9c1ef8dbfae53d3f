"""What a model makes of single items: vectors by which items are alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.data.sequences import Rows
from diffrec_cli.models.scorer import LinearScorer, Scorer

_BATCH = 1024  # histories of one item that are read at a time


class ItemVectors:
    """Unit vectors of items, computed when they are first asked for.

    An item's vector is what it changes: the hidden vector of a history of this item alone, less
    that of an empty history. On MovieLens-100k the ten items next to an item by this vector share
    more genres with it than those next to it by its row of the output layer (Jaccard index .268
    for .185 with ``base``, .310 for .296 with ``l``; any two items: .172).

    Parameters
    ----------
    scorer
        A model with a layer of hidden vectors.
    weight
        What stands for an interaction in its input.

    Raises
    ------
    ValueError
        The scorer has no such layer, see :func:`has_vectors`.
    """

    def __init__(self, scorer: Scorer, weight: float = 1.0) -> None:
        if not isinstance(scorer, LinearScorer) or scorer.output is None:
            raise ValueError("a scorer without hidden vectors")
        self._scorer, self._backend, self._weight = scorer, scorer.backend, weight
        self._nothing = self._hidden(np.zeros(1, np.int64), 0)[0]  # (H,)
        self._vectors = np.zeros((scorer.n_items, len(self._nothing)), np.float32)
        self._done = np.zeros(scorer.n_items, bool)

    def of(self, items: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the vectors of some items, any shape -> (..., H); of length 1, or 0."""
        missing = np.unique(items[~self._done[items]])
        for start in range(0, len(missing), _BATCH):
            batch = missing[start : start + _BATCH]
            change = self._hidden(batch, 1) - self._nothing
            length = np.linalg.norm(change, axis=1, keepdims=True)
            self._vectors[batch] = change / np.maximum(length, 1e-12)
            self._done[batch] = True
        vectors: NDArray[np.float32] = self._vectors[items]
        return vectors

    def _hidden(self, items: NDArray[np.int64], length: int) -> NDArray[np.float32]:
        """Return the hidden vectors of histories of one of these items each, or of none."""
        size = len(items) * length
        rows = Rows(
            np.full(len(items), -1),
            np.arange(len(items) + 1) * length,
            items[:size].astype(np.int32),
            np.full(size, self._weight, np.float32),
        )
        hidden: NDArray[np.float32] = self._backend.host(self._scorer.hidden(rows))
        return hidden


def has_vectors(scorer: Scorer) -> bool:
    """Tell whether a model has hidden vectors that a linear layer makes scores of."""
    return isinstance(scorer, LinearScorer) and scorer.output is not None
