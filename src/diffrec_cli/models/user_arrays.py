"""Arrays of a trained model that have a row a user, and how users are taken out of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.catalogue import model_row
from diffrec_cli.config import FitConfig
from diffrec_cli.models.baselines.sparse import stored
from diffrec_cli.models.scorer import GRAPH

_CSR = ("data", "indices", "indptr")


def without_users(
    config: FitConfig, arrays: Mapping[str, NDArray[Any]], users: NDArray[np.int64]
) -> dict[str, NDArray[Any]] | None:
    """Return a model's arrays without the rows of some users; ``None`` if it has none.

    Parameters
    ----------
    config
        The model's settings.
    arrays
        Its arrays by name.
    users
        Indices in its dataset; users who were added after training have no rows.
    """
    kept = dict(arrays)
    changed = False
    for name in _of_users(config, arrays):
        if f"{name}indptr" in arrays:
            rows = len(arrays[f"{name}indptr"]) - 1
            x = _matrix(arrays, name, rows)[_left(rows, users)]
            kept |= {f"{name}{part}": array for part, array in stored(x).items()}
            changed |= x.shape[0] < rows
        elif name in arrays:
            kept[name] = arrays[name][_left(len(arrays[name]), users)]
            changed |= len(kept[name]) < len(arrays[name])
    return kept if changed else None


def _of_users(config: FitConfig, arrays: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of arrays with a row a user, and the beginnings of those of CSR matrices."""
    if config.graph is not None:
        yield f"{GRAPH}train."
        config = replace(config, graph=None)
    row = model_row(config)
    if row is not None:
        yield from row.of_users


def _left(rows: int, users: NDArray[np.int64]) -> NDArray[np.bool_]:
    left = np.ones(rows, np.bool_)
    left[users[users < rows]] = False
    return left


def _matrix(arrays: Mapping[str, Any], name: str, rows: int) -> Any:
    from scipy.sparse import csr_matrix

    data, indices, indptr = (np.asarray(arrays[f"{name}{part}"]) for part in _CSR)
    return csr_matrix((data, indices, indptr), (rows, int(indices.max(initial=-1)) + 1))
