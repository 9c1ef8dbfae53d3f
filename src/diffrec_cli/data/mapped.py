"""Arrays of an uncompressed ``.npz`` as views of the file: what is not used is never in memory."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

_LOCAL_HEADER = 30  # bytes before the name in front of every member of a zip
_BLOCK = 2**20


def map_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of what :func:`numpy.savez` wrote, by name.

    Every byte is read once, for the archive's checksums, and let go again. The arrays may be
    changed; changes are not written.

    Raises
    ------
    OSError, ValueError, zipfile.BadZipFile
        The file is no such archive, or damaged.
    """
    arrays = {}
    with zipfile.ZipFile(path) as archive, path.open("rb") as stream:
        for member in archive.infolist():
            if member.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{member.filename} is compressed")
            with archive.open(member) as content:
                while content.read(_BLOCK):  # raises BadZipFile at the end if the CRC is wrong
                    pass
            _skip_local_header(stream, member.header_offset)
            arrays[member.filename.removesuffix(".npy")] = _map_npy(stream)
    return arrays


def _skip_local_header(stream: BinaryIO, offset: int) -> None:
    """Go to a member's first byte; its name and extra field have lengths of their own there."""
    stream.seek(offset)
    header = stream.read(_LOCAL_HEADER)
    name, extra = (int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
    stream.seek(offset + _LOCAL_HEADER + name + extra)


def _map_npy(stream: BinaryIO) -> NDArray[Any]:
    """Map the array that begins here, as :mod:`numpy.lib.format` describes it."""
    version = np.lib.format.read_magic(stream)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    shape, fortran_order, dtype = read(stream)
    if dtype.hasobject or fortran_order:
        raise ValueError("an array of objects, or not in C order")
    if math.prod(shape) == 0:  # nothing can be mapped
        return np.empty(shape, dtype)
    return np.asarray(np.memmap(stream, dtype, "c", stream.tell(), shape))
