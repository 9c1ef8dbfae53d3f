"""``diffrec recommend``: lists for users and histories."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from diffrec_cli.cli import _completion as completion
from diffrec_cli.cli import _options as o
from diffrec_cli.cli._help import examples
from diffrec_cli.cli._output import (
    SCHEMA_VERSION,
    Format,
    binary_stdout,
    chosen,
    filled,
    json_text,
    make_table,
    print_renderable,
    screen,
)
from diffrec_cli.cli._streams import require_stdout
from diffrec_cli.errors import UsageError
from diffrec_cli.launch import launched

WHO, WHAT = "For whom", "Which items"

EXAMPLES = examples(
    "diffrec recommend --user 42 -k 10 --titles --why",
    "diffrec recommend --users - --format jsonl < users.txt | jq -r .item",
    "diffrec recommend --all-users --out lists.parquet  # a killed one continues",
    "diffrec recommend --all-users --shard 2/4 --events today.csv --out 2.parquet",
    "diffrec recommend -u 42 --where 'year >= 1990' --diversity 0.3",
    "diffrec recommend --history newcomers.csv -k 5 --titles",
)


def recommend(
    context: typer.Context,
    model: o.ModelOption = None,
    user: Annotated[
        list[str] | None,
        typer.Option(
            "--user", "-u", metavar="ID", help="A user id; may be repeated.", rich_help_panel=WHO
        ),
    ] = None,
    users: Annotated[
        str | None,
        typer.Option(
            "--users",
            metavar="FILE|-",
            help="A file of user ids, one a line; - answers them as they arrive.",
            rich_help_panel=WHO,
        ),
    ] = None,
    all_users: Annotated[
        bool,
        typer.Option("--all-users", help="Every known user, sorted by id.", rich_help_panel=WHO),
    ] = False,
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard", metavar="I/N", help="Part I of N of all users.", rich_help_panel=WHO
        ),
    ] = None,
    history: Annotated[
        str | None,
        typer.Option(
            "--history",
            metavar="FILE|-",
            help="Histories of unseen users: user,item[,time], or one item a line.",
            rich_help_panel=WHO,
        ),
    ] = None,
    like: Annotated[
        list[str] | None,
        typer.Option(
            "--like",
            metavar="ITEM",
            help="Move lists towards this item. Without users: a list for"
            " someone who has it. May be repeated.",
            rich_help_panel=WHO,
        ),
    ] = None,
    events: Annotated[
        Path | None,
        typer.Option(
            "--events",
            metavar="FILE",
            help="Interactions since the fit: user,item[,time].",
            rich_help_panel=WHO,
        ),
    ] = None,
    on_unknown: Annotated[
        str,
        typer.Option(
            "--on-unknown",
            metavar="error|skip|popular",
            help="What to do with unknown users.",
            rich_help_panel=WHO,
            autocompletion=completion.one_of("error", "skip", "popular"),
        ),
    ] = "error",
    k: Annotated[
        int | None,
        typer.Option("-k", help=r"Length of a list. \[default: 20]", rich_help_panel=WHAT),
    ] = None,
    new_items: Annotated[
        Path | None,
        typer.Option(
            "--new-items",
            help="Table of items: those that the model was not trained with get a place, too.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    item_features: o.ItemFeaturesOption = None,
    include_seen: Annotated[
        bool,
        typer.Option(
            "--include-seen", help="Also items already in the history.", rich_help_panel=WHAT
        ),
    ] = False,
    allow: Annotated[
        Path | None,
        typer.Option("--allow", help="File of items: recommend only these.", rich_help_panel=WHAT),
    ] = None,
    block: Annotated[
        Path | None,
        typer.Option("--block", help="File of items: never recommend these.", rich_help_panel=WHAT),
    ] = None,
    block_for: Annotated[
        Path | None,
        typer.Option(
            "--block-for",
            help="File of user,item: never this item for this user.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            "--where",
            metavar="CONDITION",
            help="Only items that match: 'year >= 1990 and genre contains Comedy'.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    dislike: Annotated[
        list[str] | None,
        typer.Option(
            "--dislike",
            metavar="ITEM",
            help="Move lists away from this item, and leave it out. May be repeated.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    like_where: Annotated[
        str | None,
        typer.Option(
            "--like-where",
            metavar="CONDITION",
            help="Move lists towards items that match; others may appear, too.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    dislike_where: Annotated[
        str | None,
        typer.Option(
            "--dislike-where",
            metavar="CONDITION",
            help="Move lists away from items that match.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    strength: Annotated[
        float,
        typer.Option(
            "--strength",
            help="How strongly --like, --dislike and so on move lists.",
            rich_help_panel=WHAT,
        ),
    ] = 1.0,
    diversity: Annotated[
        float,
        typer.Option(
            "--diversity",
            help="0 to 1: how different from each other a list's items should be.",
            rich_help_panel=WHAT,
        ),
    ] = 0.0,
    titles: Annotated[bool, typer.Option("--titles", "-t", help="Add the items' titles.")] = False,
    why: Annotated[
        bool,
        typer.Option("--why", help="Add the history items that raised each score most."),
    ] = False,
    user_col: o.UserColOption = None,
    item_col: o.ItemColOption = None,
    rating_col: o.RatingColOption = None,
    time_col: o.TimeColOption = None,
    event_col: o.EventColOption = None,
    event_kinds: o.EventKindsOption = None,
    event_weights: o.EventWeightsOption = None,
    weight_col: o.WeightColOption = None,
    sep: o.SepOption = None,
    header: o.HeaderOption = None,
    skip_lines: o.SkipLinesOption = 0,
    missing: o.MissingOption = "error",
    quotes: o.QuotesOption = None,
    encoding: o.EncodingOption = "utf-8",
    time_format: o.TimeFormatOption = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="FILE.csv, .jsonl or .parquet; - is stdout."),
    ] = None,
    device: o.DeviceOption = "auto",
    precision: o.PrecisionOption = "auto",
    form: o.FormatOption = None,
) -> None:
    """Print the top items of users: user, rank, item, score.

    The model reads a known user's whole history; items in it are left out.
    --history and --events are read as the model's log was, or as you say.
    --out writes a file only when it is complete. If an export of all users is
    killed, the same command continues it.
    """
    from diffrec_cli import workflows

    options = o.recommend_options(context)
    if out is None or str(out) == "-":
        _refuse_several_processes()
        require_stdout()
        lists = workflows.recommend(model, listener=screen, **options)
        print_lists(chosen(form, piped="csv"), lists)
        return
    exported = workflows.export_lists(
        out, model, form=form and form.value, listener=screen, **options
    )
    screen.close()
    users = "" if exported.users is None else f" for {exported.users:,} users"
    screen.say(f"lists of {exported.model}{users} in {out}")


def _refuse_several_processes() -> None:
    if launched()[1] > 1:
        raise UsageError(
            "several processes write lists to a file", "add --out FILE, or leave torchrun out"
        )


def print_lists(form: str, lists: Any, key: str = "recommendations") -> None:
    """Print lists as they are made; a JSON document has them under `key`."""
    if form == Format.table:
        for table in lists.tables:
            screen.close()  # no progress bar beside a table
            print_renderable(lists_table(table))
    elif form == Format.json:
        _print_json(lists.model, lists.tables, key)
    elif form == Format.jsonl:
        for table in lists.tables:
            sys.stdout.writelines(json_text(row) + "\n" for row in table.to_pylist())
            sys.stdout.flush()
    else:
        lists.write(binary_stdout(), form)


def _print_json(model: str, tables: Iterable[Any], key: str) -> None:
    """Print one JSON document, list by list, in bounded memory."""
    head = {"schema_version": SCHEMA_VERSION, "model": model}
    write = sys.stdout.write
    write(f'{json_text(head)[:-1]}, "{key}": [')
    separator = "\n"
    for table in tables:
        for row in table.to_pylist():
            write(separator + json_text(row))
            separator = ",\n"
    write("\n]}\n")


def lists_table(table: Any) -> Any:
    """Return lists as a table for people."""
    columns = {"rank": ">rank", "score": ">score"}
    rendered = make_table(*(columns.get(name, name) for name in table.column_names))
    rows = ([_cell(name, value) for name, value in row.items()] for row in table.to_pylist())
    return filled(rendered, rows)


def _cell(name: str, value: Any) -> Any:
    if name == "score":
        return f"{value:.4f}"
    if name == "because":
        return "; ".join(reason.get("title", reason["item"]) for reason in value)
    return value
