"""``diffrec quickstart``: a tour in under a minute."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from diffrec_cli.cli import _completion as completion
from diffrec_cli.cli import _options as o
from diffrec_cli.cli._help import examples
from diffrec_cli.cli._output import chosen, flat, report, screen

EXAMPLES = examples(
    "diffrec quickstart",
    "diffrec quickstart --variant lt --device cpu",
)


def quickstart(
    variant: Annotated[
        str,
        typer.Option(
            "--variant",
            "-v",
            metavar="auto|base|l|t|lt",
            help="The model to fit; auto: what ranks best on the valid part.",
            autocompletion=completion.diffrec_variants,
        ),
    ] = "auto",
    device: o.DeviceOption = "auto",
    form: o.FormatOption = None,
) -> None:
    """Tour: make a sample log, fit a model, compare it with popularity, recommend.

    Shows each command that it runs. They work the same on your own log.
    """
    from diffrec_cli import workflows

    toured = workflows.quickstart(variant=variant, device=device, listener=screen)
    screen.close()
    payload = toured.to_dict()
    rows = [flat(row) for row in payload["recommendations"]]
    report(chosen(form, piped="json"), payload=payload, rows=rows, table=lambda: _tour(toured))
    screen.say("next: diffrec fit YOUR_LOG.csv, then diffrec recommend --user ID")


def _tour(toured: Any) -> Any:
    from rich.console import Group

    from diffrec_cli.cli.eval import evaluation_table
    from diffrec_cli.cli.recommend import lists_table

    return Group(evaluation_table(toured.evaluated), lists_table(toured.recommendations))
