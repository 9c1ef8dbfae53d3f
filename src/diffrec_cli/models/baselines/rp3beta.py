"""Random walks of three steps from the user, with popular items down-weighted.

Source: Paudel et al., Updatable, accurate, diverse, and scalable recommendations for interactive
applications, TiiS 2017.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.catalogue.simple_models import RP3betaConfig
from diffrec_cli.data.sequences import Rows
from diffrec_cli.models.baselines.sparse import by_blocks, matrix, only_largest, stored


def fit_rp3beta(config: RP3betaConfig, train: Rows, n_items: int) -> dict[str, NDArray[Any]]:
    """Return the weights of walks from item i (row) to item j (column), (items, items).

    ``W_ij = sum_u (p_iu p_uj) / popularity_j^beta``, with transition probabilities to the power
    alpha, for the items j of largest weight for each i.
    """
    x = matrix(train, n_items)
    from_user = _transitions(x, config.alpha)  # (users, items)
    from_item = _transitions(x.T.tocsr(), config.alpha)  # (items, users)
    popularity = np.maximum(np.bincount(train.items, train.values, n_items), 1e-12)
    held_back = popularity**-config.popularity

    def walks(rows: Any, start: int) -> Any:
        ends = (rows @ from_user).tocsr()
        ends.data *= held_back[ends.indices]
        of = np.repeat(np.arange(ends.shape[0]), np.diff(ends.indptr)) + start
        ends.data[of == ends.indices] = 0.0
        return only_largest(ends, config.neighbours)

    return stored(by_blocks(from_item, walks))


def _transitions(x: Any, alpha: float) -> Any:
    """Return each row divided by its sum, to the power alpha."""
    sums = np.maximum(np.asarray(x.sum(axis=1)).ravel(), 1e-12)
    rows = np.repeat(np.arange(x.shape[0]), np.diff(x.indptr))
    x = x.copy()
    x.data = (x.data / sums[rows]) ** alpha
    return x
