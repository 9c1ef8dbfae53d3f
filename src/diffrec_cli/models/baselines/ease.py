"""The best linear item-to-item model that may not copy, in closed form.

Source: Steck, Embarrassingly shallow autoencoders for sparse data, WWW 2019.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.data.sequences import Rows, Sequences
from diffrec_cli.errors import DeviceError, UsageError
from diffrec_cli.models.baselines._memory import available_memory
from diffrec_cli.models.baselines._sparse import history, matrix

_BLOCK_ITEMS = 1024
_MATRICES = (
    3  # float64 ones at the peak: the Gram matrix, which becomes its inverse, and float32 parts
)


class EASE:
    """Scores ``x B`` with ``min |X - X B|² + lambda |B|²``, the diagonal of B being 0.

    Fitting takes O(items³) time and about ``3 * 8 * items²`` bytes (28 GB at 34,000 items),
    whatever the number of users; both are known before it starts.

    Parameters
    ----------
    train
        Items of every user.
    n_items
        Number of items.
    lambda_
        Weight of the ridge penalty.

    Attributes
    ----------
    B
        (items, items) float32; column j predicts item j from all others.

    Raises
    ------
    DeviceError
        The memory does not suffice.
    UsageError
        `lambda_` is not above 0.
    """

    name = "ease"

    def __init__(self, train: Sequences, n_items: int, *, lambda_: float = 500.0) -> None:
        if not lambda_ > 0:
            raise UsageError(f"lambda = {lambda_} is out of range", "lambda must be above 0")
        _require_memory(_MATRICES * 8 * n_items**2, n_items)
        self.n_items = n_items
        self.B = _solve(_gram(matrix(train, n_items)), lambda_)

    def scores(self, rows: Rows) -> NDArray[np.float32]:
        """Return (B, items) products of the histories with the weights."""
        result: NDArray[np.float32] = history(rows, self.n_items) @ self.B
        return result


def _require_memory(needed: int, n_items: int) -> None:
    available = available_memory()
    if available is not None and needed > available:
        raise DeviceError(
            f"ease on {n_items:,} items needs {needed / 1e9:.1f} GB of memory, "
            f"{available / 1e9:.1f} GB are available",
            "leave it out (itemknn needs far less), or drop rare items with "
            "--min-item-interactions",
        )


def _gram(x: Any) -> NDArray[np.float64]:
    """Return X^T X, filled block by block: its sparse form would take more memory than it."""
    gram = np.empty((x.shape[1], x.shape[1]))
    by_item = x.T.tocsr()
    for start in range(0, len(gram), _BLOCK_ITEMS):
        block = slice(start, start + _BLOCK_ITEMS)
        gram[block] = (by_item[block] @ x).toarray()
    return gram


def _solve(gram: NDArray[np.float64], lambda_: float) -> NDArray[np.float32]:
    """Return ``B = I - P / diag(P)`` with ``P = (X^T X + lambda I)^-1``; `gram` is consumed."""
    from scipy.linalg import lapack

    np.fill_diagonal(gram, gram.diagonal() + lambda_)
    # By Cholesky: half the time of a general inverse, and in place. LAPACK reads the transpose
    # of a NumPy matrix, which here is the matrix itself.
    factor, _ = lapack.dpotrf(gram.T, lower=1, overwrite_a=1)
    inverse, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)  # only its lower triangle
    diagonal = inverse.diagonal().astype(np.float32)
    below = np.tril(inverse.astype(np.float32), -1)
    B: NDArray[np.float32] = below + below.T  # P without its diagonal
    B /= -diagonal  # column j by P_jj
    return B
