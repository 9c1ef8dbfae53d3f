"""The layout of a text file: what is before its rows, how fields are apart, and its columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from diffrec_cli.config import ReadOptions
from diffrec_cli.data.reading import columns as roles
from diffrec_cli.data.reading.columns import Columns
from diffrec_cli.data.reading.input_file import MAX_RECORD, InputFile, Record, records
from diffrec_cli.data.reading.items import item_columns, item_places, places_without_names
from diffrec_cli.data.reading.quotes import Quotes, quotes_of
from diffrec_cli.data.reading.separators import find_separators, split_line, with_blank
from diffrec_cli.errors import DataError, UsageError

#: What comments begin with, before the first line of data.
_COMMENTS = ("#", "%")
_MATRIX = "%%MatrixMarket"
_FIRST_ROWS, _FEWEST_NUMBERED, _LOOK_AT_LINES = 20, 3, 1_000
_COMMA = re.compile(r"\s*-?\d+,(\d+)\s*")
_SAYS_SEPARATOR = re.compile(r'"?sep=(.)"?[,;]*', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Layout:
    """How a text file is laid out.

    Parameters
    ----------
    sep
        Separator of one or more characters.
    quotes
        What double quotes mean.
    fields
        Number of fields of every record.
    skip
        Physical lines before the first row of data.
    columns
        Roles of the columns.
    header
        The line of names as written; later lines like it are no data. Empty if there is none.
    named
        Whether columns have names.
    comments
        Lines at the beginning that are comments.
    skips_missing
        Whether rows without a value are left out.
    decimal_point
        What is before the fraction of a rating or a time: a point or a comma.
    """

    sep: str
    quotes: Quotes
    fields: int
    skip: int
    columns: Columns
    header: str = ""
    named: bool = False
    comments: int = 0
    skips_missing: bool = False
    decimal_point: str = "."


def log_layout(file: InputFile, options: ReadOptions) -> Layout:
    """Return the layout of a log file; options go before detection.

    Raises
    ------
    DataError
        The file is empty or no text, or has no column of users or items.
    """
    first = _first_record(file, options)
    fields = first.record.fields
    header = options.header
    if header is None:
        header = roles.is_header(fields, options) or not roles.is_record(fields)
    layout = _layout(file, first, header, options, numbered=True)
    columns = (
        roles.named_columns(layout.columns.names, options, file.label)
        if header
        else roles.numbered_columns(_used(fields), options, file.label)
    )
    roles.check_options(columns, options, file.label)
    if not header:
        roles.check_guess(columns, fields, options, file.label)
    layout = replace(layout, columns=columns, skips_missing=options.missing == "skip")
    return replace(layout, decimal_point=_decimal_point(file, layout))


def item_layout(
    file: InputFile, options: ReadOptions, log_column: str | None
) -> tuple[Layout, tuple[int, int | None]]:
    """Return the layout of an item table, and the places of its id and title.

    Both roles of the layout are the id: what is checked is that none is empty.
    """
    first = _first_record(file, replace(options, item_col=options.item_col or "id"))
    fields = first.record.fields
    header = options.header
    if header is None:
        headerless = first.sep == "::" or roles.is_number(fields[0])
        header = bool(item_columns(fields, options, log_column)) or not headerless
    layout = _layout(file, first, header, options, numbered=False)  # its ids may be numbers
    names = layout.columns.names
    if not header:
        names = tuple(f"column{place}" for place in range(1, layout.fields + 1))
    places = (
        item_places(names, options, log_column, file.label)
        if header
        else places_without_names(layout.fields, options, file.label)
    )
    return replace(layout, columns=Columns(names, places[0], places[0])), places


def rows(file: InputFile, layout: Layout) -> Iterator[Record]:
    """Read the rows of data of a file slowly."""
    quotes = layout.quotes
    found = records(file, layout.sep, quoted=quotes.hold, escaped=quotes.escaped, skip=layout.skip)
    for record in found:
        if not layout.header or record.text.lstrip("\ufeff") != layout.header:
            yield record


def _layout(
    file: InputFile, first: First, header: bool, options: ReadOptions, *, numbered: bool
) -> Layout:
    """Return the layout of a file whose first record is known, still without roles.

    `numbered`: whether rows may have a number before them that the header has no name for.
    """
    record = first.record
    quotes = quotes_of(file, first.sep, record.fields, options)
    names = tuple(map(roles.base_name, record.fields))
    in_a_line = record.first_line == record.last_line
    again = record.text if header and in_a_line else ""  # lines like it are no data
    skip = record.last_line if header else first.skip
    layout = Layout(
        first.sep, quotes, len(names), skip, Columns(names, 0, 0), again, header, first.comments
    )
    if not header:
        return layout
    first_rows = [row.fields for row in islice(rows(file, layout), _FIRST_ROWS)]
    if not first_rows or any(len(fields) != len(names) + 1 for fields in first_rows):
        return layout
    if not any(fields[-1] for fields in first_rows):  # all rows have a separator at their end
        names = (*names, "")
    elif numbered and [fields[0] for fields in first_rows] in _row_numbers(len(first_rows)):
        names = ("", *names)
    return replace(layout, fields=len(names), columns=Columns(names, 0, 0))


def _decimal_point(file: InputFile, layout: Layout) -> str:
    """Return a comma if a rating or a time of the first rows has one, and otherwise a point.

    Commas before three digits alone may separate thousands.
    """
    places = [p for p in (layout.columns.rating, layout.columns.time) if p is not None]
    first = (row.fields for row in islice(rows(file, layout), _LOOK_AT_LINES))
    numbers = (fields[p] for fields in first for p in places if p < len(fields))
    fractions = {found[1] for number in numbers if (found := _COMMA.fullmatch(number))}
    return "," if any(len(digits) != 3 for digits in fractions) else "."


def _used(fields: Sequence[str]) -> int:
    """Return the number of columns without an empty one after the separators at line ends."""
    return len(fields) - (len(fields) > 2 and not fields[-1])


def _row_numbers(count: int) -> list[list[str]]:
    """Return the numbers of rows from 0 and from 1, as R and pandas write them; none if too few."""
    starts = (0, 1) if count >= _FEWEST_NUMBERED else ()
    return [[str(number) for number in range(start, start + count)] for start in starts]


@dataclass(frozen=True, slots=True)
class First:
    """The first record of a file, and the separator that splits it.

    Parameters
    ----------
    sep
        The separator.
    record
        The record.
    skip
        Physical lines before it that are no data, but for blank ones.
    comments
        How many of them are comments.
    """

    sep: str
    record: Record
    skip: int
    comments: int


def _first_record(file: InputFile, options: ReadOptions) -> First:
    """Return the first record that is neither blank nor a comment, and its separator."""
    file.refuse_binary()
    try:
        before = _preamble(file, options)
        sep = before.sep or _separator(before.line, options, file)
        quoted = len(sep) == 1 and options.quotes is not False
        record = next(records(file, sep, quoted=quoted, skip=before.skip), None)
    except UnicodeError as error:
        raise DataError(
            f"{file.label}: not {file.encoding} text ({error})", "give its --encoding"
        ) from error
    if record is None:
        raise DataError(f"{file.label}: the file is empty", "give a file with data")
    return First(sep, record, before.skip, before.comments)


@dataclass(frozen=True, slots=True)
class _Preamble:
    """What is before names and data: lines to skip, comments, and the separator, if it is said."""

    skip: int
    comments: int = 0
    sep: str | None = None
    line: str = ""  # the one after it


def _preamble(file: InputFile, options: ReadOptions) -> _Preamble:
    found = _Preamble(options.skip_lines)
    comments: list[tuple[int, str]] = []
    sizes = 0  # number of the line of a matrix's sizes
    with file.text() as text:
        for number, line in enumerate(_start_of_lines(text), 1):
            if number <= options.skip_lines or not line:
                continue
            if says := _SAYS_SEPARATOR.fullmatch(line):
                sep = says[1] if options.sep is None else _given_separator(options.sep)
                found = replace(found, skip=number, sep=sep)
            elif line.startswith(_COMMENTS) and len(comments) < _LOOK_AT_LINES:
                comments.append((number, line))
            elif not sizes and comments and comments[0][1].startswith(_MATRIX):
                sizes = number
            else:
                found = _without_data(replace(found, line=line), comments, options)
                return replace(found, skip=sizes, comments=found.comments + 1) if sizes else found
    return _without_data(found, comments, options)


def _without_data(
    found: _Preamble, comments: list[tuple[int, str]], options: ReadOptions
) -> _Preamble:
    """Return the preamble with those lines that are comments: ``#1,x,5`` may be a row."""
    after = found.line or (comments[-1][1] if comments else "")
    seps = [options.sep] if options.sep else find_separators(after, options)
    for number, line in comments:
        fields = [len(split_line(text, seps[0])) if seps else 1 for text in (line, after)]
        if line[1:2].strip() and fields[0] == fields[1] > 1:
            return replace(found, line=line)
        found = replace(found, skip=number, comments=found.comments + 1)
    return found


def _start_of_lines(text: Any) -> Iterator[str]:
    """Yield the beginning of each line."""
    while line := text.readline(MAX_RECORD):
        yield line.strip("\r\n")
        while len(line) == MAX_RECORD and not line.endswith("\n"):
            line = text.readline(MAX_RECORD)


def _separator(line: str, options: ReadOptions, file: InputFile) -> str:
    if options.sep is not None:
        return _given_separator(options.sep)
    if not line:
        return ","
    if found := find_separators(line, options):
        with file.text() as text:
            lines = [line for line in islice(_start_of_lines(text), _LOOK_AT_LINES) if line]
        return with_blank([line for line in lines if found[0] in line], found[0])
    raise DataError(
        f"{file.label}:1: no separator found in {line[:60]!r}",
        "give --sep; every line needs at least a user and an item",
    )


def _given_separator(text: str) -> str:
    sep = text.replace("\\t", "\t")
    if not sep or any(c in sep for c in '"\r\n'):
        raise UsageError(
            f"--sep {text!r} cannot separate fields", "give one or more characters, say ';' or '::'"
        )
    return sep
