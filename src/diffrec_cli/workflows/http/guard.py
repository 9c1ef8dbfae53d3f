"""What every request passes before a page sees it: name, token, and whether there is room."""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from diffrec_cli.workflows.http.metrics import Metrics
from diffrec_cli.workflows.http.options import ServeOptions
from diffrec_cli.workflows.http.refusals import Refusal, overloaded

#: Needs no token, so that whatever starts and stops servers can ask it.
OPEN_PAGE = "/health"
_OTHER = "other"


class Guard:
    """Refuses requests under a foreign name, without the token, or too many at a time; counts all.

    Parameters
    ----------
    app
        Has the pages.
    options
        Names of the server, and the most requests.
    token
        What requests must have; ``None``: nothing.
    pages
        Paths that figures name; all others count as one.
    metrics
        Gets figures.
    """

    def __init__(
        self,
        app: ASGIApp,
        options: ServeOptions,
        token: str | None,
        pages: Collection[str],
        metrics: Metrics,
    ) -> None:
        self._app, self._pages, self._metrics = app, pages, metrics
        self._hosts, self._most = options.hosts, options.max_requests
        self._expected = None if token is None else f"Bearer {token}".encode()
        self._running = 0
        metrics.running.set_function(lambda: self._running)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        page = scope["path"] if scope["path"] in self._pages else _OTHER
        start, status = time.perf_counter(), "none"  # a client that left has no answer

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        self._running += 1
        try:
            refusal = self._refusal(scope)
            answer: Any = self._app if refusal is None else refusal.response()
            await answer(scope, receive, sent)
        finally:
            self._running -= 1
            self._metrics.requests.labels(page, status).inc()
            self._metrics.seconds.labels(page).observe(time.perf_counter() - start)

    def _refusal(self, scope: Scope) -> Refusal | None:
        headers = Headers(scope=scope)
        if self._hosts and _name(headers.get("host", "")) not in self._hosts:
            return Refusal(400, "this server has another name", "ask it as localhost")
        if scope["path"] == OPEN_PAGE:
            return None
        if self._expected is not None and not self._is_expected(headers):
            fix = "send the header Authorization: Bearer TOKEN"
            return Refusal(401, "no token, or a wrong one", fix, {"www-authenticate": "Bearer"})
        if self._running > self._most:
            return overloaded("too many requests at a time")
        return None

    def _is_expected(self, headers: Headers) -> bool:
        given = headers.get("authorization", "").encode("latin-1")
        return self._expected is not None and secrets.compare_digest(given, self._expected)


def _name(host: str) -> str:
    """Return a Host header without its port.

    Examples
    --------
    >>> _name("localhost:8000"), _name("[::1]:8000"), _name("[::1]")
    ('localhost', '[::1]', '[::1]')
    """
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()
