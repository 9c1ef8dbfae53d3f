"""A sparse linear item-to-item model without negative weights.

Source: Ning and Karypis, SLIM: sparse linear methods for top-N recommender systems, ICDM 2011;
solved for all items at once by ADMM (Steck, Dimakopoulou, Riabov and Jebara, ADMM SLIM, WSDM 2020).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.catalogue.simple_models import SLIMConfig
from diffrec_cli.data.sequences import Rows
from diffrec_cli.memory import require_memory
from diffrec_cli.models.baselines.ease import gram
from diffrec_cli.models.baselines.sparse import matrix, stored

_MATRICES = 6  # float32 ones at the peak


def fit_slim(config: SLIMConfig, train: Rows, n_items: int) -> dict[str, NDArray[Any]]:
    """Return ``min 1/2 |X - X B|^2 + l2/2 |B|^2 + l1 |B|_1``, B >= 0 with zero diagonal, sparse.

    Raises
    ------
    DeviceError
        There is not enough memory for six (items, items) matrices.
    """
    from scipy.sparse import csr_matrix

    require_memory("slim", memory(config, n_items, np.diff(train.indptr)), n_items)
    G = gram(matrix(train, n_items)).astype(np.float32)
    rho = config.step
    P = np.linalg.inv(G + np.diag(np.full(n_items, config.l2 + rho, np.float32)))
    PG = P @ G
    C = np.zeros_like(G)
    dual = np.zeros_like(G)  # of B = C, divided by rho
    for _ in range(config.iterations):
        B = PG + P @ (rho * (C - dual))
        B -= P * (B.diagonal() / P.diagonal())  # column j by its multiplier: the diagonal is 0
        C = np.maximum(B + dual - config.l1 / rho, 0.0)
        np.fill_diagonal(C, 0.0)
        dual += B - C
    return stored(csr_matrix(C))


def memory(config: SLIMConfig, n_items: int, lengths: NDArray[np.int64]) -> int:
    """Return the bytes that fitting takes."""
    return _MATRICES * 4 * n_items**2
