"""Degrees of users and items to a power, which all item graphs divide by."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def degrees(x: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sums of the rows and of the columns of a sparse matrix.

    Parameters
    ----------
    x
        (users, items) SciPy matrix.
    """
    return np.asarray(x.sum(axis=1)).ravel(), np.asarray(x.sum(axis=0)).ravel()


def power(degree: NDArray[np.float64], exponent: float) -> NDArray[np.float32]:
    """Return ``degree ** exponent`` in float32, and 0 where there is no degree.

    Examples
    --------
    >>> power(np.array([4.0, 0.0]), -0.5).tolist()
    [0.5, 0.0]
    """
    raised = np.where(degree > 0, np.maximum(degree, 1e-12) ** exponent, 0.0)
    return raised.astype(np.float32)


def scaled(x: Any, rows: NDArray[np.float32], columns: NDArray[np.float32] | None = None) -> Any:
    """Return a CSR matrix with each row, and each column, times a number."""
    from scipy.sparse import csr_matrix

    data = x.data * np.repeat(rows, np.diff(x.indptr))
    if columns is not None:
        data = data * columns[x.indices]
    return csr_matrix((data, x.indices, x.indptr), x.shape)
