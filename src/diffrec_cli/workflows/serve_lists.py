"""Lists over HTTP, from a model that stays in memory and follows the registry."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import current_thread, main_thread
from types import FrameType
from typing import Any

from diffrec_cli.errors import MissingExtraError, UsageError
from diffrec_cli.graph.blas import one_thread_each
from diffrec_cli.workflows.http.options import ServeOptions
from diffrec_cli.workflows.progress import Event, Fault, Listener, Note, silent

_LOGGERS = ("uvicorn.error", "asyncio")
_SHORTEST_TOKEN = 16
_KEEP_ALIVE = 5  # seconds that a connection may be idle between two requests
_TURN = 0.0005  # seconds after which a thread gives way to another
_MORE_CONNECTIONS = 4  # for each request at a time: idle ones, and those that are refused


def serve(model: str | None = None, *, listener: Listener = silent, **options: Any) -> None:
    """Answer requests for lists until SIGTERM, SIGHUP or Ctrl-C, raised again then.

    Requests that are running then are answered first.

    Parameters
    ----------
    model
        Reference: ``NAME`` follows its newest version; ``None`` the registry's default.
    listener
        Gets where the server listens, changes of the model, and faults.
    options
        Fields of :class:`~diffrec_cli.workflows.http.options.ServeOptions`.

    Raises
    ------
    MissingExtraError
        Starlette, uvicorn or prometheus-client is not installed.
    NotFoundError
        There is no such model.
    UsageError
        Options contradict each other, the address is taken, or the token's file is unfit.
    """
    listener, settings = _heard_or_not(listener), ServeOptions(**options)
    token = None if settings.token_file is None else read_token(settings.token_file, listener)
    _require_extra()
    import uvicorn

    from diffrec_cli.workflows.http.app import make_app
    from diffrec_cli.workflows.http.connections import connections, listening
    from diffrec_cli.workflows.http.following import Following
    from diffrec_cli.workflows.http.metrics import Metrics

    metrics = Metrics()
    with listening(settings) as (found, address), one_thread_each(), _quick_turns():
        following = Following(model, metrics, listener)
        config = uvicorn.Config(
            make_app(following, settings, metrics, token),
            http=connections(2 * settings.timeout + _KEEP_ALIVE),
            loop="asyncio",
            ws="none",
            lifespan="on",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_MORE_CONNECTIONS * settings.max_requests,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=round(settings.timeout) + 1,
        )
        listener(Note(f"serving {following.model.reference} at {address}"))
        server = uvicorn.Server(config)
        with _faults_told(listener), _outlives_clients(), _ends_at_hangup(server):
            server.run([found])


def _heard_or_not(listener: Listener) -> Listener:
    """Go on when stderr was closed."""

    def tell(event: Event) -> None:
        with suppress(OSError):
            listener(event)

    return tell


def read_token(path: str | Path, listener: Listener) -> str:
    """Return the token in a file; tell if others can read it.

    In containers secrets are often readable by all, so this is no error. A file that others may
    write is one: they could set the token.

    Raises
    ------
    UsageError
        There is no such file, others may write it, or its token is too short or has blanks.
    """
    path = Path(path)
    try:
        mode, token = path.stat().st_mode, path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not UTF-8 text"
        raise UsageError(f"--token-file {path}: cannot be read ({why})", "check it") from error
    if mode & 0o022:
        raise UsageError(f"--token-file {path}: others may write it", f"chmod go-w {path}")
    if len(token) < _SHORTEST_TOKEN or not token.isascii() or len(token.split()) != 1:
        raise UsageError(
            f"--token-file {path}: not one word of {_SHORTEST_TOKEN} ASCII letters or more",
            f"openssl rand -hex 32 > {path}",
        )
    if mode & 0o004:
        listener(Fault(f"--token-file {path}: every user of this machine can read it"))
    return token


def _require_extra() -> None:
    for package in ("starlette", "uvicorn", "prometheus_client"):
        try:
            __import__(package)
        except ImportError as error:
            raise MissingExtraError("serve", package.replace("_", "-"), "serve") from error


class _Teller(logging.Handler):
    """Tells a listener of what a library logs, a line each."""

    def __init__(self, listener: Listener) -> None:
        super().__init__(logging.ERROR)
        self._listener = listener

    def emit(self, record: logging.LogRecord) -> None:
        """Tell of the error itself, if there is one."""
        from diffrec_cli.workflows.http.refusals import in_a_line

        error = record.exc_info[1] if record.exc_info else None
        text = " ".join(record.getMessage().split()) if error is None else in_a_line(error)
        self._listener(Fault(text))


@contextmanager
def _quick_turns() -> Iterator[None]:
    """Let the thread that ranks give way to the one that reads and answers requests.

    With Python's own 5 ms, that one waits so long for each turn that a third fewer are answered.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(_TURN)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@contextmanager
def _outlives_clients() -> Iterator[None]:
    """Let no client that leaves end the process, as a closed pipe ends other commands."""
    if not hasattr(signal, "SIGPIPE") or current_thread() is not main_thread():
        yield
        return
    before = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGPIPE, before)


@contextmanager
def _ends_at_hangup(server: Any) -> Iterator[None]:
    """Let SIGHUP end the server as SIGTERM does, and raise it again afterwards."""
    here = hasattr(signal, "SIGHUP") and current_thread() is main_thread()
    if not here or signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # nohup
        yield
        return
    heard = []

    def hang_up(number: int, frame: FrameType | None) -> None:
        heard.append(number)
        server.should_exit = True

    before = signal.signal(signal.SIGHUP, hang_up)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
    if heard:
        signal.raise_signal(signal.SIGHUP)


@contextmanager
def _faults_told(listener: Listener) -> Iterator[None]:
    """Tell a listener of faults that uvicorn and asyncio would print with a traceback."""
    teller = _Teller(listener)
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [logger.propagate for logger in loggers]
    for logger in loggers:
        logger.addHandler(teller)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, propagates in zip(loggers, before, strict=True):
            logger.removeHandler(teller)
            logger.propagate = propagates
