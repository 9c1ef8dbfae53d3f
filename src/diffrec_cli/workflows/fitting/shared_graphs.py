"""Building the costly parts of item graphs by all processes of a job.

Items of the ridge and fits of the factors are dealt to the processes. What they tell each other
lies in files of the run, which all can map: no process holds more than its rows of the Gram matrix.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.config import GraphSum
from diffrec_cli.config import graphs as g
from diffrec_cli.data.arrays import save_array
from diffrec_cli.data.sequences import Rows
from diffrec_cli.graph.blas import one_thread_each
from diffrec_cli.graph.ridge import Gram
from diffrec_cli.models.graph_parts import (
    fit_factors,
    joined_factors,
    joined_ridge,
    matrix_of,
    ridge_problem,
)
from diffrec_cli.system_errors import writing
from diffrec_cli.training.distributed import Processes

Arrays = dict[str, NDArray[Any]]
_FOLDER = "graph"
_GRAM, _RIDGE, _FACTORS = "gram", "ridge", "factors"
_ARRAYS = ("data", "indices", "indptr")  # of a sparse matrix


def parts_by_all(
    settings: GraphSum, history: Rows, n_items: int, seed: int, run: Path, processes: Processes
) -> Arrays:
    """Return, in the first process, the arrays of the ridge and the factors; in others none.

    Parameters
    ----------
    settings, n_items, seed
        As for :func:`~diffrec_cli.models.graph_parts.fit_parts`.
    history
        Every user's interactions, oldest first.
    run
        A directory that all processes read and write.
    processes
        Those that share the work; one alone has nothing to share.

    Raises
    ------
    KeyboardInterrupt
        One of the processes was interrupted.
    DeviceError, StorageError
        There is not enough memory, or no space for the files.
    """
    shared = [part for part in (g.RIDGE, g.FACTORS) if part in settings.parts]
    if processes.ranks == 1 or not shared:
        return {}
    folder = run / _FOLDER
    share = processes.rank, processes.ranks
    x = matrix_of(history, n_items)
    with writing(folder), one_thread_each():
        folder.mkdir(exist_ok=True)
        if g.RIDGE in shared:
            _ridge_by_all(settings, x, share, folder, processes)
        if g.FACTORS in shared:
            fits = range(settings.factors_fits)[share[0] :: share[1]]
            _together(processes, lambda: _fit(settings, x, seed, fits, folder))
        if not processes.first:
            return {}
        arrays: Arrays = {}
        if g.RIDGE in shared:
            arrays |= joined_ridge(_columns(folder, share[1], n_items))
        if g.FACTORS in shared:
            arrays |= joined_factors([_fitted(folder, k) for k in range(settings.factors_fits)])
        shutil.rmtree(folder)
        return arrays


def _ridge_by_all(
    settings: GraphSum, x: Any, share: tuple[int, int], folder: Path, processes: Processes
) -> None:
    """Store this process's columns of the ridge."""
    problem = ridge_problem(settings, x, share[1])

    def solve() -> None:
        gram = Gram(_rows(folder, share[1], x.shape[1]))
        _store(folder, _RIDGE, share[0], problem.columns(gram, share))

    _together(processes, lambda: _store(folder, _GRAM, share[0], problem.gram_rows(share)))
    _together(processes, solve)


def _rows(folder: Path, shares: int, n_items: int) -> list[Any]:
    """Return each process's rows of the Gram matrix, mapped."""
    from scipy.sparse import csr_matrix

    found = _stored(folder, _GRAM, shares)
    return [csr_matrix(arrays, (len(arrays[2]) - 1, n_items)) for arrays in found]


def _columns(folder: Path, shares: int, n_items: int) -> list[Any]:
    """Return each process's columns of the ridge, mapped."""
    from scipy.sparse import csc_matrix

    found = _stored(folder, _RIDGE, shares)
    return [csc_matrix(arrays, (n_items, len(arrays[2]) - 1)) for arrays in found]


def _fit(settings: GraphSum, x: Any, seed: int, fits: Sequence[int], folder: Path) -> None:
    """Store the factors of some of the fits."""
    for fit in fits:
        for name, array in zip("VP", fit_factors(settings, x, [seed, fit]), strict=True):
            save_array(folder / f"{_FACTORS}-{fit}-{name}.npy", array)


def _fitted(folder: Path, fit: int) -> tuple[NDArray[Any], NDArray[Any]]:
    V, P = (np.load(folder / f"{_FACTORS}-{fit}-{name}.npy", allow_pickle=False) for name in "VP")
    return V, P


def _together(processes: Processes, work: Callable[[], None]) -> None:
    """Do this process's share, and wait for the others; all are interrupted if one is."""
    interrupted = False
    try:
        work()
    except KeyboardInterrupt:
        interrupted = True
    if processes.any(interrupted):
        raise KeyboardInterrupt


def _store(folder: Path, name: str, place: int, matrix: Any) -> None:
    """Write a sparse matrix, array by array, so that others can map it."""
    for array in _ARRAYS:
        save_array(folder / f"{name}-{place}-{array}.npy", getattr(matrix, array))


def _stored(folder: Path, name: str, shares: int) -> Iterator[tuple[NDArray[Any], ...]]:
    """Yield the mapped arrays that each process wrote."""
    for place in range(shares):
        yield tuple(
            np.load(folder / f"{name}-{place}-{a}.npy", mmap_mode="r", allow_pickle=False)
            for a in _ARRAYS
        )
