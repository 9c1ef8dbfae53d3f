"""Delimited text: the layout of a file, and fast reading of its columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from diffrec_cli.config import ReadOptions
from diffrec_cli.data.reading import columns as roles
from diffrec_cli.data.reading.columns import Columns
from diffrec_cli.data.reading.diagnosis import Layout, diagnose, time_complaint
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
from diffrec_cli.data.reading.raw_log import ID_TYPE, RawLog, may_be_empty
from diffrec_cli.data.reading.separators import find_separators
from diffrec_cli.data.reading.times import (
    AmbiguousTimesError,
    Times,
    UnreadableTimeError,
    parse_times,
)
from diffrec_cli.errors import DataError, UsageError


def read_text_log(file: InputFile, options: ReadOptions) -> RawLog:
    """Read a delimited log; options go before detection."""
    layout, sample = _log_layout(file, options)
    columns = layout.columns
    types = {columns.user: ID_TYPE, columns.item: ID_TYPE}
    if columns.rating is not None:
        types[columns.rating] = pa.float32()
    if columns.time is not None:
        types[columns.time] = _time_type(sample.fields[columns.time], options)
    table = _read_delimited_log(file, layout, types)
    # One copy at a time: a column's Arrow memory is freed once its array is made.
    taken = {place: table[_name(place)] for place in types}
    del table
    rating = None if columns.rating is None else np.asarray(taken.pop(columns.rating))
    times = None
    if columns.time is not None:
        times = _text_times(file, layout, taken.pop(columns.time), options)
    user, item = taken[columns.user], taken[columns.item]
    piece = RawLog(file.label, user, item, rating, times, columns, header=layout.skip > 0)
    if not _plausible(piece):
        diagnose(file, layout)
        raise DataError(f"{file.label}: empty ids, or ratings that are none", "correct the file")
    return piece


def read_text_items(file: InputFile, options: ReadOptions, log_column: str | None) -> pa.Table:
    """Read an item table from delimited text, with or without a header."""
    first = _first_record(file, ReadOptions(item_col="id", sep=options.sep))
    fields = first.record.fields
    header = options.header
    if header is None:
        headerless = first.sep == "::" or roles.is_number(fields[0])
        header = bool(item_columns(fields, options, log_column)) or not headerless
    quoted = _is_quoted(first.sep, fields)
    names = tuple(map(roles.base_name, fields))
    if not header:
        names = tuple(f"column{place}" for place in range(1, len(fields) + 1))
    places = (
        item_places(fields, options, log_column, file.label)
        if header
        else places_without_names(len(fields), options, file.label)
    )
    skip = first.record.last_line if header else 0
    layout = Layout(first.sep, quoted, len(fields), skip, Columns(names, places[0], places[0]))
    _first_row(file, layout)
    try:
        table = _read_delimited(file, layout, dict.fromkeys(range(len(fields)), pa.string()))
    except pa.ArrowInvalid as error:
        _explain(file, layout, error)
    if pc.any(pc.equal(table.column(places[0]), "")).as_py():
        diagnose(file, layout)
    return arrange(table.columns, names, places)


def _log_layout(file: InputFile, options: ReadOptions) -> tuple[Layout, Record]:
    """Return the layout of a log file, and its first row of data."""
    first = _first_record(file, options)
    sep, fields = first.sep, first.record.fields
    header = options.header
    if header is None:
        header = roles.is_header(fields, options) or not roles.is_record(fields)
    quoted = _is_quoted(sep, fields)
    if header:
        columns = roles.named_columns(fields, options, file.label)
    else:
        columns = roles.numbered_columns(len(fields), options, file.label)
    roles.check_options(columns, options, file.label)
    skip = first.record.last_line if header else 0
    layout = Layout(sep, quoted, len(fields), skip, columns)
    return layout, _first_row(file, layout)


@dataclass(frozen=True, slots=True)
class First:
    """The first record of a file and the separator that splits it."""

    sep: str
    record: Record


def _first_record(file: InputFile, options: ReadOptions) -> First:
    """Return the first record that is not blank and the separator that splits it."""
    file.refuse_binary()
    try:
        with file.text() as text:
            line = next((text_line for text_line in _start_of_lines(text) if text_line), "")
        sep = _separator(line, options, file)
        record = next(records(file, sep, quoted=len(sep) == 1), None)
    except UnicodeError as error:
        raise DataError(
            f"{file.label}: not {file.encoding} text ({error})", "give its --encoding"
        ) from error
    if record is None:
        raise DataError(f"{file.label}: the file is empty", "give a file with data")
    return First(sep, record)


def _start_of_lines(text: Any) -> Iterator[str]:
    while line := text.readline(MAX_RECORD):
        yield line.strip("\r\n")


def _separator(line: str, options: ReadOptions, file: InputFile) -> str:
    if options.sep is not None:
        return _given_separator(options.sep)
    if not line:
        return ","
    if found := find_separators(line, options):
        return found[0]
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


def _is_quoted(sep: str, fields: Sequence[str]) -> bool:
    """Tell whether quotes have a meaning: not in RecBole's files or with long separators."""
    return len(sep.encode()) == 1 and not roles.is_recbole(fields)


def _first_row(file: InputFile, layout: Layout) -> Record:
    """Return the first row of data; raise a DataError if there is none."""
    for record in records(file, layout.sep, quoted=layout.quoted):
        if record.first_line > layout.skip:
            if len(record.fields) != layout.fields:
                diagnose(file, layout)
            return record
    raise DataError(f"{file.label}: a header but no rows", "give a file with data")


def _time_type(sample: str, options: ReadOptions) -> pa.DataType:
    """Guess the type of the time column from its first value; a wrong guess is corrected."""
    if options.time_format is not None or not roles.is_number(sample):
        return pa.string()
    return pa.int64() if sample.strip().lstrip("-").isdecimal() else pa.float64()


def _read_delimited_log(file: InputFile, layout: Layout, types: dict[int, pa.DataType]) -> pa.Table:
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


def _read_delimited(file: InputFile, layout: Layout, types: dict[int, pa.DataType]) -> pa.Table:
    """Read the columns in `types` with Arrow, in parallel."""
    one_byte = layout.sep if len(layout.sep.encode()) == 1 else UNIT_SEPARATOR
    filtered = file.for_arrow(layout.sep)
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
                quote_char='"' if layout.quoted else False,
                newlines_in_values=layout.quoted,
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types={_name(place): kind for place, kind in types.items()},
                include_columns=[_name(place) for place in types],
                # "NA" and "null" are ids like any other, and not ratings.
                null_values=[],
                strings_can_be_null=False,
            ),
        )
    if layout.quoted and filtered.quotes % 2:
        diagnose(file, layout)  # raises if a quote is left open; inches (5") are fine
    return table


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
        as_text = _read_delimited(file, layout, {place: pa.string()})
        written = as_text[0][error.row].as_py()
        diagnose(file, layout, bad_time=written)
        what, fix = time_complaint(written)
        raise DataError(f"{file.label}: {what}", fix) from error


def _plausible(piece: RawLog) -> bool:
    """Check ids and ratings fast; :func:`diagnose` finds the line if this fails."""
    if may_be_empty(piece.user) or may_be_empty(piece.item):
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
