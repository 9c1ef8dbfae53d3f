"""``diffrec report``: a model on one page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from diffrec_cli.cli import _options as o
from diffrec_cli.cli._help import examples
from diffrec_cli.cli._output import screen
from diffrec_cli.errors import UsageError

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
    from diffrec_cli import workflows
    from diffrec_cli.cli._report_page import page
    from diffrec_cli.files import storage_errors, write_atomically
    from diffrec_cli.registry.versions import resolve

    record = resolve(model).record
    target = _target(out or Path(f"{record.name}-{record.version}.html"), overwrite)
    gathered = workflows.report(
        record.reference, users=user or [], split=split, device=device, listener=screen
    )
    screen.close()
    content = page(gathered).encode()
    if target is None:
        sys.stdout.buffer.write(content)
        return
    with storage_errors(target):
        write_atomically(target, content)
    print(target)


def _target(out: Path, overwrite: bool) -> Path | None:
    """Return the file to write, None for stdout; refuse, before the work, what cannot be."""
    if str(out) == "-":
        return None
    if out.is_dir():
        raise UsageError(f"{out} is a directory", f"give a file, such as {out / 'report.html'}")
    if out.exists() and not overwrite:
        raise UsageError(f"{out} exists", "give another path, or --overwrite to replace it")
    if not out.absolute().parent.is_dir():
        raise UsageError(f"{out}: there is no such directory", "make it, or give another path")
    return out
