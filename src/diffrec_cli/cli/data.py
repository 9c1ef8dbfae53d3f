"""``diffrec data``: prepared datasets, sample logs and public ones."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from diffrec_cli.cli import _completion as completion
from diffrec_cli.cli import _options as o
from diffrec_cli.cli._help import examples
from diffrec_cli.cli._output import (
    chosen,
    confirm,
    filled,
    flat,
    make_table,
    print_line,
    report,
    screen,
)
from diffrec_cli.cli._streams import require_stdout

app = typer.Typer(
    help="List, show and remove prepared datasets; make or download logs.",
    epilog=examples("diffrec data ls", "diffrec data show ratings", "diffrec data sample log.csv"),
    no_args_is_help=True,
)

COUNTS = ("users", "items", "interactions", "train", "valid", "test")


@app.command(
    "ls",
    epilog=examples(
        "diffrec data ls",
        "diffrec data ls --format csv > datasets.csv",
    ),
)
def ls(form: o.FormatOption = None) -> None:
    """List prepared datasets."""
    from diffrec_cli import workflows

    require_stdout()
    records = [_brief(record) for record in workflows.list_datasets()]
    report(
        chosen(form, piped="json"),
        payload={"datasets": records},
        rows=records,
        table=lambda: filled(
            make_table("dataset", "setting", *(f">{count}" for count in COUNTS)),
            (_row(record) for record in records),
        ),
    )


@app.command(
    "show",
    epilog=examples(
        "diffrec data show ratings",
        "diffrec data show ratings --format json | jq .dropped",
    ),
)
def show(name: o.DatasetArgument, form: o.FormatOption = None) -> None:
    """Show a dataset's counts, dropped rows and source."""
    from diffrec_cli import workflows

    require_stdout()
    record = workflows.show_dataset(name)
    report(
        chosen(form, piped="json"),
        payload=record,
        rows=[flat(record)],
        table=lambda: filled(make_table("field", "value"), flat(record).items()),
    )


@app.command(
    "rm",
    epilog=examples(
        "diffrec data rm ratings",
        "diffrec data rm ratings --yes  # for scripts: do not ask",
    ),
)
def rm(name: o.DatasetArgument, yes: o.YesOption = False) -> None:
    """Remove a dataset; models fitted on it keep their own copy."""
    from diffrec_cli import workflows

    workflows.remove_dataset(name, confirm=lambda: confirm(f"Remove dataset {name}?", yes))
    screen.say(f"removed dataset {name}")


@app.command(
    "sample",
    epilog=examples(
        "diffrec data sample log.csv",
        "diffrec data sample big.csv --users 9000 --items 4000 --interactions 400000",
        "diffrec data sample log.csv --seed 2 --overwrite",
        "diffrec data sample shop.csv --events --repeat-share 0.3",
    ),
)
def sample(
    out: Annotated[Path, typer.Argument(help="The .csv file to write.")],
    users: Annotated[int, typer.Option("--users", help="Number of users.")] = 1000,
    items: Annotated[int, typer.Option("--items", help="Number of items.")] = 600,
    interactions: Annotated[
        int, typer.Option("--interactions", help="Number of ratings.")
    ] = 40_000,
    repeat_share: Annotated[
        float, typer.Option("--repeat-share", help="Share of rows that repeat a pair, of all rows.")
    ] = 0.0,
    drift: Annotated[
        float, typer.Option("--drift", help="How far tastes move: from 0 to 1.")
    ] = 1.0,
    events: Annotated[
        bool, typer.Option("--events", help="Views, carts and purchases instead of ratings.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", envvar="DIFFREC_SEED", help="Seed.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files.")] = False,
) -> None:
    """Write a made-up rating log and its item table.

    A few items are popular; tastes come in groups and drift; a fifth is noise.
    """
    from diffrec_cli import workflows

    log, table = workflows.sample(
        out,
        users=users,
        items=items,
        interactions=interactions,
        repeat_share=repeat_share,
        drift=drift,
        events=events,
        seed=seed,
        overwrite=overwrite,
    )
    print_line(log)
    pairs = "interactions" if events or repeat_share else "ratings"
    screen.say(f"{interactions:,} {pairs} in {log}, item table in {table}")


@app.command(
    "download",
    epilog=examples(
        "diffrec data download ml-100k --dir data",
        "log=$(diffrec data download ml-1m --overwrite -q)",
    ),
)
def download(
    name: Annotated[
        str,
        typer.Argument(
            metavar="ml-100k|ml-1m",
            help="The dataset.",
            autocompletion=completion.one_of("ml-100k", "ml-1m"),
        ),
    ],
    directory: Annotated[Path, typer.Option("--dir", help="Where to put the files.")] = Path(),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files.")] = False,
) -> None:
    """Download a MovieLens rating log and its item table from GroupLens.

    The archive is checked against its published checksum, and kept for next time.
    """
    from diffrec_cli import workflows

    files = workflows.download(name, directory, overwrite=overwrite, listener=screen)
    print_line(files.log)
    log, items = (shlex.quote(str(path)) for path in (files.log, files.items))
    screen.say(f"next: diffrec fit {log} --items {items}")


def _brief(record: dict[str, Any]) -> dict[str, Any]:
    if "error" in record:
        return {"dataset": record["dataset"], "error": record["error"]}
    return {key: record[key] for key in ("dataset", "setting", *COUNTS, "order")}


def _row(record: dict[str, Any]) -> list[str]:
    if "error" in record:
        return [record["dataset"], f"damaged: {record['error']}", *[""] * len(COUNTS)]
    return [record["dataset"], record["setting"], *(f"{record[count]:,}" for count in COUNTS)]
