"""Items like those of the history, by the cosine of their columns.

Source: Sarwar et al., Item-based collaborative filtering recommendation algorithms, WWW 2001.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.catalogue.simple_models import ItemKNNConfig
from diffrec_cli.data.sequences import Rows
from diffrec_cli.models.baselines.sparse import by_blocks, cosines, matrix, only_largest, stored


def fit_itemknn(config: ItemKNNConfig, train: Rows, n_items: int) -> dict[str, NDArray[Any]]:
    """Return the similarities of items, (items, items); column j holds the neighbours of item j.

    They are the neighbours of the scored item. (The neighbours of each history item rank worse:
    valid Recall@20 .0996 against .1100 on ML-1M clean.) An item is not its own neighbour.
    """
    x = matrix(train, n_items)  # (users, items)
    lengths = np.sqrt(np.maximum(np.bincount(train.items, train.values**2, n_items), 1e-12))

    def nearest(by_item: Any, start: int) -> Any:
        return only_largest(cosines(by_item @ x, start, lengths, config.shrink), config.neighbours)

    return stored(by_blocks(x.T.tocsr(), nearest).T.tocsr())
