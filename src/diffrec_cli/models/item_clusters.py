"""Item embeddings, and L-DiffRec's item groups by clustering them (section 3.5)."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.data.sequences import Sequences
from diffrec_cli.errors import ConfigError

SVD_DIM = 64


def svd_embeddings(train: Sequences, n_items: int, seed: int) -> NDArray[np.float32]:
    """Return item embeddings from a truncated SVD of the train matrix, (|I|, up to 64).

    The matrix is divided by the square roots of both degrees, so that active users count less.
    """
    from scipy.sparse import csr_matrix
    from sklearn.decomposition import TruncatedSVD

    by_user = np.repeat(train.lengths, train.lengths).astype(np.float32)
    by_item = np.maximum(np.bincount(train.items, minlength=n_items), 1)[train.items]
    values = 1.0 / np.sqrt(by_user * by_item)
    shape = (len(train), n_items)
    matrix = csr_matrix((values.astype(np.float32), train.items, train.indptr), shape=shape)
    dim = min(SVD_DIM, n_items - 1, len(train) - 1)
    with warnings.catch_warnings():  # tiny logs have no variance to explain
        warnings.simplefilter("ignore")
        svd = TruncatedSVD(dim, random_state=seed % 2**32).fit(matrix)
    embeddings: NDArray[np.float32] = svd.components_.T * svd.singular_values_
    return embeddings.astype(np.float32)


def kmeans_groups(embeddings: NDArray[np.float32], C: int, seed: int) -> NDArray[np.int64]:
    """Return the k-means group of each item, (|I|,), numbered 0 to C - 1."""
    if len(embeddings) < C:
        raise ConfigError(
            f"C = {C} item groups, but the dataset has {len(embeddings)} items",
            "use a smaller C",
        )
    if C == 1:
        return np.zeros(len(embeddings), np.int64)
    from sklearn.cluster import KMeans

    with warnings.catch_warnings():  # fewer distinct items than groups give fewer groups
        warnings.simplefilter("ignore")
        labels = KMeans(C, n_init=10, random_state=seed % 2**32).fit_predict(embeddings)
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)
