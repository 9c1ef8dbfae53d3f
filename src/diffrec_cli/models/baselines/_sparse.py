"""What the linear baselines share: rows as SciPy matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.data.sequences import Rows, Sequences


def matrix(sequences: Sequences, n_items: int) -> Any:
    """Return the (users, items) float64 CSR matrix of ones."""
    from scipy.sparse import csr_matrix

    ones = np.ones(sequences.size)
    return csr_matrix((ones, sequences.items, sequences.indptr), (len(sequences), n_items))


def history(rows: Rows, n_items: int) -> Any:
    """Return the (B, items) float32 CSR matrix of a batch."""
    from scipy.sparse import csr_matrix

    values = np.asarray(rows.values, np.float32)
    return csr_matrix((values, rows.items, rows.indptr), (len(rows.indptr) - 1, n_items))


def item_counts(sequences: Sequences, n_items: int) -> NDArray[np.int64]:
    """Return (items,) how many interactions each item has."""
    return np.bincount(sequences.items, minlength=n_items)
