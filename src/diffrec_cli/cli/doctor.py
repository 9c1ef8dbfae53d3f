"""``diffrec doctor``: a check of the installation."""

from __future__ import annotations

from typing import Annotated

import typer

from diffrec_cli.cli import _options as o
from diffrec_cli.cli._help import examples
from diffrec_cli.cli._output import chosen, filled, make_table, report, screen

EXAMPLES = examples(
    "diffrec doctor",
    "diffrec doctor --fix",
    "diffrec doctor --format json | jq '.checks[] | select(.ok | not)'",
)


def doctor(
    fix: Annotated[bool, typer.Option("--fix", help="Remove old left-overs.")] = False,
    form: o.FormatOption = None,
) -> None:
    """Check versions, devices, disk, stored models and datasets, and left-overs.

    Reads every stored file. Exit code 6: something is wrong.
    Left-overs are interrupted fits, kept comparisons and searches, which are old
    30 days after their last change, and interrupted writes, old after a day. What
    a process uses is never old.
    """
    from diffrec_cli import workflows

    diagnosis = workflows.doctor(fix=fix, listener=screen)
    rows = diagnosis.to_dict()["checks"]
    report(
        chosen(form, piped="json"),
        payload=diagnosis.to_dict(),
        rows=rows,
        table=lambda: filled(
            make_table("", "check", "found"),
            (("ok" if row["ok"] else "!!", row["name"], row["found"]) for row in rows),
        ),
    )
    if not diagnosis.ok:
        raise typer.Exit(6)
