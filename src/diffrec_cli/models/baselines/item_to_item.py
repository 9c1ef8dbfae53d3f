"""Scores of the closed forms for given histories."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Rows
from diffrec_cli.models.backend import Backend, NumpyBackend
from diffrec_cli.models.baselines.sparse import loaded, matrix


class ItemToItemScorer:
    """Item-kNN, RP3beta and SLIM: the history times a sparse (items, items) matrix.

    Parameters
    ----------
    config, weights, backend
        As in :func:`~diffrec_cli.models.scorer.build_scorer`; the weights are the arrays of
        :func:`~diffrec_cli.models.baselines.sparse.stored`.
    """

    backend: Backend = NumpyBackend()

    def __init__(self, config: FitConfig, weights: Mapping[str, Any], backend: Backend) -> None:
        self.n_items = len(weights["indptr"]) - 1
        self.weights = loaded(weights, self.n_items)

    def scores(self, rows: Rows) -> NDArray[np.float32]:
        """Return (B, items) sums of weights over each history."""
        result: NDArray[np.float32] = (matrix(rows, self.n_items) @ self.weights).toarray()
        return result.astype(np.float32)
