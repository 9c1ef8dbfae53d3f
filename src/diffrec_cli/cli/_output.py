"""What is printed: the result on stdout; notes, progress and errors on stderr.

Only a terminal gets colours and animation.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from diffrec_cli.cli._pages import html, markdown
from diffrec_cli.cli._screen import Screen
from diffrec_cli.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

SCHEMA_VERSION = 1
_PIPED_TABLE_WIDTH = 160

screen = Screen()


class Format(StrEnum):
    """Formats of a report."""

    table = "table"
    json = "json"
    jsonl = "jsonl"
    csv = "csv"


class PageFormat(StrEnum):
    """Formats of a report, with those for pages."""

    table = "table"
    json = "json"
    jsonl = "jsonl"
    csv = "csv"
    md = "md"
    html = "html"


def chosen(asked: Format | PageFormat | None, piped: str) -> str:
    """Return the format: the one asked for, a table on a terminal, else `piped`."""
    if asked is not None:
        return asked.value
    return "table" if sys.stdout.isatty() else piped


def report(
    form: str,
    *,
    payload: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    table: Callable[[], RenderableType],
    schema_version: int = SCHEMA_VERSION,
) -> None:
    """Print one result on stdout.

    Parameters
    ----------
    form
        A :class:`PageFormat`.
    payload
        The JSON object, without its ``schema_version``.
    rows
        Flat records of the same, for ``jsonl`` and ``csv``.
    table
        Makes the table for ``table``, ``md`` and ``html``.
    schema_version
        Of the JSON object.
    """
    if form == "json":
        # A stored record has a version of its own, which is not that of this document.
        document = {"schema_version": schema_version} | dict(payload)
        document["schema_version"] = schema_version
        print(json.dumps(document, indent=2, ensure_ascii=False))
    elif form == "jsonl":
        for row in rows:
            print(json.dumps(dict(row), ensure_ascii=False))
    elif form == "csv":
        _print_csv(rows)
    elif form == "md":
        print(markdown(table()))
    elif form == "html":
        print(html(table()))
    else:
        print_renderable(table())


def print_renderable(renderable: RenderableType) -> None:
    """Print something of rich's on stdout."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else _PIPED_TABLE_WIDTH
    Console(color_system=None if screen.plain else "auto", width=width, highlight=False).print(
        renderable
    )


def make_table(*columns: str, title: str | None = None) -> Any:
    """Return an empty table; columns whose name begins with ``>`` are aligned to the right."""
    from rich import box
    from rich.table import Table

    table = Table(
        title=title,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for column in columns:
        right = column.startswith(">")
        table.add_column(column.lstrip(">"), justify="right" if right else "left", overflow="fold")
    return table


def filled(table: Any, rows: Iterable[Sequence[Any]]) -> Any:
    """Return the table with these rows; cells are shown as they are, not as markup."""
    from rich.text import Text

    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    return table


def plus_minus(mean: float, spread: float) -> str:
    """Return two figures between 0 and 1 as a short text.

    Examples
    --------
    >>> plus_minus(0.1234, 0.001)
    '.1234±.0010'
    """
    return f"{mean:.4f}±{spread:.4f}".replace("0.", ".")


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one, with keys joined by dots.

    Examples
    --------
    >>> flat({"a": 1, "b": {"c": 2}})
    {'a': 1, 'b.c': 2}
    """
    result: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            result |= flat(value, f"{prefix}{key}.")
        else:
            result[f"{prefix}{key}"] = value
    return result


def _print_csv(rows: Sequence[Mapping[str, Any]]) -> None:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    writer = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def confirm(question: str, yes: bool) -> None:
    """Ask, unless ``--yes`` was given; raise UsageError after a no, or without a terminal."""
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"{question} There is no terminal to ask on", "add --yes")
    if input(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
        raise UsageError("not confirmed: nothing was changed", "answer y, or add --yes")
