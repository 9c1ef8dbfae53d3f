"""``diffrec serve``: lists over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from diffrec_cli.cli import _options as o
from diffrec_cli.cli._help import examples
from diffrec_cli.cli._output import screen

WHERE, LIMITS = "Where", "Limits"

EXAMPLES = examples(
    "diffrec serve  # http://127.0.0.1:8000/docs tells what it understands",
    "diffrec serve &  # curl 'localhost:8000/recommend?user=42&k=10&why=true'",
    "diffrec serve --unix-socket lists.sock --model shop",
    "diffrec serve --host 0.0.0.0 --token-file token",
)


def serve(
    model: o.ModelOption = None,
    host: Annotated[
        str,
        typer.Option(
            "--host",
            help="Address to listen at; beyond this machine only with --token-file.",
            rich_help_panel=WHERE,
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", help="0 takes a free one.", rich_help_panel=WHERE)
    ] = 8000,
    unix_socket: Annotated[
        Path | None,
        typer.Option(
            "--unix-socket",
            "--uds",
            metavar="PATH",
            help="Listen at a unix socket instead, for this user alone.",
            rich_help_panel=WHERE,
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            metavar="FILE",
            help="Requests must have the bearer token in it.",
            rich_help_panel=WHERE,
        ),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            help="For a request to arrive, and for its list.",
            rich_help_panel=LIMITS,
        ),
    ] = 10.0,
    max_body: Annotated[
        int,
        typer.Option(
            "--max-body", metavar="BYTES", help="Largest body of a request.", rich_help_panel=LIMITS
        ),
    ] = 262_144,
    max_k: Annotated[
        int, typer.Option("--max-k", help="Longest list.", rich_help_panel=LIMITS)
    ] = 1000,
    max_items: Annotated[
        int,
        typer.Option(
            "--max-items",
            help="Items in a history, or in a list of allowed or blocked ones.",
            rich_help_panel=LIMITS,
        ),
    ] = 2000,
    max_requests: Annotated[
        int,
        typer.Option(
            "--max-requests",
            help="Requests at a time; others are told to come again.",
            rich_help_panel=LIMITS,
        ),
    ] = 512,
) -> None:
    r"""Answer requests for lists over HTTP, from a model that stays in memory.

    When the registry has a new default model, or --model NAME a new version,
    it takes the old one's place, and no request is lost.
    Ctrl-C or SIGTERM stops the server after the requests that it has.
    Needs Starlette and uvicorn: pip install 'diffrec-cli\[serve]'
    """
    from diffrec_cli import workflows

    workflows.serve(
        model,
        listener=screen,
        host=host,
        port=port,
        unix_socket=unix_socket,
        token_file=token_file,
        timeout=timeout,
        max_body=max_body,
        max_k=max_k,
        max_items=max_items,
        max_requests=max_requests,
    )
