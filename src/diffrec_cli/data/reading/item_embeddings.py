"""Item embeddings from a user's file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.data.reading.numpy_file import read_npy
from diffrec_cli.errors import DataError


def read_embeddings(path: Path, n_items: int) -> NDArray[np.float32]:
    """Return the (items, d) array of a ``.npy`` file, one row an item in the dataset's order.

    Raises
    ------
    DataError
        The file is missing, not such an array, or has another number of rows.
    """
    try:
        array = read_npy(path)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: cannot read item embeddings ({error})",
            "give a .npy file of floats with one row an item, or `svd` or `lightgcn`",
        ) from error
    fits = array.ndim == 2 and len(array) == n_items and np.issubdtype(array.dtype, np.number)
    if not fits or not np.isfinite(array).all():
        raise DataError(
            f"{path}: not ({n_items}, d) finite numbers but {array.dtype} of shape {array.shape}",
            "use one row an item, in the order of the dataset's items.parquet",
        )
    embeddings: NDArray[np.float32] = array.astype(np.float32)
    return embeddings
