"""``diffrec similar``: items similar to an item."""

from __future__ import annotations

from typing import Annotated

import typer

from diffrec_cli.cli import _options as o
from diffrec_cli.cli._help import examples
from diffrec_cli.cli._output import chosen
from diffrec_cli.cli._streams import require_stdout
from diffrec_cli.cli.recommend import print_lists

EXAMPLES = examples(
    "diffrec similar 318 -k 10 --titles",
    "diffrec similar 318 527 --model shop@2 --format jsonl",
)


def similar(
    items: Annotated[list[str], typer.Argument(metavar="ITEM...", help="Item ids.")],
    model: o.ModelOption = None,
    k: Annotated[int, typer.Option("-k", help="Length of a list.")] = 20,
    titles: Annotated[bool, typer.Option("--titles", "-t", help="Add the items' titles.")] = False,
    form: o.FormatOption = None,
) -> None:
    """Print the items most similar to an item, as the model sees them.

    The score is the cosine of the items' vectors in the model.
    """
    from diffrec_cli import workflows

    require_stdout()
    found = workflows.similar(items, model, k=k, titles=titles)
    print_lists(chosen(form, piped="csv"), found, key="similar")
