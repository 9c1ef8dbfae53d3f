"""The best linear item-to-item model with a zero diagonal, in closed form.

Source: Steck, Embarrassingly shallow autoencoders for sparse data, WWW 2019.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.catalogue.simple_models import EASEConfig
from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Rows
from diffrec_cli.memory import require_memory
from diffrec_cli.models.backend import Backend
from diffrec_cli.models.baselines._sparse import matrix

_BLOCK_ITEMS = 1024
_MATRICES = (
    3  # float64 ones at the peak: the Gram matrix, which becomes its inverse, and float32 parts
)


def fit_ease(config: EASEConfig, train: Rows, n_items: int) -> dict[str, NDArray[Any]]:
    """Return B of ``min |X - X B|² + lambda |B|²``, its diagonal being 0, (items, items) float32.

    It takes O(items³) time and about ``3 * 8 * items²`` bytes (28 GB at 34,000 items).

    Raises
    ------
    DeviceError
        There is not enough memory.
    """
    require_memory("ease", memory(n_items), n_items)
    return {"B": _solve(gram(matrix(train, n_items)), config.lambda_)}


def memory(n_items: int) -> int:
    """Return the bytes that fitting takes."""
    return _MATRICES * 8 * n_items**2


class EASEScorer:
    """Scores ``x B``.

    Parameters
    ----------
    config, weights, backend
        As in :func:`~diffrec_cli.models.scorer.build_scorer`.
    """

    def __init__(self, config: FitConfig, weights: Mapping[str, Any], backend: Backend) -> None:
        self.backend = backend
        self.B = backend.asarray(weights["B"])
        self.n_items = int(self.B.shape[0])

    def scores(self, rows: Rows) -> Any:
        """Return (B, items) products of the histories with the weights."""
        return self.backend.sparse_product(rows, self.B)


def gram(x: Any) -> NDArray[np.float64]:
    """Return X^T X, filled block by block: as a sparse matrix it would take more memory."""
    gram = np.empty((x.shape[1], x.shape[1]))
    by_item = x.T.tocsr()
    for start in range(0, len(gram), _BLOCK_ITEMS):
        block = slice(start, start + _BLOCK_ITEMS)
        gram[block] = (by_item[block] @ x).toarray()
    return gram


def _solve(gram: NDArray[np.float64], lambda_: float) -> NDArray[np.float32]:
    """Return ``B = I - P / diag(P)`` with ``P = (X^T X + lambda I)^-1``; `gram` is overwritten."""
    from scipy.linalg import lapack

    np.fill_diagonal(gram, gram.diagonal() + lambda_)
    # Cholesky takes half the time of a general inverse and works in place. LAPACK wants columns
    # first, which is the transpose; the matrix is symmetric.
    factor, _ = lapack.dpotrf(gram.T, lower=1, overwrite_a=1)
    inverse, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)  # only its lower triangle
    diagonal = inverse.diagonal().astype(np.float32)
    below = np.tril(inverse.astype(np.float32), -1)
    B: NDArray[np.float32] = below + below.T  # P without its diagonal
    B /= -diagonal  # column j by P_jj
    return B
