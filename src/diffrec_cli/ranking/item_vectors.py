"""Vectors of items from a model; similar items have similar vectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.data.sequences import Rows
from diffrec_cli.models.scorer import LinearScorer, Scorer

_BATCH = 1024  # histories of one item that are read at a time


class ItemVectors:
    """Unit vectors of items, computed at first use.

    An item's vector is the hidden vector of a history of this item alone, minus that of an empty
    history. On MovieLens-100k the ten nearest items by this vector share more genres with an item
    than those by rows of the output layer (Jaccard index .268 for .185 with ``base``, .310 for .296
    with ``l``; any two items: .172).

    Parameters
    ----------
    scorer
        A model with hidden vectors.
    weight
        Value of an interaction in its input.

    Raises
    ------
    ValueError
        The scorer has no hidden vectors, see :func:`has_vectors`.
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
        """Return the hidden vector of each item's history, which has `length` items, 1 or 0."""
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
    """Tell whether a model's scores are a linear layer over hidden vectors."""
    return isinstance(scorer, LinearScorer) and scorer.output is not None
