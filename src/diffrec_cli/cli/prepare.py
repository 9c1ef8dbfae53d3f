"""``diffrec prepare``: make a dataset from a log."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from diffrec_cli.cli import _completion as completion
from diffrec_cli.cli import _options as o
from diffrec_cli.cli._help import examples
from diffrec_cli.cli._output import chosen, filled, flat, make_table, report, screen
from diffrec_cli.cli._streams import require_stdout

EXAMPLES = examples(
    "diffrec prepare ratings.csv --items movies.csv --name movies",
    "diffrec prepare ratings.dat --sep :: --no-header --dry-run",
    "diffrec prepare events.parquet --split-by time --min-user-interactions 5",
    "zcat likes-*.csv.gz | diffrec prepare - --name likes --overwrite",
)


def prepare(
    context: typer.Context,
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="LOG...",
            help="Log files (joined into one log), a directory of .npy lists, or -.",
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            "-n",
            help=r"Name of the dataset. \[default: the file name]",
            autocompletion=completion.datasets,
        ),
    ] = None,
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
    items: o.ItemsOption = None,
    item_id_col: o.ItemIdColOption = None,
    setting: o.SettingOption = None,
    min_rating: o.MinRatingOption = None,
    since: o.SinceOption = None,
    until: o.UntilOption = None,
    test_from: o.TestFromOption = None,
    ratios: o.RatiosOption = None,
    order: o.OrderOption = None,
    parts: o.PartsOption = None,
    repeats: o.RepeatsOption = None,
    target: o.TargetOption = None,
    split_by: o.SplitByOption = None,
    noise: o.NoiseOption = None,
    noise_ratio: o.NoiseRatioOption = None,
    min_user_interactions: o.MinUserOption = None,
    min_item_interactions: o.MinItemOption = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            envvar="DIFFREC_SEED",
            help=r"Seed of the noise, and of a random split. \[default: 1]",
            rich_help_panel=o.SPLITTING,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another dataset of that name.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Report only, store nothing.")] = False,
    form: o.FormatOption = None,
) -> None:
    """Split a rating log into train, valid and test, and count every dropped row.

    Reads text (separated by comma, tab, ;, | or ::), gzip, Parquet, RecBole .inter,
    and the .npy lists of DiffRec's authors. Ids are kept as written. A log larger than
    memory is sorted on disk.
    """
    from diffrec_cli import workflows

    if dry_run:
        require_stdout()
    prepared = workflows.prepare(
        inputs,
        name=name,
        read=o.read_options(context.params),
        split=o.split_options(context.params, seed),
        items=items,
        overwrite=overwrite,
        dry_run=dry_run,
        listener=screen,
    )
    counts = prepared.to_dict()
    report(
        chosen(form, piped="json"),
        payload=counts,
        rows=[flat(counts)],
        table=lambda: _table(counts),
    )
    where = "nothing stored (dry run)" if prepared.path is None else f"stored in {prepared.path}"
    screen.say(f"{where}, unchanged" if prepared.reused else where)


def _table(counts: dict[str, Any]) -> Any:
    table = make_table(counts["dataset"], f">{counts['setting']}")
    rows = [(key, f"{counts[key]:,}") for key in list(counts)[2:] if key != "dropped"]
    dropped = [
        (f"dropped: {reason.replace('_', ' ')}", f"{count:,}")
        for reason, count in counts["dropped"].items()
        if count
    ]
    return filled(table, [*rows, *dropped])
