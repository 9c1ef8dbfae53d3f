"""The most popular items, the same for every user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.catalogue.simple_models import PopularityConfig
from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Rows
from diffrec_cli.models.backend import Backend, NumpyBackend


def fit_popularity(config: PopularityConfig, train: Rows, n_items: int) -> dict[str, NDArray[Any]]:
    """Return the sum of each item's values in all histories, (items,).

    Examples
    --------
    >>> train = Rows(np.arange(2), np.array([0, 1, 3]), np.array([2, 2, 0]), np.ones(3, "f4"))
    >>> fit_popularity(PopularityConfig(), train, 3)["counts"].tolist()
    [1.0, 0.0, 2.0]
    """
    return {"counts": np.bincount(train.items, train.values, n_items).astype(np.float32)}


class PopularityScorer:
    """The same scores for every history."""

    backend: Backend = NumpyBackend()

    def __init__(self, config: FitConfig, weights: Mapping[str, Any], backend: Backend) -> None:
        self.counts = np.asarray(weights["counts"], np.float32)
        self.n_items = len(self.counts)

    def scores(self, rows: Rows) -> NDArray[np.float32]:
        """Return (B, items) counts; the histories do not matter."""
        return np.tile(self.counts, (len(rows), 1))
