"""Files and directories in use: many may hold one, and upkeep leaves it alone meanwhile.

A hold is a shared lock of the operating system on a file that exists anyway. It needs no right to
write, and a process that dies lets go. Windows has no such lock: there a file that is held is an
open one, whose directory cannot be moved away.
"""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCKS = sys.platform != "win32"

if sys.platform != "win32":
    import fcntl


class Hold:
    """A file that is held until the last reference to this object goes."""

    def __init__(self, descriptor: int) -> None:
        weakref.finalize(self, os.close, descriptor)


def hold(path: Path) -> Hold | None:
    """Hold a file, after whoever has it alone; ``None`` if it cannot be opened, or is gone then."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except OSError:
            return None
        held = Hold(descriptor)
        _lock_shared(descriptor)
        if _is_at(path, descriptor):
            return held


def keep(descriptor: int) -> Hold:
    """Hold a file that is open already, by that opening: SMB lets no other one write then."""
    held = Hold(os.dup(descriptor))
    _lock_shared(descriptor)
    return held


def _lock_shared(descriptor: int) -> None:
    if sys.platform != "win32":
        with suppress(OSError):  # a file system without locks can still be read
            fcntl.flock(descriptor, fcntl.LOCK_SH)


@contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Tell whether nobody holds a file; within the block nobody begins to.

    What is locked by :class:`filelock.FileLock` counts as held. A file that is not there is not
    held, and one that cannot be locked may be.
    """
    if sys.platform == "win32" or not path.exists():
        yield True
        return
    try:
        descriptor = _opened(path)
    except OSError:
        yield False
        return
    try:
        yield _locks_alone(descriptor) and _is_at(path, descriptor)
    finally:
        os.close(descriptor)


def _opened(path: Path) -> int:
    """Open a file to lock it alone: some network file systems want the right to write for that."""
    try:
        return os.open(path, os.O_RDWR)
    except (IsADirectoryError, PermissionError):
        return os.open(path, os.O_RDONLY)


def _locks_alone(descriptor: int) -> bool:
    """Lock a file against all others; tell whether that could be done at once."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    """Tell whether a path still leads to the file that was opened."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except OSError:
        return False
