"""What a user had before, most and last first, and then what is popular."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.catalogue.simple_models import RepeatConfig
from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Rows
from diffrec_cli.models.backend import Backend, NumpyBackend


def fit_repeat(config: RepeatConfig, train: Rows, n_items: int) -> dict[str, NDArray[Any]]:
    """Return the popularity of each item in all histories, (items,), below 1."""
    counts = np.bincount(train.items, train.values, n_items)
    return {"popularity": (counts / (1 + counts.max(initial=0))).astype(np.float32)}


class RepeatScorer:
    """Scores the items of a history by their values, above all others.

    A value is how much an interaction counts: by the number of its rows, and for ``repeat-t`` by
    its place in time.
    """

    backend: Backend = NumpyBackend()

    def __init__(self, config: FitConfig, weights: Mapping[str, Any], backend: Backend) -> None:
        self.popularity = np.asarray(weights["popularity"], np.float32)
        self.n_items = len(self.popularity)

    def scores(self, rows: Rows) -> NDArray[np.float32]:
        """Return (B, items): popularity, and 1 and the value for items of the history."""
        scores = np.tile(self.popularity, (len(rows), 1))
        scores[rows.row_index, rows.items] = 1 + rows.values
        return scores
