"""The pages: lists, health, metrics and their description."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from diffrec_cli.workflows.http.asked import asked_by_json, asked_by_query
from diffrec_cli.workflows.http.batches import Batches
from diffrec_cli.workflows.http.following import Following
from diffrec_cli.workflows.http.guard import Guard
from diffrec_cli.workflows.http.metrics import Metrics
from diffrec_cli.workflows.http.openapi import description, page
from diffrec_cli.workflows.http.options import ServeOptions
from diffrec_cli.workflows.http.refusals import (
    Refusal,
    of_error,
    on_fault,
    on_http_exception,
    on_refusal,
    overloaded,
    too_large,
)
from diffrec_cli.workflows.serving.model_in_memory import Answer, Ask

#: Of the answers, as of what ``diffrec recommend --format json`` prints.
SCHEMA_VERSION = 1
_TOGETHER = 64  # lists ranked at once: more are hardly faster, and the first wait for the last
_FEW = 4  # the same of those that are slow
_JSON = "application/json"


class Pages:
    """Answers requests from the model in memory.

    Parameters
    ----------
    following
        Has the model.
    options
        Limits of size and time.
    metrics
        Figures of the server.
    """

    def __init__(self, following: Following, options: ServeOptions, metrics: Metrics) -> None:
        self._following, self._options, self._metrics = following, options, metrics
        self._quick = Batches[Ask, Answer](following.answers, _TOGETHER)
        # Reasons, and conditions on large catalogues, may take a hundred times as long as a list.
        self._slow = Batches[Ask, Answer](following.answers, _FEW)
        self.routes = [
            Route("/recommend", self.recommend, methods=["GET", "POST"]),
            Route("/health", self.health),
            Route("/metrics", self.metrics),
            Route("/openapi.json", self.openapi),
            Route("/docs", self.docs),
        ]

    @asynccontextmanager
    async def running(self, app: Starlette) -> AsyncIterator[None]:
        """Make lists and follow the registry while the server runs."""
        jobs = [self._quick.run(), self._slow.run(), self._following.watch()]
        tasks = [asyncio.create_task(job) for job in jobs]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def recommend(self, request: Request) -> Response:
        """Answer with a list."""
        ask = await self._asked(request)
        wanted = ask.wanted
        batches = self._slow if wanted.why or wanted.where is not None else self._quick
        try:
            async with asyncio.timeout(self._options.timeout):
                answer = await batches.ask(ask)
        except TimeoutError:
            raise overloaded(f"no list within {self._options.timeout:g} s") from None
        except Exception as error:
            raise of_error(error) or error from error
        more = {"unknown_items": answer.unknown_items} if answer.unknown_items else {}
        head: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "model": answer.model}
        return JSONResponse({**head, "recommendations": answer.rows, **more})

    async def _asked(self, request: Request) -> Ask:
        if request.method != "POST":
            return asked_by_query(request.query_params, self._options)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != _JSON:
            what = "the body is no JSON by its Content-Type"
            raise Refusal(415, what, f"send the header Content-Type: {_JSON}")
        return asked_by_json(await self._body(request), self._options)

    async def _body(self, request: Request) -> bytes:
        """Return the body, as far as its size and the time it takes are within the limits."""
        most, body = self._options.max_body, bytearray()
        refusal = too_large(f"the body is larger than {most:,} bytes", "ask for less at a time")
        length = request.headers.get("content-length", "")
        if length.isdigit() and int(length[:20]) > most:
            raise refusal
        try:
            async with asyncio.timeout(self._options.timeout):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > most:
                        raise refusal
        except TimeoutError:
            what = f"the body did not arrive within {self._options.timeout:g} s"
            raise Refusal(408, what, "send it faster", {"connection": "close"}) from None
        except ClientDisconnect:
            raise Refusal(400, "the body ended too soon", "send all of it") from None
        return bytes(body)

    async def health(self, request: Request) -> Response:
        """Tell which model is in memory, and whether the registry has another one."""
        following = self._following
        problem = {} if following.problem is None else {"problem": following.problem}
        return JSONResponse(
            {
                "status": "stale" if problem else "ok",
                "model": following.model.reference,
                "since": following.since.isoformat(timespec="seconds"),
                **problem,
            }
        )

    async def metrics(self, request: Request) -> Response:
        """Give figures to Prometheus."""
        return Response(self._metrics.text(), media_type=self._metrics.content_type)

    async def openapi(self, request: Request) -> Response:
        """Describe the pages to programs."""
        return JSONResponse(description())

    async def docs(self, request: Request) -> Response:
        """Describe the pages to people."""
        return HTMLResponse(page())


def make_app(
    following: Following, options: ServeOptions, metrics: Metrics, token: str | None = None
) -> Guard:
    """Return the application, which needs a server."""
    pages = Pages(following, options, metrics)
    paths = frozenset(route.path for route in pages.routes)
    app = Starlette(
        routes=pages.routes,
        exception_handlers={
            Refusal: on_refusal,
            HTTPException: on_http_exception,
            Exception: on_fault,
        },
        lifespan=pages.running,
    )
    app.router.redirect_slashes = False  # a redirect would repeat the name by which it was asked
    return Guard(app, options, token, paths, metrics)
