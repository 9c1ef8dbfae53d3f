"""Answers to requests that get no list: JSON with what is wrong and how to put it right."""

from __future__ import annotations

import re
from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from diffrec_cli.errors import DataError, DiffrecError, NotFoundError, UsageError

#: What Starlette's own errors mean.
_FIXES = {
    404: ("there is no such page", "GET /docs names those that there are"),
    405: ("this page has no such method", "GET /docs names the methods"),
}
_AGAIN = "ask again later"
#: What makes the name of a field an option; within quotes it is a user's own text.
_DASHES = re.compile(r"(?<![\w'\"-])--(?=[a-z])")


class Refusal(Exception):
    """An answer other than a list.

    Parameters
    ----------
    status
        Of HTTP.
    what, fix
        One line each, as in :class:`~diffrec_cli.errors.DiffrecError`.
    headers
        Of the answer.
    """

    def __init__(
        self, status: int, what: str, fix: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(what)
        self.status, self.what, self.fix, self.headers = status, what, fix, headers

    def response(self) -> Response:
        """Return the answer."""
        content = {"error": self.what, "fix": self.fix}
        return JSONResponse(content, self.status, dict(self.headers or {}))


def too_large(what: str, fix: str) -> Refusal:
    """Return the refusal of a body, of which the rest is not read."""
    return Refusal(413, what, fix, {"connection": "close"})


def overloaded(what: str) -> Refusal:
    """Return the refusal of a request for which there is no time now."""
    return Refusal(503, what, _AGAIN, {"retry-after": "1"})


def of_error(error: Exception) -> Refusal | None:
    """Return what a request's own error is answered; ``None`` if the fault is not the request's."""
    if not isinstance(error, UsageError | DataError | NotFoundError):
        return None
    status = 404 if isinstance(error, NotFoundError) else 400
    return Refusal(status, _DASHES.sub("", error.what), _DASHES.sub("", error.fix))


async def on_refusal(request: Request, error: Exception) -> Response:
    """Answer a :class:`Refusal`."""
    if not isinstance(error, Refusal):
        raise error
    return error.response()


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Answer an error that Starlette found."""
    if not isinstance(error, HTTPException):
        raise error
    what, fix = _FIXES.get(error.status_code, (error.detail, "GET /docs tells what is understood"))
    return Refusal(error.status_code, what, fix, error.headers).response()


async def on_fault(request: Request, error: Exception) -> Response:
    """Answer any other error, which is logged, and tell nothing of it."""
    return Refusal(500, "the server failed", "its log tells why").response()


def in_a_line(error: BaseException) -> str:
    """Return an error, and where it was raised, in one line for the log."""
    if isinstance(error, DiffrecError):
        return f"{error.what} ({error.fix})"
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    code = None if trace is None else trace.tb_frame.f_code
    at = "" if code is None or trace is None else f" ({code.co_filename}:{trace.tb_lineno})"
    return " ".join(f"{type(error).__name__}: {error}{at}".split())
