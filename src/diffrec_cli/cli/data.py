"""``diffrec data``: prepared datasets, and sample logs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from diffrec_cli.cli import _options as o
from diffrec_cli.cli._output import chosen, confirm, filled, flat, make_table, report, screen

app = typer.Typer(help="List, show, remove prepared datasets; make sample logs.",
                  no_args_is_help=True)  # fmt: skip

COUNTS = ("users", "items", "interactions", "train", "valid", "test")


@app.command("ls")
def ls(form: o.FormatOption = None) -> None:
    """List prepared datasets."""
    from diffrec_cli.data.store import summaries

    records = [_brief(record) for record in summaries()]
    report(
        chosen(form, piped="json"),
        payload={"datasets": records},
        rows=records,
        table=lambda: filled(
            make_table("dataset", "setting", *(f">{count}" for count in COUNTS)),
            (_row(record) for record in records),
        ),
    )


@app.command("show")
def show(name: Annotated[str, typer.Argument(help="Name of the dataset.")],
         form: o.FormatOption = None) -> None:  # fmt: skip
    """Show a dataset's counts, drops and source."""
    from diffrec_cli.data.dataset import Dataset
    from diffrec_cli.data.store import find

    directory = find(name)
    record = {**Dataset.read_summary(directory), "path": str(directory)}
    report(
        chosen(form, piped="json"),
        payload=record,
        rows=[flat(record)],
        table=lambda: filled(make_table("field", "value"), flat(record).items()),
    )


@app.command("rm")
def rm(name: Annotated[str, typer.Argument(help="Name of the dataset.")],
       yes: o.YesOption = False) -> None:  # fmt: skip
    """Remove a dataset; models fitted on it keep their own copy."""
    from diffrec_cli.data.store import find, remove

    find(name)
    confirm(f"Remove dataset {name}?", yes)
    remove(name)
    screen.say(f"removed dataset {name}")


@app.command("sample")
def sample(
    out: Annotated[Path, typer.Argument(help="The log, a .csv file.")],
    users: Annotated[int, typer.Option("--users", help="Users.")] = 1000,
    items: Annotated[int, typer.Option("--items", help="Items.")] = 600,
    interactions: Annotated[int, typer.Option("--interactions", help="Ratings.")] = 40_000,
    seed: Annotated[int, typer.Option("--seed", envvar="DIFFREC_SEED", help="Seed.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files.")] = False,
) -> None:
    """Write a made-up rating log, and its item table beside it.

    Popularity is skewed, tastes lie in groups and drift, a fifth of the ratings is noise.
    """
    from diffrec_cli.data.sample import SampleOptions, write_sample

    options = SampleOptions(users=users, items=items, interactions=interactions, seed=seed)
    log, table = write_sample(out, options, overwrite=overwrite)
    print(log)
    screen.say(f"{interactions:,} ratings in {log}, item table in {table}")


def _brief(record: dict[str, Any]) -> dict[str, Any]:
    if "error" in record:
        return {"dataset": record["dataset"], "error": record["error"]}
    return {key: record[key] for key in ("dataset", "setting", *COUNTS, "ordered")}


def _row(record: dict[str, Any]) -> list[str]:
    if "error" in record:
        return [record["dataset"], f"damaged: {record['error']}", *[""] * len(COUNTS)]
    return [record["dataset"], record["setting"], *(f"{record[count]:,}" for count in COUNTS)]
