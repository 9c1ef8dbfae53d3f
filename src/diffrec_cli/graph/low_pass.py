"""The ideal low-pass: what the leading singular vectors of the interactions keep of a history."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.graph.degrees import degrees, power, scaled


def low_pass(x: Any, rank: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return A and B, (items, rank), of which ``(x A) B^T`` scores histories x.

    ``A = D_i^(-1/2) U`` and ``B = D_i^(1/2) U`` with the leading right singular vectors U of
    ``D_u^(-1/2) X D_i^(-1/2)`` (GF-CF, Shen et al., CIKM 2021).

    Parameters
    ----------
    x
        (users, items) CSR matrix X of the interactions.
    rank
        Number of vectors; below that of users and of items. Without room for one nothing is kept.
    """
    from scipy.sparse.linalg import svds

    if min(x.shape) < 2 or x.nnz == 0:
        return np.zeros((x.shape[1], 1), np.float32), np.zeros((x.shape[1], 1), np.float32)
    users, items = degrees(x)
    normal = scaled(x.astype(np.float32), power(users, -0.5), power(items, -0.5))
    rank = max(1, min(rank, min(x.shape) - 1))
    _, _, vectors = svds(normal, k=rank, random_state=0)  # (rank, items)
    U = np.ascontiguousarray(vectors.T, np.float32)
    return power(items, -0.5)[:, None] * U, power(items, 0.5)[:, None] * U
