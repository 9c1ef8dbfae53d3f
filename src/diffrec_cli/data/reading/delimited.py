"""Delimited text: the layout of a file, and fast reading of its columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, NoReturn, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from diffrec_cli.config import ReadOptions
from diffrec_cli.data.reading import columns as roles
from diffrec_cli.data.reading.columns import Columns
from diffrec_cli.data.reading.diagnosis import Layout, diagnose, rows, time_complaint
from diffrec_cli.data.reading.input_file import (
    MAX_RECORD,
    UNIT_SEPARATOR,
    InputFile,
    Record,
    records,
)
from diffrec_cli.data.reading.items import (
    arrange,
    item_columns,
    item_places,
    places_without_names,
)
from diffrec_cli.data.reading.missing import MISSING, may_be_missing, without_missing
from diffrec_cli.data.reading.quotes import quotes_of
from diffrec_cli.data.reading.raw_log import ID_TYPE, RawLog
from diffrec_cli.data.reading.separators import find_separators, split_line, with_blank
from diffrec_cli.data.reading.times import (
    AmbiguousTimesError,
    Times,
    UnreadableTimeError,
    parse_times,
)
from diffrec_cli.errors import DataError, UsageError

#: What comments begin with, before the first line of data.
_COMMENTS = ("#", "%")
_FIRST_ROWS, _FEWEST_NUMBERED, _LOOK_AT_LINES = 20, 3, 1_000
_SAYS_SEPARATOR = re.compile(r'"?sep=(.)"?[,;]*', re.IGNORECASE)


def read_text_log(file: InputFile, options: ReadOptions) -> RawLog:
    """Read a delimited log; options go before detection."""
    layout, sample = _log_layout(file, options)
    columns = layout.columns
    types = {columns.user: ID_TYPE, columns.item: ID_TYPE}
    if columns.rating is not None:
        types[columns.rating] = pa.float32()
    if columns.time is not None:
        types[columns.time] = _time_type(sample.fields[columns.time], options)
    table, headers = _read_delimited_log(file, layout, types)
    missing = 0
    if layout.skips_missing:
        table, missing = without_missing(table)
        if not len(table):
            raise DataError(f"{file.label}: every row misses a value", "give a file with data")
    # One copy at a time: a column's Arrow memory is freed once its array is made.
    taken = {place: table[_name(place)] for place in types}
    del table
    rating = None if columns.rating is None else np.asarray(taken.pop(columns.rating))
    times = None
    if columns.time is not None:
        times = _text_times(file, layout, taken.pop(columns.time), options)
    user, item = taken[columns.user], taken[columns.item]
    notes = _notes(layout, headers)
    piece = RawLog(file.label, user, item, rating, times, columns, layout.named, missing, notes)
    if not _plausible(piece):
        diagnose(file, layout)
        raise DataError(f"{file.label}: empty ids, or ratings that are none", "correct the file")
    return piece


def read_text_items(file: InputFile, options: ReadOptions, log_column: str | None) -> pa.Table:
    """Read an item table from delimited text, with or without a header."""
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
    layout = replace(layout, columns=Columns(names, places[0], places[0]))
    _first_row(file, layout)
    try:
        table, _ = _read_delimited(file, layout, dict.fromkeys(range(layout.fields), pa.string()))
    except pa.ArrowInvalid as error:
        _explain(file, layout, error)
    if pc.any(pc.equal(table.column(places[0]), "")).as_py():
        diagnose(file, layout)
    return arrange(table.columns, names, places)


def _log_layout(file: InputFile, options: ReadOptions) -> tuple[Layout, Record]:
    """Return the layout of a log file, and its first row of data."""
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
    return layout, _first_row(file, layout)


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
    with file.text() as text:
        for number, line in enumerate(_start_of_lines(text), 1):
            if number <= options.skip_lines or not line:
                continue
            if says := _SAYS_SEPARATOR.fullmatch(line):
                sep = says[1] if options.sep is None else _given_separator(options.sep)
                found = replace(found, skip=number, sep=sep)
            elif line.startswith(_COMMENTS) and len(comments) < _LOOK_AT_LINES:
                comments.append((number, line))
            else:
                return _without_data(replace(found, line=line), comments, options)
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


def _first_row(file: InputFile, layout: Layout) -> Record:
    """Return the first row of data; raise a DataError if there is none."""
    for record in rows(file, layout):
        if len(record.fields) != layout.fields:
            diagnose(file, layout)
        return record
    raise DataError(f"{file.label}: a header but no rows", "give a file with data")


def _time_type(sample: str, options: ReadOptions) -> pa.DataType:
    """Guess the type of the time column from its first value; a wrong guess is corrected."""
    if options.time_format is not None or not roles.is_number(sample):
        return pa.string()
    return pa.int64() if sample.strip().lstrip("-").isdecimal() else pa.float64()


def _notes(layout: Layout, headers: int) -> tuple[str, ...]:
    """Return what is worth telling of a file; `headers`: lines that repeat the first."""
    comments, quotes = layout.comments, layout.quotes
    return tuple(
        note
        for said, note in (
            (comments, f"comment lines at the beginning left out: {comments}"),
            (
                quotes.alone,
                f"quotes are taken as text: that in line {quotes.alone} is alone"
                " (--quotes: they are not)",
            ),
            (headers, f"repeated lines of column names left out: {headers:,}"),
        )
        if said
    )


def _read_delimited_log(
    file: InputFile, layout: Layout, types: dict[int, pa.DataType]
) -> tuple[pa.Table, int]:
    time = layout.columns.time
    try:
        return _read_delimited(file, layout, types)
    except pa.ArrowInvalid as error:
        if time is None or pa.types.is_string(types[time]):
            _explain(file, layout, error)
    # The first timestamp may differ from the others: read again, as text.
    try:
        return _read_delimited(file, layout, {**types, time: pa.string()})
    except pa.ArrowInvalid as error:
        _explain(file, layout, error)


def _read_delimited(
    file: InputFile, layout: Layout, types: dict[int, pa.DataType]
) -> tuple[pa.Table, int]:
    """Read the columns in `types` with Arrow, in parallel; count the repeated headers."""
    one_byte = layout.sep if len(layout.sep.encode()) == 1 else UNIT_SEPARATOR
    filtered = file.for_arrow(layout.sep, layout.header, layout.skip)
    with pa.PythonFile(filtered, mode="r") as stream:
        table = pa_csv.read_csv(
            stream,
            read_options=pa_csv.ReadOptions(
                column_names=[_name(place) for place in range(layout.fields)],
                skip_rows=layout.skip,
                block_size=MAX_RECORD,
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=one_byte,
                quote_char='"' if layout.quotes.hold else False,
                escape_char="\\" if layout.quotes.escaped else False,
                newlines_in_values=layout.quotes.hold,
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types={_name(place): kind for place, kind in types.items()},
                include_columns=[_name(place) for place in types],
                null_values=list(MISSING) if layout.skips_missing else [],
                strings_can_be_null=layout.skips_missing,
            ),
        )
    if layout.quotes.hold and filtered.quotes % 2:
        diagnose(file, layout)  # raises if a quote is left open; inches (5") are fine
    return table, filtered.headers


def _name(place: int) -> str:
    """Return the name under which Arrow knows a column; headers may repeat names."""
    return f"f{place}"


def _text_times(
    file: InputFile, layout: Layout, column: pa.ChunkedArray, options: ReadOptions
) -> Times:
    try:
        return parse_times(column, options.time_format)
    except AmbiguousTimesError as error:
        name = layout.columns.names[cast(int, layout.columns.time)]
        raise DataError(f"{file.label}: column {name!r}: {error.what}", error.fix) from error
    except UnreadableTimeError as error:
        diagnose(file, layout, bad_time=error.value)
        # The value was read as a number (inf, nan); read the column as text to show it as written.
        place = cast(int, layout.columns.time)
        as_text, _ = _read_delimited(file, layout, {place: pa.string()})
        written = as_text[0][error.row].as_py()
        diagnose(file, layout, bad_time=written)
        what, fix = time_complaint(written)
        raise DataError(f"{file.label}: {what}", fix) from error


def _plausible(piece: RawLog) -> bool:
    """Check ids and ratings fast; :func:`diagnose` finds the line if this fails."""
    if may_be_missing(piece.user) or may_be_missing(piece.item):
        return False
    rating = piece.rating
    return rating is None or bool(np.isfinite(rating).all())


def _explain(file: InputFile, layout: Layout, error: Exception) -> NoReturn:
    """Raise for what Arrow refused, with the line if slow reading finds it."""
    diagnose(file, layout)
    raise DataError(
        f"{file.label}: not readable as delimited text ({error})",
        "check --sep, --encoding and the quotes",
    ) from error
