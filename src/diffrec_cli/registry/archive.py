"""Models as single files, to move between machines: an uncompressed tar.

The archive has ``model.json`` first, then exactly the files that it lists. An archive may come from
anyone: only these files are written, below an empty directory, and all are verified. Compression
would only cost time, as it makes weights hardly smaller.
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from diffrec_cli.errors import CorruptError, DataError, NewerSchemaError
from diffrec_cli.files import dump_json, user_file
from diffrec_cli.registry.artifact import RECORD, Artifact
from diffrec_cli.registry.record import ModelRecord
from diffrec_cli.registry.verification import check
from diffrec_cli.system_errors import reading

_MAX_RECORD = 2**22  # bytes; real records have a few thousand
_BUFFER = 2**20

# Errors from reading a hostile archive; the last two if one name is below another.
_MALFORMED = (
    tarfile.TarError,
    EOFError,
    ValueError,
    ArithmeticError,
    RecursionError,
    FileExistsError,
    NotADirectoryError,
)


def pack(artifact: Artifact, path: Path, *, overwrite: bool = False) -> None:
    """Write a model to a file, atomically; the same model always gives the same bytes."""
    with user_file(path, overwrite=overwrite) as stream, artifact.there():
        _write(artifact, stream)


def unpack(path: Path, directory: Path) -> ModelRecord:
    """Write the files of an archive into an empty directory, verify and load them.

    Raises
    ------
    DataError
        The archive is damaged, or was not written by :func:`pack`.
    NewerSchemaError
        It was written by a newer diffrec.
    """
    with _blaming(path, directory):
        record = _unpack(path, directory)
        check(Artifact(record, directory)).require_ok()
    return record


def _write(artifact: Artifact, stream: BinaryIO) -> None:
    record = dump_json(artifact.record.to_dict())  # with its present name and version
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(_member(RECORD, len(record)), io.BytesIO(record))
        for name, entry in artifact.record.files.items():
            file = artifact.path / name
            with reading(file), file.open("rb") as content:
                tar.addfile(_member(name, entry.bytes), content)


def _member(name: str, size: int) -> tarfile.TarInfo:
    """Describe a file, without its owner and time, which are private."""
    member = tarfile.TarInfo(name)
    member.size = size
    return member


def _unpack(path: Path, directory: Path) -> ModelRecord:
    """Write the files of an archive below `directory`; raise at the first unexpected one."""
    with tarfile.open(path, "r:") as tar:
        record = _unpack_record(tar, directory)
        waiting = dict(record.files)
        while (member := tar.next()) is not None:
            entry = waiting.pop(member.name, None)
            if entry is None or member.size != entry.bytes:
                raise CorruptError(f"{member.name!r} is not a file of the model", "")
            _extract(tar, member, directory)
    if waiting:
        raise CorruptError(f"{min(waiting)} is missing", "")
    return record


def _unpack_record(tar: tarfile.TarFile, directory: Path) -> ModelRecord:
    member = tar.next()
    if member is None or member.name != RECORD or member.size > _MAX_RECORD:
        raise CorruptError(f"it does not begin with {RECORD}", "")
    _extract(tar, member, directory)
    return Artifact.open(directory).record


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, directory: Path) -> None:
    """Write a member below `directory`; its name was checked before."""
    # No links, no devices, and no sparse files, which could be larger than the archive.
    if not member.isreg() or member.issparse() or (source := tar.extractfile(member)) is None:
        raise CorruptError(f"{member.name!r} is not a plain file", "")
    target = directory / member.name
    target.parent.mkdir(parents=True, exist_ok=True)
    with source, target.open("xb") as stream:
        shutil.copyfileobj(source, stream, _BUFFER)


@contextmanager
def _blaming(path: Path, directory: Path) -> Iterator[None]:
    """Make errors name the archive instead of the directory: it is the user's, not stored."""
    fix = "export the model again where it came from"
    inside = f"{directory}{os.sep}"
    try:
        yield
    except (CorruptError, NewerSchemaError) as error:
        kind = DataError if isinstance(error, CorruptError) else NewerSchemaError
        what = error.what.replace(inside, "")
        raise kind(f"{path}: not a valid export of a model: {what}", fix) from error
    except _MALFORMED as error:
        what = str(error).replace(inside, "")
        raise DataError(f"{path}: not an export of a model ({what})", fix) from error
