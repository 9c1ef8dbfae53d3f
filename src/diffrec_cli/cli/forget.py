"""``diffrec forget``: take users out of everything that is stored."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from diffrec_cli.cli import _options as o
from diffrec_cli.cli._help import examples
from diffrec_cli.cli._output import chosen, confirm, filled, flat, make_table, report, screen
from diffrec_cli.cli._streams import require_stdout

EXAMPLES = examples(
    "diffrec forget --user 42 --dry-run",
    "diffrec forget --user 42 --user 43 --yes",
)


def forget(
    users: Annotated[
        list[str], typer.Option("--user", "-u", metavar="ID", help="Whom; may be repeated.")
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be changed.")
    ] = False,
    yes: o.YesOption = False,
    form: o.FormatOption = None,
) -> None:
    """Take users out of all datasets, models, interrupted fits and comparisons.

    A kill leaves all of it, or nothing. Weights that were trained with them stay:
    the models are named, to be fitted anew.
    """
    from diffrec_cli import workflows

    def ask(found: Any) -> None:
        places = ", ".join((*found.datasets, *found.models))
        confirm(f"Forget {', '.join(found.users)} in {places}?", yes)

    if dry_run:
        require_stdout()
    found = workflows.forget(users, dry_run=dry_run, confirm=ask, listener=screen).to_dict()
    report(
        chosen(form, piped="json"),
        payload=found,
        rows=[flat(found)],
        table=lambda: filled(make_table("field", "value"), _lines(found)),
    )


def _lines(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what was found, a line a field."""
    return [
        (field.replace("_", " "), ", ".join(value) if isinstance(value, list) else str(value))
        for field, value in found.items()
    ]
