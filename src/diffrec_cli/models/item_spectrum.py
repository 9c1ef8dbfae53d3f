"""The leading eigenvectors of the item graph: its smoothest signals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.data.sequences import Sequences


@dataclass(frozen=True)
class Spectrum:
    """The graph's matrix by its leading eigenvectors, ``A = Q diag(values) Q^T``.

    ``A = R^T R / lambda_max`` with ``R = D_u^(-1/4) X D_i^(-1/2)`` for the interactions X, so its
    eigenvalues lie in [0, 1]. Items are near if the same users have both, active users counting
    less. A is never computed: a product with it is two products with Q.

    Parameters
    ----------
    Q
        (|I|, r) eigenvectors, a column each.
    values
        (r,) their eigenvalues, largest (1) first.
    """

    Q: NDArray[np.float32]
    values: NDArray[np.float32]


def spectrum_rank(train: Sequences, n_items: int, rank: int) -> int:
    """Return how many eigenvectors :func:`item_spectrum` finds."""
    return max(1, min(rank, len(train), n_items))


def item_spectrum(train: Sequences, n_items: int, rank: int) -> Spectrum:
    """Return the leading part of the spectrum of the item graph.

    It takes a few sparse products with `rank` vectors, and memory for them and the interactions.

    Parameters
    ----------
    train
        The interactions, each of weight 1.
    n_items
        |I|.
    rank
        Number of eigenvectors, at most that of users or items.
    """
    from scipy.sparse import csr_array
    from sklearn.utils.extmath import randomized_svd

    by_user = train.lengths.astype(np.float64) ** -0.25 if train.size else np.zeros(0)
    by_item = np.maximum(np.bincount(train.items, minlength=n_items), 1) ** -0.5
    values = by_user[train.row_index] * by_item[train.items]
    shape = (len(train), n_items)
    R = csr_array((values.astype(np.float32), train.items, train.indptr), shape=shape)
    r = spectrum_rank(train, n_items, rank)
    # Power iterations suffice: errors among close eigenvalues change little.
    _, singular, vectors = randomized_svd(R, r, n_iter=7, random_state=0)
    largest = max(float(singular[0]), 1e-12)
    return Spectrum(
        np.ascontiguousarray(vectors.T, np.float32),
        ((singular / largest) ** 2).astype(np.float32),
    )
