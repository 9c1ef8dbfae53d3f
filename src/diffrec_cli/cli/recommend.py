"""``diffrec recommend``: lists for users and histories."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from diffrec_cli.cli import _options as o
from diffrec_cli.cli._output import Format, chosen, filled, make_table, print_renderable, screen
from diffrec_cli.errors import UsageError

WHO, WHAT = "For whom", "Which items"


def recommend(
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            envvar="DIFFREC_MODEL",
            help="NAME or NAME@VERSION. [default: the last]",
        ),
    ] = None,
    user: Annotated[
        list[str] | None,
        typer.Option("--user", "-u", metavar="ID", help="A user; repeatable.", rich_help_panel=WHO),
    ] = None,
    users: Annotated[
        str | None,
        typer.Option(
            "--users", metavar="FILE|-", help="A file of users, one a line.", rich_help_panel=WHO
        ),
    ] = None,
    all_users: Annotated[
        bool, typer.Option("--all-users", help="Every known user.", rich_help_panel=WHO)
    ] = False,
    history: Annotated[
        str | None,
        typer.Option(
            "--history",
            metavar="FILE|-",
            help="Unseen users, by what they have: user,item[,time], or one item a line.",
            rich_help_panel=WHO,
        ),
    ] = None,
    like: Annotated[
        list[str] | None,
        typer.Option(
            "--like",
            metavar="ITEM",
            help="Someone who likes this; repeatable.",
            rich_help_panel=WHO,
        ),
    ] = None,
    on_unknown: Annotated[
        str,
        typer.Option(
            "--on-unknown",
            metavar="error|skip|popular",
            help="What to do about unknown users.",
            rich_help_panel=WHO,
        ),
    ] = "error",
    k: Annotated[int, typer.Option("-k", help="Length of a list.", rich_help_panel=WHAT)] = 20,
    include_seen: Annotated[
        bool,
        typer.Option("--include-seen", help="Also what the user has.", rich_help_panel=WHAT),
    ] = False,
    allow: Annotated[
        Path | None,
        typer.Option("--allow", help="File of items: only these.", rich_help_panel=WHAT),
    ] = None,
    block: Annotated[
        Path | None,
        typer.Option("--block", help="File of items: none of these.", rich_help_panel=WHAT),
    ] = None,
    titles: Annotated[bool, typer.Option("--titles", "-t", help="Add the items' titles.")] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="FILE.csv, .jsonl or .parquet; - is stdout."),
    ] = None,
    device: o.DeviceOption = "auto",
    precision: o.PrecisionOption = "auto",
    form: o.FormatOption = None,
) -> None:
    """Print the top items of users: user, rank, item, score.

    Known users enter with their whole history; what they have is left out.

    Example: diffrec recommend --user 42 -k 20 --titles
    """
    from diffrec_cli import workflows
    from diffrec_cli.data.tables import check_target

    to_file = out is not None and str(out) != "-"
    if out is not None and to_file:
        _check_out(check_target(out), form)
    lists = workflows.recommend(
        model,
        users=user or [],
        users_file=users,
        all_users=all_users,
        history=history,
        like=like or [],
        k=k,
        include_seen=include_seen,
        allow=allow,
        block=block,
        on_unknown=on_unknown,
        titles=titles,
        device=device,
        precision=precision,
        listener=screen,
    )
    if out is not None and to_file:
        _write_file(lists, out)
    else:
        _print(lists, chosen(form, piped="csv"))


def _check_out(by_name: str, asked: Format | None) -> None:
    if asked is not None and asked.value != by_name:
        raise UsageError(
            f"--format {asked.value} contradicts --out, whose name asks for {by_name}",
            "leave out --format, or use --out - and a redirection",
        )


def _write_file(lists: Any, out: Path) -> None:
    from diffrec_cli.data.tables import write_file

    write_file(out, lists.tables)
    screen.close()
    screen.say(f"{lists.users:,} lists of {lists.model} in {out}")


def _print(lists: Any, form: str) -> None:
    if form == Format.table:
        for table in lists.tables:
            screen.close()  # a bar and a table do not share a line
            print_renderable(lists_table(table))
    elif form == Format.json:
        _print_json(lists)
    else:
        from diffrec_cli.data.tables import write_stream

        write_stream(sys.stdout.buffer, form, lists.tables)


def _print_json(lists: Any) -> None:
    """Print one JSON document, list by list, so that a long one needs no memory."""
    import json

    from diffrec_cli.cli._output import SCHEMA_VERSION

    head = {"schema_version": SCHEMA_VERSION, "model": lists.model}
    write = sys.stdout.write
    write(json.dumps(head)[:-1] + ', "recommendations": [')
    separator = "\n"
    for table in lists.tables:
        for row in table.to_pylist():
            write(separator + json.dumps(row, ensure_ascii=False))
            separator = ",\n"
    write("\n]}\n")


def lists_table(table: Any) -> Any:
    """Return lists as a table for people."""
    columns = {"rank": ">rank", "score": ">score"}
    rendered = make_table(*(columns.get(name, name) for name in table.column_names))
    rows = (
        [f"{value:.4f}" if name == "score" else value for name, value in row.items()]
        for row in table.to_pylist()
    )
    return filled(rendered, rows)
