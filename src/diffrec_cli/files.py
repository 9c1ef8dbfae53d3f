"""Atomic writes of files and directories, JSON records, hashes.

Everything is stored through :func:`atomic_file` or :func:`publish_directory`, and what a user named
through :func:`user_file`: a crash, a full disk or a SIGKILL never leaves half of it under its final
name. What has a temporary name is held by its maker; what a SIGKILL leaves is not, and
:func:`sweep_incoming` removes it before the next file of a user, or the next directory, there.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from diffrec_cli.errors import CorruptError, LockedError, NewerSchemaError, UsageError
from diffrec_cli.holds import LOCKS, Hold, alone, hold, keep
from diffrec_cli.system_errors import reading, writing

INCOMING_PREFIX = ".incoming-"
_HOST_LETTERS, _RANDOM_BYTES = 12, 4  # of a temporary name; earlier versions had 12 letters in all
_INCOMING = INCOMING_PREFIX + _HOST_LETTERS * "[0-9a-f]" + "*"
_OLD_SECONDS = 24 * 3600.0  # where nothing tells whether someone works on it
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_Made = TypeVar("_Made")


@contextmanager
def locked(directory: Path, timeout: float) -> Iterator[None]:
    """Hold the lock of a directory, which is made if needed.

    Parameters
    ----------
    directory
        Where the lock file is.
    timeout
        Seconds to wait for the lock.

    Raises
    ------
    LockedError
        Another process held it for longer.
    """
    from filelock import FileLock, Timeout

    directory.mkdir(parents=True, exist_ok=True)
    lock = FileLock(directory / ".lock")
    try:
        lock.acquire(timeout=timeout)
    except Timeout:
        raise LockedError(
            f"{directory} is locked: another diffrec is changing it",
            "wait until it is done and run the same command again",
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def publish_directory(parent: Path) -> Iterator[Path]:
    """Give an empty directory in `parent`; it is removed at the end unless it was put in place.

    The caller fills it, then calls :func:`sync_tree` and :func:`put_in_place`.
    """
    sweep_incoming(parent)
    with _temporary_directory(parent) as directory:
        yield directory


def put_in_place(directory: Path, final: Path) -> None:
    """Give a directory that is complete and flushed its final name, in one step.

    Raises
    ------
    FileExistsError
        Something has that name: the system replaces no directory but an empty one.
    """
    try:
        directory.replace(final)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.ENOTDIR):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(final)) from error
        raise
    sync(final.absolute().parent)


def delete_directory(directory: Path, within: Path) -> None:
    """Move a directory away in one step, then delete it: no one sees it half-deleted.

    Parameters
    ----------
    directory
        What to delete.
    within
        Where it is moved to; :func:`sweep_incoming` removes there what a kill leaves.
    """
    with _temporary_directory(within) as grave:
        directory.replace(grave / directory.name)
        sync(directory.parent)


def sweep_incoming(parent: Path, *, held_by_none: bool = False) -> None:
    """Remove what killed processes left in `parent`: temporary names that nobody holds.

    Another host may hold what looks free here: some network file systems keep locks to each host.
    So what others left goes when it is a day old, and on Windows, without such locks, so does all.

    Parameters
    ----------
    parent
        The directory.
    held_by_none
        The caller has locked the directory: all goes at once.
    """
    own = f"{INCOMING_PREFIX}{_host()}"
    for path in parent.glob(_INCOMING):
        with suppress(OSError), alone(path) as free:
            known = held_by_none or (LOCKS and path.name.startswith(own))
            if free and (known or time.time() - path.stat().st_mtime >= _OLD_SECONDS):
                _remove(path)


def _host() -> str:
    """Return letters that are the same wherever locks are seen: for one running system."""
    import hashlib  # here: every command imports this module, and most write nothing
    import platform

    system = platform.node().encode()
    with suppress(OSError):  # of Linux; containers have it in common, and so their locks
        system = _BOOT.read_bytes()
    return hashlib.sha256(system).hexdigest()[:_HOST_LETTERS]


def _remove(path: Path) -> None:
    """Remove a file or a directory, as far as it is there and can be."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


@contextmanager
def _temporary_directory(parent: Path) -> Iterator[Path]:
    """Give a new directory that no sweep removes; it is gone after the block."""
    path, _held = _made(parent, _held_directory)
    try:
        yield path
    finally:
        _remove(path)


def _made(parent: Path, make: Callable[[Path], _Made]) -> tuple[Path, _Made]:
    """Make something of a new name, and hold it; return both."""
    while True:
        path = _new_name(parent)
        made = make(path)
        if path.exists():  # else it was swept before it was held
            return path, made


def _new_name(parent: Path) -> Path:
    """Return a unique name: two processes may write the same file, and the last one wins."""
    return parent / f"{INCOMING_PREFIX}{_host()}{os.urandom(_RANDOM_BYTES).hex()}"


def _held_directory(path: Path) -> Hold | None:
    path.mkdir(parents=True)
    return hold(path) if LOCKS else None  # on Windows what is open keeps its name


def _held_file(path: Path) -> tuple[BinaryIO, Hold | None]:
    stream = path.open("xb")
    return stream, keep(stream.fileno()) if LOCKS else None


def sync(path: Path) -> None:
    """Flush a file to the disk, or a directory where the platform can."""
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(directory: Path) -> None:
    """Flush every file below `directory`, then the directories themselves."""
    for path in sorted(directory.rglob("*"), reverse=True):
        sync(path)
    sync(directory)


@contextmanager
def atomic_path(path: Path, *, synced: bool = True) -> Iterator[Path]:
    """Give a temporary path to write to; it is renamed to `path` if the block succeeds.

    For libraries that open, or replace, files themselves: it is not held, so only a directory that
    nobody else sweeps can have it.

    Parameters
    ----------
    path
        The final name.
    synced
        Whether to flush the file to the disk before the renaming.
    """
    temporary = _new_name(path.parent)
    try:
        yield temporary
        if synced:
            sync(temporary)
        temporary.replace(path)
        if synced:
            sync(path.absolute().parent)
    finally:
        _remove(temporary)


def _linked(file: Path, path: Path) -> bool:
    """Give a file a name that is free; without links claim the name, and return False."""
    try:
        path.hardlink_to(file)
    except FileExistsError:
        raise
    except OSError:
        path.touch(exist_ok=False)
        return False
    return True


@contextmanager
def atomic_file(path: Path, *, replace: bool = True) -> Iterator[BinaryIO]:
    """Give a stream whose content becomes the file `path` if the block succeeds.

    Parameters
    ----------
    path
        The final name.
    replace
        Whether to replace what has that name by then; if not, it is a FileExistsError.
    """
    temporary, (stream, _held) = _made(path.parent, _held_file)
    try:
        with stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        if replace or not _linked(temporary, path):
            temporary.replace(path)
        sync(path.absolute().parent)
    finally:
        _remove(temporary)


@contextmanager
def user_file(path: Path, *, overwrite: bool = True) -> Iterator[BinaryIO]:
    """Write a file that a user named: it has that name when it is complete, or is as it was.

    What a link leads to is written, and keeps its mode.

    Parameters
    ----------
    path
        The file.
    overwrite
        Whether to replace a file; if not, one that comes meanwhile stays, too.

    Raises
    ------
    UsageError
        See :func:`check_user_file`; or the disk is full, or it cannot be written.
    """
    check_user_file(path, overwrite=overwrite)
    target = Path(os.path.realpath(path))
    with writing(path), atomic_file(target, replace=overwrite) as stream:
        yield stream
        with suppress(OSError):  # a new file has no mode to keep, and some file systems have none
            Path(stream.name).chmod(stat.S_IMODE(target.stat().st_mode))


def check_user_file(path: Path, *, overwrite: bool = True) -> None:
    """Raise if a user's file cannot be written; call it before long work.

    What killed processes left beside it goes here, so that it goes even if this is refused: a kill
    may come when the file has its name already.

    Raises
    ------
    UsageError
        It is a directory or a device, or has none to be in, or exists and is not to be replaced.
    """
    with writing(path):
        if path.is_dir():
            raise UsageError(f"{path} is a directory", f"give a file, such as {path / 'file'}")
        parent = Path(os.path.realpath(path)).parent
        if not (path.absolute().parent.is_dir() and parent.is_dir()):
            raise UsageError(f"{path}: there is no such directory", "make it, or give another path")
        sweep_incoming(parent)
        if path.exists() and not path.is_file():
            raise UsageError(f"{path} is no plain file", "give another path")
        if path.exists() and not overwrite:
            raise UsageError(f"{path} exists", "give another path, or --overwrite to replace it")


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path`, as :func:`atomic_file` does."""
    with atomic_file(path) as stream:
        stream.write(content)


def dump_json(value: Any) -> bytes:
    """Return `value` as readable UTF-8 JSON with a final newline."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode(errors="backslashreplace")  # file names may have bytes that are no text


def read_record(path: Path, *, kind: str, schema_version: int) -> dict[str, Any]:
    """Read a JSON record that diffrec wrote, and check its kind and schema version.

    Raises
    ------
    CorruptError
        The file is missing, is not JSON, or is a record of another kind.
    NewerSchemaError
        It was written by a newer diffrec.
    """
    try:
        with reading(path):
            content = path.read_bytes()
        record = json.loads(content)
    except (OSError, ValueError, RecursionError) as error:
        raise CorruptError(
            f"{path}: not a readable {kind} record ({error.__class__.__name__})",
            f"remove {path.parent} and make it again",
        ) from error
    version = record.get("schema_version") if isinstance(record, dict) else None
    if not isinstance(version, int) or record.get("kind") != kind:
        raise CorruptError(f"{path}: not a {kind} record", f"remove {path.parent}")
    if version > schema_version:
        raise NewerSchemaError(
            f"{path}: schema version {version}, this diffrec reads up to {schema_version}",
            "upgrade diffrec-cli, or move that directory away",
        )
    checked: dict[str, Any] = record
    return checked


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    import hashlib

    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def directory_size(directory: Path) -> int:
    """Return the bytes of all files below `directory`; a file of several names counts once."""
    return sum({_identity(found): found.st_size for found in _files(directory)}.values())


class Freed:
    """Counts what the removal of directories frees: a file is freed with the last of its names."""

    def __init__(self) -> None:
        self._names: Counter[tuple[int, int]] = Counter()

    def by(self, directory: Path) -> int:
        """Return the bytes that removing this directory frees, if those before it are removed."""
        freed = 0
        for found in _files(directory):
            self._names[_identity(found)] += 1
            if self._names[_identity(found)] >= found.st_nlink:
                freed += found.st_size
        return freed


def _files(directory: Path) -> Iterator[os.stat_result]:
    """Yield what is known of each file; what others remove meanwhile is left out."""
    for parent, _, names in os.walk(directory):
        for name in names:
            with suppress(FileNotFoundError):
                found = os.stat(os.path.join(parent, name))  # noqa: PTH116, PTH118  # fast
                if stat.S_ISREG(found.st_mode):
                    yield found


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino
