"""Tables as Markdown and HTML, for pages."""

from __future__ import annotations

from html import escape
from typing import Any


def markdown(table: Any) -> str:
    """Return a rich table as a Markdown table, its caption below."""
    header, rows = _cells(table)
    rules = ["---:" if column.justify == "right" else "---" for column in table.columns]
    lines = [_line(header), _line(rules), *map(_line, rows)]
    caption = ["", str(table.caption)] if table.caption else []
    return "\n".join([*lines, *caption])


def html(table: Any) -> str:
    """Return a rich table as an HTML table, its caption below."""
    header, rows = _cells(table)
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "\n".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    caption = f"\n<p>{escape(str(table.caption))}</p>" if table.caption else ""
    return f"<table>\n<tr>{head}</tr>\n{body}\n</table>{caption}"


def _cells(table: Any) -> tuple[list[str], list[list[str]]]:
    columns = [[str(cell) for cell in column.cells] for column in table.columns]
    return [str(column.header) for column in table.columns], list(
        map(list, zip(*columns, strict=True))
    )


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
