"""``diffrec doctor``: a check of the installation."""

from __future__ import annotations

import typer

from diffrec_cli.cli import _options as o
from diffrec_cli.cli._help import examples
from diffrec_cli.cli._output import chosen, filled, make_table, report

EXAMPLES = examples(
    "diffrec doctor",
    "diffrec doctor --format json | jq '.checks[] | select(.ok | not)'",
)


def doctor(form: o.FormatOption = None) -> None:
    """Check versions, devices, disk, and stored models and datasets.

    Reads every stored file. Exit code 6: something is wrong.
    """
    from diffrec_cli import workflows

    diagnosis = workflows.doctor()
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
