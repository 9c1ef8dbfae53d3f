"""Compressed files, recognised by their first bytes; other containers are named and refused."""

from __future__ import annotations

import lzma
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from diffrec_cli.errors import DataError

_ZIP = b"PK\x03\x04"
#: First bytes of what Arrow unpacks, and its name there.
_ARROW = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd"}
_XZ = b"\xfd7zXZ\x00"
#: First bytes of what is refused: what it is, and what to do.
_OTHERS = {
    b"ARROW1": ("a Feather or Arrow file", "save it as Parquet or CSV"),
    b"\x80\x04": ("a pickle, which may run any code", "save it as Parquet or CSV"),
    b"\x80\x05": ("a pickle, which may run any code", "save it as Parquet or CSV"),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook", "save the sheet as CSV"),
    b"7z\xbc\xaf": ("a 7z archive", "unpack it first"),
    b"Rar!": ("a RAR archive", "unpack it first"),
    b"SQLite format 3\x00": ("an SQLite database", "export the table as CSV"),
    b"version https://git-lfs": ("a pointer of Git LFS", "get the file itself: git lfs pull"),
    b"<!DOCTYPE html": ("a web page", "download the file itself"),
    b"<html": ("a web page", "download the file itself"),
}
_LOOK_AT = 512
_OF_A_WORKBOOK = "[Content_Types].xml"
_ENCRYPTED = 1  # among a member's flags
_SHOWN = 3
_TAR_AT, _TAR = 257, b"ustar"


def unpacked(path: Path, label: str) -> Any:
    """Open a file's content as an Arrow stream.

    Parameters
    ----------
    path
        A regular file: plain, gzip, bz2, zstd, xz, or a zip archive of one file.
    label
        How messages call it.

    Raises
    ------
    DataError
        It is, or has inside, a container of another kind.
    """
    with path.open("rb") as stream:
        start = stream.read(_LOOK_AT)
    _refuse(start, label)
    codec = next((codec for magic, codec in _ARROW.items() if start.startswith(magic)), None)
    if start.startswith(_ZIP):
        content = _only_member(path, label)
    elif start.startswith(_XZ):
        content = partial(_xz, path)
    elif codec:
        content = partial(_by_arrow, path, codec)
    else:
        return _plain(path)
    with content() as stream:
        _refuse(stream.read(_LOOK_AT), label)
    return content()


def _plain(path: Path) -> Any:
    # Not pa.OSFile: after an error Arrow's threads read on, by then another file's descriptor.
    return pa.PythonFile(path.open("rb"), mode="r")


def _by_arrow(path: Path, codec: str) -> Any:
    return pa.CompressedInputStream(_plain(path), codec)


def _xz(path: Path) -> Any:
    return pa.PythonFile(lzma.open(path), mode="r")


def _only_member(path: Path, label: str) -> Callable[[], Any]:
    """Return a function that opens the only file of a zip archive."""
    with zipfile.ZipFile(path) as archive:
        files = [one for one in archive.infolist() if _is_content(one)]
    names = [one.filename for one in files]
    if _OF_A_WORKBOOK in names:
        raise DataError(f"{label}: an Excel workbook, which is not read", "save the sheet as CSV")
    if len(files) != 1:
        shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        raise DataError(
            f"{label}: a zip archive of {len(files)} files ({shown})", "unpack it and give the log"
        )
    if files[0].flag_bits & _ENCRYPTED:
        raise DataError(f"{label}: an encrypted zip archive", "unpack it first")
    return lambda: pa.PythonFile(zipfile.ZipFile(path).open(names[0]), mode="r")


def _is_content(member: zipfile.ZipInfo) -> bool:
    """Tell whether a member of an archive is a file, and not a desktop's own record."""
    name = member.filename
    return not name.endswith("/") and not name.startswith("__MACOSX/") and ".DS_Store" not in name


def _refuse(start: bytes, label: str) -> None:
    """Raise a :class:`DataError` for a container that is not read."""
    what, fix = next((say for magic, say in _OTHERS.items() if start.startswith(magic)), ("", ""))
    if start[_TAR_AT : _TAR_AT + len(_TAR)] == _TAR:
        what, fix = "a tar archive", "unpack it first"
    if what:
        raise DataError(f"{label}: {what}, which is not read", fix)
