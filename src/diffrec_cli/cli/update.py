"""``diffrec update``: add new interactions to a model, without training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from diffrec_cli.cli import _options as o
from diffrec_cli.cli._help import examples
from diffrec_cli.cli._output import chosen, filled, make_table, print_line, report

EXAMPLES = examples(
    "diffrec update shop today.csv",
    "model=$(diffrec update shop today.csv)",
    "diffrec update shop --items items.csv --item-features genres,brand",
    "psql -c 'copy likes to stdout csv header' | diffrec update shop -",
)


def update(
    context: typer.Context,
    model: o.ModelArgument,
    events: Annotated[
        str | None, typer.Argument(metavar="EVENTS|-", help="New interactions: user,item[,time].")
    ] = None,
    items: Annotated[
        Path | None,
        typer.Option("--items", help="Table of items with new ones, which find a place by it."),
    ] = None,
    item_features: o.ItemFeaturesOption = None,
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
    missing: o.MissingOption = "error",
    encoding: o.EncodingOption = "utf-8",
    time_format: o.TimeFormatOption = None,
    form: o.FormatOption = None,
) -> None:
    """Add new interactions to a model's histories, or new items, as its next version.

    Nothing is trained: lists change because histories do. At night, when the
    whole log is there, `fit --warm-start` trains a little, too. Events that have
    the columns of the model's log are read as it was. Prints the reference.
    """
    from diffrec_cli import workflows
    from diffrec_cli.cli._output import screen

    read = o.read_options(context.params)
    updated = workflows.update(
        model,
        events,
        items=items,
        item_features=o.names(item_features),
        read=read,
        listener=screen,
    )
    screen.close()
    result = updated.to_dict()
    form_chosen = chosen(form, piped="reference")
    if form_chosen == "reference":
        print_line(updated.model)
        return
    report(form_chosen, payload=result, rows=[result], table=lambda: _table(result))


def _table(result: dict[str, Any]) -> Any:
    (_, reference), *rows = result.items()
    return filled(make_table("model", reference), rows)
