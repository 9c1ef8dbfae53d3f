"""Writing ``.npy`` files; NumPy's own writer hides the error of a full disk, a map dies of it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Write an array to a file."""
    save_blocks(path, array.shape, array.dtype, [array])


def save_blocks(
    path: Path, shape: tuple[int, ...], kind: np.dtype[Any], blocks: Iterable[NDArray[Any]]
) -> None:
    """Write an array to a file as its rows come, some at a time."""
    from numpy.lib import format as npy

    described = {"descr": npy.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    with path.open("wb") as stream:
        npy.write_array_header_1_0(stream, described)
        for block in blocks:
            stream.write(np.ascontiguousarray(block).data)
