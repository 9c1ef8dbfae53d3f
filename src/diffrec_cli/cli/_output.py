"""What is printed: the result on stdout; notes, progress and errors on stderr.

Only a terminal gets colours and animation, and nothing of the data acts on it: tables show what
would as escapes, and so does CSV on a terminal. To a pipe or a file CSV goes as it is, in UTF-8
whatever the locale: it is read by programs, and a job of cron has no locale.
"""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, BinaryIO

from diffrec_cli.cli._pages import html, markdown
from diffrec_cli.cli._screen import Screen
from diffrec_cli.errors import UsageError
from diffrec_cli.visible import visible, visible_json

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
        print(json_text(document, indent=2))
    elif form == "jsonl":
        for row in rows:
            print(json_text(dict(row)))
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
    Console(
        color_system=None if screen.plain else "auto",
        width=width,
        highlight=False,
        markup=False,  # a title like [red] or :smile: stands for itself
        emoji=False,
    ).print(renderable)


def print_line(text: object) -> None:
    """Print a text on stdout: as it is, or escaped on a terminal."""
    if sys.stdout.isatty():
        print(_shown(text))
    else:
        binary_stdout().write(os.fsencode(f"{text}\n"))


def json_text(value: Any, indent: int | None = None) -> str:
    """Return JSON for stdout."""
    return visible_json(value, sys.stdout.encoding, indent=indent)


def binary_stdout() -> BinaryIO:
    """Return stdout for UTF-8, which a terminal shows escaped."""
    sys.stdout.flush()
    return _OnTerminal() if sys.stdout.isatty() else sys.stdout.buffer  # type: ignore[return-value]  # it has what writers of tables use


class _OnTerminal:
    """Shows lines of UTF-8."""

    def write(self, data: bytes) -> None:
        print("\n".join(map(_shown, data.decode(errors="replace").split("\n"))), end="")

    def flush(self) -> None:
        sys.stdout.flush()


def can_print(text: str) -> bool:
    """Return whether the encoding of stdout has these characters."""
    return visible(text, sys.stdout.encoding) == text


def _shown(value: object) -> str:
    return visible(str(value), sys.stdout.encoding)


def make_table(*columns: str, title: str | None = None, caption: str | None = None) -> Any:
    """Return an empty table; columns whose name begins with ``>`` are aligned to the right."""
    from rich import box
    from rich.table import Table

    table = Table(
        title=title and _shown(title),
        caption=caption and _shown(caption),
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for column in columns:
        right = column.startswith(">")
        name = _shown(column.lstrip(">"))
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    return table


def filled(table: Any, rows: Iterable[Sequence[Any]]) -> Any:
    """Return the table with these rows."""
    for row in rows:
        table.add_row(*map(_shown, row))
    return table


def plus_minus(mean: float, spread: float) -> str:
    """Return two figures between 0 and 1 as a short text.

    Examples
    --------
    >>> plus_minus(0.1234, 0.001)
    '.1234±.0010'
    """
    sign = "±" if can_print("±") else "+-"
    return f"{mean:.4f}{sign}{spread:.4f}".replace("0.", ".")


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
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    binary_stdout().write(text.getvalue().encode(errors="surrogateescape"))


def confirm(question: str, yes: bool) -> None:
    """Ask, unless ``--yes`` was given; raise UsageError after a no, or without a terminal."""
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"{question} There is no terminal to ask on", "add --yes")
    if input(f"{_shown(question)} [y/N] ").strip().lower() not in ("y", "yes"):
        raise UsageError("not confirmed: nothing was changed", "answer y, or add --yes")
