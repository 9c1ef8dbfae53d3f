"""``diffrec export``: a model's vectors for a vector index."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from diffrec_cli.cli import _options as o
from diffrec_cli.cli._help import examples
from diffrec_cli.cli._output import chosen, filled, make_table, report, screen

EXAMPLES = examples(
    "diffrec export --vectors vectors/",
    "diffrec export shop@2 --vectors items/ --items-only --format json",
)


def export(
    vectors: Annotated[Path, typer.Option("--vectors", metavar="DIR", help="A new directory.")],
    model: o.OptionalModelArgument = None,
    items_only: Annotated[bool, typer.Option("--items-only", help="Leave out users.")] = False,
    device: o.DeviceOption = "auto",
    form: o.FormatOption = None,
) -> None:
    """Write vectors whose inner products are the model's scores, for a vector index.

    DIR gets items.npy and users.npy (float32, one row each, bias last), and
    item_ids.npy and user_ids.npy (text). For a model in one file see:
    diffrec models export
    """
    from diffrec_cli import workflows

    written = workflows.export_vectors(
        model, vectors, users=not items_only, device=device, listener=screen
    )
    screen.close()
    result = written.to_dict()
    report(
        chosen(form, piped="json"),
        payload=result,
        rows=[result],
        table=lambda: filled(make_table("", "vectors"), result.items()),
    )
