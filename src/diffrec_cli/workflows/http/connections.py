"""Sockets to listen at, and connections that may not be slow for ever."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from diffrec_cli.errors import UsageError
from diffrec_cli.workflows.http.options import ServeOptions

_BACKLOG = 2048


@contextmanager
def listening(options: ServeOptions) -> Iterator[tuple[socket.socket, str]]:
    """Give a listening socket, and how to call it; a unix socket's path is removed at the end.

    Raises
    ------
    UsageError
        The address or the path cannot be had.
    """
    if options.unix_socket is not None:
        with _at_path(Path(options.unix_socket)) as found:
            yield found, f"unix:{options.unix_socket}"
        return
    with _at_port(options.host, options.port) as found:
        host, port = found.getsockname()[:2]
        yield found, f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _at_port(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return _bound(socket.socket(family, kind, protocol), address)
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "no name of a host"
        raise UsageError(
            f"cannot listen at {host}, port {port}: {why}",
            "give another --port or --host; --port 0 takes a free one",
        ) from error


def _bound(found: socket.socket, address: Any) -> socket.socket:
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(_BACKLOG)
    except OSError:
        found.close()
        raise
    return found


@contextmanager
def _at_path(path: Path) -> Iterator[socket.socket]:
    """Give a socket that this user alone may connect to."""
    if not hasattr(socket, "AF_UNIX"):
        raise UsageError("--unix-socket: this system has none", "leave it out")
    _clear(path)
    before = os.umask(0o177)
    try:
        found = _bound(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), str(path))
    except OSError as error:
        why = error.strerror or error
        raise UsageError(f"cannot listen at {path}: {why}", "give another --unix-socket") from error
    finally:
        os.umask(before)
    mine = path.stat().st_ino
    try:
        with found:
            yield found
    finally:
        with suppress(OSError):  # someone removed it
            if path.stat().st_ino == mine:
                path.unlink()


def _clear(path: Path) -> None:
    """Remove a socket that a killed server left; refuse to remove anything else."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(mode):
        raise UsageError(f"{path}: there is a file that is no socket", "give another --unix-socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except OSError:
            pass
    raise UsageError(f"{path}: another server listens there", "stop it, or give another path")


class Connection(H11Protocol):
    """A connection that is cut where it stays too long in one phase.

    The phases are waiting for the head of a request, and from there to the end of its answer, which
    the client may be too slow to take. uvicorn itself limits neither.
    """

    patience: float = 20.0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first head."""
        super().connection_made(transport)
        self._begin_phase()

    def data_received(self, data: bytes) -> None:
        """Read on; a head that is complete begins the next phase."""
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._begin_phase()

    def on_response_complete(self) -> None:
        """Wait for the next head."""
        self._begin_phase()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._end_phase()
        super().connection_lost(exc)

    def _begin_phase(self) -> None:
        self._end_phase()
        self._deadline = self.loop.call_later(self.patience, self.transport.abort)

    def _end_phase(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def connections(seconds: float) -> type[Connection]:
    """Return the class of connections that are cut after so many seconds."""
    return type("Connection", (Connection,), {"patience": seconds})
