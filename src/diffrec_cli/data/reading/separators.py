"""Detection of separators, for logs, histories and events."""

from __future__ import annotations

import csv
from collections.abc import Sequence

from diffrec_cli.config import ReadOptions
from diffrec_cli.data.reading.columns import is_header, is_record
from diffrec_cli.data.reading.input_file import BLANKS, UNIT_SEPARATOR

#: Separators that are rare inside fields, and those that are not.
_CERTAIN = ("\t", "::", UNIT_SEPARATOR)
_LIKELY = (",", ";", "|")
_LOOK_AT = 100_000  # characters of the line, below the limit of the csv module


def find_separators(line: str, options: ReadOptions) -> list[str]:
    """Return the possible separators of a file's first line, the likeliest first.

    First those between recognised column names, then those rare inside fields, then the others by
    number of fields. A space is last, and only between such names or before numbers.

    Examples
    --------
    >>> find_separators("user;item;title, year, genre", ReadOptions())
    [';', ',']
    >>> find_separators("1 2 5", ReadOptions()), find_separators("Toy Story", ReadOptions())
    ([' '], [])
    """
    line = line[:_LOOK_AT]
    found = {sep: split_line(line, sep) for sep in (*_CERTAIN, *_LIKELY)}
    names = [sep for sep in found if is_header(found[sep], options)]
    certain = [sep for sep in _CERTAIN if len(found[sep]) > 1]
    likely = [sep for sep in _LIKELY if len(found[sep]) > 1]
    likely.sort(key=lambda sep: -len(found[sep]))
    blank = " " if split_line(line, " ") == line.split() else BLANKS
    words = split_line(line, blank)
    space = [blank] if is_header(words, options) or is_record(words) else []
    return list(dict.fromkeys((*names, *certain, *likely, *space)))


def with_blank(lines: Sequence[str], sep: str) -> str:
    """Return the separator with a blank after it, if all of some lines have one after each.

    Examples
    --------
    >>> with_blank(["user, item", "ann, 1"], ","), with_blank(["user, item", "ann,1"], ",")
    (', ', ',')
    """
    later = [field for line in lines for field in line.split(sep)[1:]]
    spaced = bool(later) and all(field.startswith(" ") for field in later)
    return f"{sep} " if spaced and sep in _LIKELY and '"' not in "".join(lines) else sep


def split_line(line: str, sep: str) -> list[str]:
    """Split a line as the reader of logs does: quotes hold a field together."""
    if sep == BLANKS:
        return line.split()
    if len(sep) > 1:
        return line.split(sep)
    try:
        return next(csv.reader([line], delimiter=sep), [])
    except csv.Error:  # a field too long, or a carriage return inside
        return []
