"""Shared by the linear baselines: rows as SciPy matrices, and matrices as stored arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.data.sequences import Rows

_BLOCK_CELLS = 2**23  # entries of a block of similarities, at most 12 bytes each


def matrix(rows: Rows, n_items: int) -> Any:
    """Return the (B, items) float64 CSR matrix of a batch or of all users."""
    from scipy.sparse import csr_matrix

    values = np.asarray(rows.values, np.float64)
    return csr_matrix((values, rows.items, rows.indptr), (len(rows), n_items))


def stored(sparse: Any) -> dict[str, NDArray[Any]]:
    """Return a SciPy CSR matrix as arrays to store."""
    return {
        "data": sparse.data.astype(np.float32),
        "indices": sparse.indices.astype(np.int32),
        "indptr": sparse.indptr.astype(np.int64),
    }


def loaded(weights: Mapping[str, Any], columns: int) -> Any:
    """Return the CSR matrix of the arrays of :func:`stored`."""
    from scipy.sparse import csr_matrix

    arrays = tuple(np.asarray(weights[name]) for name in ("data", "indices", "indptr"))
    return csr_matrix(arrays, (len(arrays[2]) - 1, columns))


def by_blocks(x: Any, block_of: Callable[[Any, int], Any]) -> Any:
    """Apply `block_of` to blocks of rows of x, and return the results stacked, (n, n) CSR.

    Parameters
    ----------
    x
        (n, m) CSR matrix.
    block_of
        From some rows of x and the index of the first to a CSR matrix of n columns.
    """
    from scipy.sparse import vstack

    size = max(1, _BLOCK_CELLS // x.shape[0])
    starts = range(0, x.shape[0], size)
    return vstack([block_of(x[start : start + size], start) for start in starts]).tocsr()


def only_largest(values: Any, n: int) -> Any:
    """Keep the `n` largest values above 0 of each row of a CSR matrix, the earlier if equal."""
    from scipy.sparse import csr_matrix

    values.sort_indices()  # ties break by position
    rows = np.repeat(np.arange(values.shape[0]), np.diff(values.indptr))
    ends = zip(values.indptr[:-1], values.indptr[1:], strict=True)
    kept = np.concatenate([first + _largest(values.data[first:last], n) for first, last in ends])
    return csr_matrix((values.data[kept], (rows[kept], values.indices[kept])), values.shape)


def _largest(values: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    """Return the positions of the `n` largest values above 0, the earlier if equal."""
    bound = np.partition(values, -n)[-n] if len(values) > n else 0.0
    above = np.flatnonzero(values > max(bound, 0.0))
    if bound <= 0.0:
        return above
    return np.concatenate([above, np.flatnonzero(values == bound)[: n - len(above)]])


def cosines(products: Any, start: int, lengths: NDArray[np.float64], shrink: float) -> Any:
    """Turn products of rows from `start` on with all rows into cosines; 0 of a row with itself."""
    rows = np.repeat(np.arange(products.shape[0]), np.diff(products.indptr)) + start
    products.data = products.data / (lengths[rows] * lengths[products.indices] + shrink)
    products.data[rows == products.indices] = 0.0
    return products
