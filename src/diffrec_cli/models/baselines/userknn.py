"""Items of users like this one, by the cosine of their histories.

Source: Resnick et al., GroupLens: an open architecture for collaborative filtering of netnews,
CSCW 1994, on interactions instead of ratings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.catalogue.simple_models import UserKNNConfig
from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Rows
from diffrec_cli.models.backend import Backend, NumpyBackend
from diffrec_cli.models.baselines.sparse import loaded, matrix, only_largest, stored


def fit_userknn(config: UserKNNConfig, train: Rows, n_items: int) -> dict[str, NDArray[Any]]:
    """Return the histories themselves, (users, items); the scorer finds the neighbours."""
    return {**stored(matrix(train, n_items)), "n_items": np.array([n_items])}


class UserKNNScorer:
    """Scores an item by the sum of the similarities of the nearest users who have it.

    Parameters
    ----------
    config, weights, backend
        As in :func:`~diffrec_cli.models.scorer.build_scorer`.
    """

    backend: Backend = NumpyBackend()

    def __init__(self, config: FitConfig, weights: Mapping[str, Any], backend: Backend) -> None:
        self.config = config.settings(UserKNNConfig)
        self.n_items = int(np.asarray(weights["n_items"])[0])
        self.histories = loaded(weights, self.n_items)  # (users, items)
        self._of_items = self.histories.T.tocsr()
        self._lengths = _lengths(self.histories)

    def scores(self, rows: Rows) -> NDArray[np.float32]:
        """Return (B, items) sums; known users are not their own neighbours."""
        x = matrix(rows, self.n_items)
        products = (x @ self._of_items).tocsr()  # (B, users)
        of = np.repeat(np.arange(len(rows)), np.diff(products.indptr))
        lengths = _lengths(x)[of] * self._lengths[products.indices]
        products.data = products.data / (lengths + self.config.shrink)
        products.data[rows.users[of] == products.indices] = 0.0
        nearest = only_largest(products, self.config.neighbours)
        result: NDArray[np.float32] = (nearest @ self.histories).toarray().astype(np.float32)
        return result


def _lengths(x: Any) -> NDArray[np.float64]:
    """Return the length of each row."""
    squares = np.asarray(x.multiply(x).sum(axis=1), np.float64).ravel()
    return np.sqrt(np.maximum(squares, 1e-12))
