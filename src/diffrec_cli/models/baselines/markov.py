"""What follows the newest items of a history, by directed transitions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.catalogue.graphs import MarkovConfig
from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Rows
from diffrec_cli.graph.transitions import faded, transitions
from diffrec_cli.models.backend import Backend, NumpyBackend
from diffrec_cli.models.baselines.sparse import loaded, stored

#: Age, in interactions, at which an item of the history counts half.
HALF_LIFE = 2.0


def fit_markov(config: MarkovConfig, train: Rows, n_items: int) -> dict[str, NDArray[Any]]:
    """Return the transitions from item i (row) to item j (column), (items, items)."""
    return stored(transitions(train.indptr, train.items, n_items, config.places))


class MarkovScorer:
    """Scores an item by how it follows the newest items of a history.

    Parameters
    ----------
    config, weights, backend
        As in :func:`~diffrec_cli.models.scorer.build_scorer`.
    """

    backend: Backend = NumpyBackend()

    def __init__(self, config: FitConfig, weights: Mapping[str, Any], backend: Backend) -> None:
        self.n_items = len(weights["indptr"]) - 1
        self.transitions = loaded(weights, self.n_items)

    def scores(self, rows: Rows) -> NDArray[np.float32]:
        """Return (B, items) sums of transitions from each history."""
        newest = read_newest(rows, self.n_items)
        result: NDArray[np.float32] = (newest @ self.transitions).toarray()
        return result.astype(np.float32)


def read_newest(rows: Rows, n_items: int) -> Any:
    """Return histories, (B, items) CSR, by age: each sums to 1, the newest with most."""
    from scipy.sparse import csr_matrix

    values = faded(rows.indptr, HALF_LIFE)
    sums = np.bincount(rows.row_index, values, len(rows))
    values = (values / sums[rows.row_index]).astype(np.float32)
    return csr_matrix((values, rows.items, rows.indptr), (len(rows), n_items))
