"""The standard streams: opened where the caller closed them, and what it means that one fails."""

from __future__ import annotations

import io
import os
import sys
from typing import Any, TextIO

from diffrec_cli.errors import UsageError


class ClosedStream(io.TextIOWrapper):
    """Stands for a standard stream that the caller closed: has no input, and loses output."""

    def __init__(self) -> None:
        raw = _Closed()
        both = io.BufferedRWPair(raw, raw)
        super().__init__(both, "utf-8", "replace")  # type: ignore[arg-type]  # it has no name


class _Closed(io.RawIOBase):
    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        raise UsageError("stdin is closed, there is nothing to read", "give a file instead of -")

    def write(self, data: Any) -> int:
        return memoryview(data).nbytes


class _Output(io.FileIO):
    """stdout or stderr; a failure is told once, and then what is written is lost.

    It would fail again when Python ends, with a message and an exit code of its own.
    """

    failed = False

    def write(self, data: Any) -> int:
        if not self.failed:
            try:
                return super().write(data)
            except OSError as error:
                self.failed = True
                self._tell(error)
        return memoryview(data).nbytes

    def _tell(self, error: OSError) -> None:
        """Ignore it: messages are not worth the work that they are about."""


class _Result(_Output):
    def _tell(self, error: OSError) -> None:
        if isinstance(error, BrokenPipeError):
            raise error
        raise UsageError(
            f"stdout cannot be written: {error.strerror}",
            "free some space, or send it elsewhere; what is stored is kept",
        ) from error


def open_streams() -> None:
    """Make all three streams usable; call it before anything is opened.

    Else the next file that is opened would get the number of a closed stream, and what a library
    writes to that.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest number
    sys.stdin = sys.stdin or ClosedStream()
    sys.stdout = _guarded(sys.stdout, _Result)
    sys.stderr = _guarded(sys.stderr, _Output)


def _guarded(stream: TextIO | None, kind: type[_Output]) -> TextIO:
    """Return a stream to the same file that shows what its encoding lacks as escapes."""
    if stream is None:
        return ClosedStream()
    raw = getattr(stream.buffer, "raw", stream.buffer)  # python -u has no buffer
    if not isinstance(stream, io.TextIOWrapper) or not isinstance(raw, io.FileIO):
        return stream  # a console of Windows
    return io.TextIOWrapper(
        io.BufferedWriter(kind(stream.fileno(), "wb", closefd=False)),
        stream.encoding,
        "backslashreplace",
        line_buffering=stream.line_buffering or stream.write_through,
    )


def require_stdout() -> None:
    """Raise :class:`UsageError` if stdout is closed; for what has its result nowhere else."""
    if isinstance(sys.stdout, ClosedStream):
        raise UsageError(
            "stdout is closed, and the result would be nowhere else",
            "open it: leave >&- out, or give > FILE",
        )
