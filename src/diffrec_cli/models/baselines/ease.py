"""The best linear item-to-item model with a zero diagonal, in closed form.

Source: Steck, Embarrassingly shallow autoencoders for sparse data, WWW 2019. With `neighbours` an
item is predicted by the few that tell most about it, so no matrix of items x items is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.catalogue.simple_models import EASEConfig
from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Rows
from diffrec_cli.graph.degrees import degrees, power, scaled
from diffrec_cli.graph.ridge import neighbourhood_ridge, ridge_memory
from diffrec_cli.memory import available_memory, require_memory
from diffrec_cli.models.backend import Backend
from diffrec_cli.models.baselines.item_to_item import ItemToItemScorer
from diffrec_cli.models.baselines.sparse import matrix, stored

#: Neighbours where the matrix of all items does not fit into memory.
NEIGHBOURS = 200
_BLOCK_ITEMS = 1024
_MATRICES = (
    3  # float64 ones at the peak: the Gram matrix, which becomes its inverse, and float32 parts
)


def fit_ease(config: EASEConfig, train: Rows, n_items: int) -> dict[str, NDArray[Any]]:
    """Return B of ``min |X - X B|² + lambda |B|²``, its diagonal being 0, (items, items) float32.

    Without `neighbours` it is dense and takes O(items³) time and about ``3 * 8 * items²`` bytes
    (28 GB at 34,000 items); with them it is sparse.

    Raises
    ------
    DeviceError
        There is not enough memory.
    """
    require_memory("ease", memory(config, n_items, np.diff(train.indptr)), n_items)
    x = matrix(train, n_items)
    if config.neighbours is not None:
        exponents = config.user_exponent, config.item_exponent
        return stored(neighbourhood_ridge(x, config.neighbours, config.lambda_, *exponents))
    users, items = degrees(x)
    columns = power(items, config.item_exponent)
    B = _solve(gram(scaled(x, power(users, config.user_exponent / 2), columns)), config.lambda_)
    return {"B": columns[:, None] * B * power(items, -config.item_exponent)}


def memory(config: EASEConfig, n_items: int, lengths: NDArray[np.int64]) -> int:
    """Return the bytes that fitting takes."""
    if config.neighbours is None:
        return _MATRICES * 8 * n_items**2
    return ridge_memory(lengths, n_items, config.neighbours)


def sized(config: EASEConfig, n_items: int) -> EASEConfig:
    """Return the settings with `neighbours` where the matrix of all items does not fit."""
    available = available_memory()
    if config.neighbours is not None or available is None:
        return config
    fits = memory(config, n_items, np.zeros(0, np.int64)) <= available
    return config if fits else replace(config, neighbours=NEIGHBOURS)


def ease_scorer(
    config: FitConfig, weights: Mapping[str, Any], backend: Backend
) -> EASEScorer | ItemToItemScorer:
    """Return the scorer of dense or of sparse weights."""
    kind = EASEScorer if "B" in weights else ItemToItemScorer
    return kind(config, weights, backend)


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
