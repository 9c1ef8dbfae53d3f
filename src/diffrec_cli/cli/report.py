"""``diffrec report``: a model on one page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from diffrec_cli.cli import _options as o
from diffrec_cli.cli._help import examples
from diffrec_cli.cli._output import print_line, screen
from diffrec_cli.cli._streams import require_stdout

EXAMPLES = examples(
    "diffrec report",
    "diffrec report shop@2 --out report.html --overwrite",
    "diffrec report --user 42 --user 7 --out - > report.html",
)


def report(
    model: o.OptionalModelArgument = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help=r"The page; - is stdout. \[default: NAME-VERSION.html]",
        ),
    ] = None,
    user: Annotated[
        list[str] | None,
        typer.Option(
            "--user",
            "-u",
            help=r"Whose lists are shown; may be repeated. \[default: three users]",
        ),
    ] = None,
    split: o.SplitOption = "test",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file.")] = False,
    device: o.DeviceOption = "auto",
) -> None:
    """Write a page about a model: accuracy, training, what it recommends, how to repeat it.

    One HTML file that needs nothing else: send it, print it, keep it. Prints its path.
    """
    if out == Path("-"):
        require_stdout()
    from diffrec_cli import workflows
    from diffrec_cli.reporting.page import page

    asked: dict[str, Any] = {"users": user or [], "split": split, "device": device}
    if out == Path("-"):
        gathered = workflows.report(model, **asked, listener=screen)
        screen.close()
        sys.stdout.buffer.write(page(gathered).encode())
        return
    path = workflows.write_report(
        model, out, render=page, **asked, overwrite=overwrite, listener=screen
    )
    screen.close()
    print_line(path)
