"""What the operating system refuses, as the package's own errors: what, where, the fix, exit code.

This is the one place that knows error numbers. What is below ``DIFFREC_HOME`` is a
:class:`StorageError`, and a path of the user a :class:`UsageError`. Memory, file handles and
threads that the system has no more of are a :class:`DeviceError`, wherever it was.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from diffrec_cli.errors import DeviceError, DiffrecError, StorageError, UsageError
from diffrec_cli.paths import home

MORE_MEMORY = "allow more memory (see ulimit -v, or the limit of the container)"
_MORE_FILES = "allow more open files (ulimit -n 1024)"
MORE_THREADS = "allow more processes and threads (see ulimit -u, or the limit of the container)"
_FREE = "free some space (see `diffrec doctor`) and run the same command again"

_WHAT = {
    errno.ENOSPC: "no space left on the disk while writing {path}",
    errno.EDQUOT: "no space left in your quota while writing {path}",
    errno.EFBIG: "{path} would be larger than a file may be here (see ulimit -f)",
    errno.EEXIST: "{path} exists",
}
_FIX = {
    errno.ENOSPC: _FREE,
    errno.EDQUOT: _FREE,
    errno.EFBIG: "raise that limit, and run the same command again",
    errno.EEXIST: "give another path, or remove it first",
    errno.ENAMETOOLONG: "use shorter names: most systems allow 255 bytes",
    errno.ELOOP: "mend the links, which lead in a circle",
    errno.EIO: "the device fails: look into the system's log, and check your backups",
}
#: The file is not there, or is something else: what was stored is at fault, not the system.
_ABSENT = (FileNotFoundError, IsADirectoryError, NotADirectoryError)

#: How libraries say that memory, file handles or threads ran out, and what number that is.
_SAID = {
    errno.ENOMEM: (
        *("out of memory", "allocate memory", "bad_alloc", "memory allocation"),
        *("failed to map segment", "static tls block", "os error 12)"),
    ),
    errno.EMFILE: ("too many open files", "os error 24)"),
    errno.EAGAIN: ("start new thread", "resource temporarily unavailable", "os error 11)"),
}
_LIMITS = {
    errno.ENOMEM: ("out of memory", MORE_MEMORY),
    errno.EMFILE: ("out of file handles: too many files are open", _MORE_FILES),
    errno.ENFILE: ("out of file handles: too many files are open on this machine", _MORE_FILES),
    errno.EAGAIN: ("out of threads: no process or thread can be started", MORE_THREADS),
}
_NO_TEMPORARY = "no usable temporary directory"  # so says Python, without a path
#: What may quote a user's data, in which these words may stand.
_QUOTING = (DiffrecError, ValueError, LookupError, TypeError)
_AMOUNT = r"allocat\w+ ([\d.,]+ ?(?:[KMGT]i?B|bytes))"
_LONGEST = 300  # letters of a path in a message


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system says against writing `path` into the package's error.

    A lack of memory stays a :class:`MemoryError`: who computes knows what to advise.
    """
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOMEM:  # a file cannot be mapped
            raise MemoryError(str(error)) from error
        if (refused := refusal(error, path)) is None:
            raise
        raise refused from error


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what the system says against reading a stored file into the package's error.

    What is not there, or is no file, stays an :class:`OSError`: that is a fault of the store.
    """
    try:
        yield
    except Exception as error:
        if (refused := unreadable(error, path)) is None:
            raise
        raise refused from error


def unreadable(error: BaseException, path: Path) -> DiffrecError | None:
    """Return why the system lets nobody read a file; None if it does, whatever is in the file."""
    if isinstance(error, DiffrecError):
        return error
    limit = exhausted(error)
    if limit is not None or isinstance(error, _ABSENT):
        return limit
    return refusal(error, path, verb="read") if isinstance(error, OSError) else None


def refusal(
    error: BaseException, path: Path | None = None, verb: str = "write"
) -> DiffrecError | None:
    """Return the package's error for what the system refused; None if it refused nothing.

    Parameters
    ----------
    error
        Any error.
    path
        What was to be read or written; ``None``: what the error names.
    verb
        Which of both.
    """
    if (limit := exhausted(error)) is not None:
        return limit
    if not isinstance(error, OSError) or error.errno is None or isinstance(error, BrokenPipeError):
        return None
    named = path if path is not None else error.filename
    where = os.fsdecode(named) if isinstance(named, str | bytes | Path) else "the output"
    said = error.strerror or str(error)
    if named is None and _NO_TEMPORARY in said.lower():
        what = "no directory for temporary files can be written to"
        return StorageError(what, "free some space, or set TMPDIR to a directory that has some")
    what = _WHAT.get(error.errno, "cannot {verb} {path}: {said}")
    what = what.format(path=_short(where), verb=verb, said=said)
    if _is_stored(where):
        fix = "check the permissions, or set DIFFREC_HOME to a directory that you can write to"
        return StorageError(what, _FIX.get(error.errno, fix))
    return UsageError(what, _FIX.get(error.errno, "give another path, or check the permissions"))


def exhausted(error: BaseException) -> DeviceError | None:
    """Return the error for what the system has no more of: memory, file handles, threads.

    Libraries wrap such errors, or stumble over them: what came before an error counts, too.
    """
    seen: BaseException | None = error
    while seen is not None:
        if (number := _number_of(seen)) in _LIMITS:
            what, fix = _LIMITS[number]
            amount = amount_of(seen) if number == errno.ENOMEM else ""
            return DeviceError(f"{what}{amount}", fix)
        seen = seen.__cause__ or seen.__context__
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether it is memory that ran out, the device's or the system's."""
    return _number_of(error) == errno.ENOMEM


def amount_of(error: BaseException) -> str:
    """Return how much memory was asked for in vain, if the error tells.

    Examples
    --------
    >>> amount_of(MemoryError("Unable to allocate 1.2 GiB for an array"))
    ': 1.2 GiB at once were needed'
    """
    found = re.search(_AMOUNT, str(error))
    return f": {found[1]} at once were needed" if found else ""


def system_error(error: Exception) -> OSError:
    """Return the operating system's error that a library (safetensors) hides in its text."""
    match = re.search(r"os error (\d+)", str(error))
    return OSError(int(match[1]) if match else errno.EIO, str(error))


def _number_of(error: BaseException) -> int:
    """Return the number of the limit that an error tells of, 0 if of none."""
    if isinstance(error, MemoryError):
        return errno.ENOMEM
    if isinstance(error, BlockingIOError) and hasattr(error, "characters_written"):
        return 0  # a reader is slow
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno if error.errno in _LIMITS else 0
    if isinstance(error, _QUOTING):
        return 0
    said = str(error).lower()
    return next((n for n, words in _SAID.items() if any(word in said for word in words)), 0)


def _is_stored(path: str) -> bool:
    root = os.path.abspath(home())  # noqa: PTH100  # links stay: it is the name that was given
    return f"{os.path.abspath(path)}{os.sep}".startswith(f"{root}{os.sep}")  # noqa: PTH100


def _short(path: str) -> str:
    """Return a path, without the middle of one that is too long for any system."""
    return path if len(path) <= _LONGEST else f"{path[: _LONGEST // 2]}...{path[-_LONGEST // 2 :]}"
