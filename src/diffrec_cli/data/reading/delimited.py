"""Delimited text: fast reading of columns; the slow way finds what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import Any, NoReturn, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from diffrec_cli.config import ReadOptions
from diffrec_cli.data.reading import columns as roles
from diffrec_cli.data.reading.diagnosis import diagnose, time_complaint
from diffrec_cli.data.reading.input_file import (
    MAX_RECORD,
    UNIT_SEPARATOR,
    FilteredBytes,
    InputFile,
    Record,
)
from diffrec_cli.data.reading.items import arrange
from diffrec_cli.data.reading.layout import Layout, item_layout, log_layout, rows
from diffrec_cli.data.reading.missing import MISSING, may_be_missing, without_missing
from diffrec_cli.data.reading.piecewise import pieces_of
from diffrec_cli.data.reading.raw_log import ID_TYPE, NoRowsError, RawLog
from diffrec_cli.data.reading.times import (
    AmbiguousTimesError,
    Times,
    UnreadableTimeError,
    parse_times,
)
from diffrec_cli.errors import DataError


def read_text_log(file: InputFile, options: ReadOptions) -> RawLog:
    """Read a delimited log; options go before detection."""
    layout = log_layout(file, options)
    types = _types(file, layout, options)
    table, headers = _read_delimited_log(file, layout, types)
    missing = 0
    if layout.skips_missing:
        table, missing = without_missing(table)
        if not len(table):
            raise DataError(f"{file.label}: every row misses a value", "give a file with data")
    # One copy at a time: a column's Arrow memory is freed once its array is made.
    taken = {place: table[_name(place)] for place in types}
    del table
    log = _log_of_columns(file, layout, taken, options)
    return replace(log, missing=missing, notes=_notes(layout, headers))


def read_text_pieces(file: InputFile, options: ReadOptions) -> Iterator[RawLog]:
    """Yield a delimited log some rows at a time; its notes are those of the last piece."""
    layout = log_layout(file, options)
    types = _types(file, layout, options)
    blocks = _Blocks(file, layout, types)

    def read(table: pa.Table, before: int) -> RawLog:
        taken = {place: table[_name(place)] for place in types}
        return _log_of_columns(replace(file, rows_before=before), layout, taken, options)

    try:
        for piece in pieces_of(iter(blocks), read, file, options):
            yield replace(piece, notes=_notes(layout, blocks.headers))
    except NoRowsError:
        raise DataError(
            f"{file.label}: every row misses a value", "give a file with data"
        ) from None


def _types(file: InputFile, layout: Layout, options: ReadOptions) -> dict[int, pa.DataType]:
    """Return the types of the columns that have a role, by their places."""
    columns, sample = layout.columns, _first_row(file, layout)
    types = {columns.user: ID_TYPE, columns.item: ID_TYPE}
    if columns.rating is not None:
        types[columns.rating] = pa.float32()
    if columns.event is not None:
        types[columns.event] = ID_TYPE
    if columns.weight is not None:
        types[columns.weight] = pa.float32()
    if columns.time is not None:
        time = sample.fields[columns.time].replace(layout.decimal_point, ".")
        types[columns.time] = _time_type(time, options)
    return types


def _log_of_columns(
    file: InputFile, layout: Layout, taken: dict[int, Any], options: ReadOptions
) -> RawLog:
    """Return the columns that have a role, by their places, as a log; numbers are taken out."""
    columns = layout.columns
    rating = None if columns.rating is None else np.asarray(taken.pop(columns.rating))
    times = None
    if columns.time is not None:
        times = _text_times(file, layout, taken.pop(columns.time), options)
    user, item = taken[columns.user], taken[columns.item]
    events = None if columns.event is None else taken[columns.event]
    weight = None if columns.weight is None else np.asarray(taken.pop(columns.weight))
    piece = RawLog(
        *(file.label, user, item, rating, times, columns, layout.named),
        events=events,
        weight=weight,
    )
    if not _plausible(piece):
        diagnose(file, layout)
        raise DataError(f"{file.label}: empty ids, or numbers that are none", "correct the file")
    return piece


def read_text_items(file: InputFile, options: ReadOptions, log_column: str | None) -> pa.Table:
    """Read an item table from delimited text, with or without a header."""
    layout, places = item_layout(file, options, log_column)
    _first_row(file, layout)
    try:
        table, _ = _read_delimited(file, layout, dict.fromkeys(range(layout.fields), pa.string()))
    except pa.ArrowInvalid as error:
        _explain(file, layout, error)
    if pc.any(pc.equal(table.column(places[0]), "")).as_py():
        diagnose(file, layout)
    return arrange(table.columns, layout.columns.names, places)


def _first_row(file: InputFile, layout: Layout) -> Record:
    """Return the first row of data; raise a DataError if there is none."""
    for record in rows(file, layout):
        if len(record.fields) != layout.fields:
            diagnose(file, layout)
        return record
    raise NoRowsError(file.label)


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
            (layout.decimal_point == ",", "ratings and times are read with decimal commas"),
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
    with _for_arrow(file, layout) as (filtered, stream):
        table = pa_csv.read_csv(stream, **_arrow_options(layout, types))
    return table, filtered.headers


class _Blocks:
    """The columns of a file in `types`, block by block; the repeated headers are counted."""

    def __init__(self, file: InputFile, layout: Layout, types: dict[int, pa.DataType]) -> None:
        self._file, self._layout, self._types = file, layout, types
        self.headers = 0

    def __iter__(self) -> Iterator[pa.Table]:
        done, time = 0, self._layout.columns.time
        try:
            for table in self._read(self._types):
                yield table
                done += 1
            return
        except pa.ArrowInvalid as error:
            if time is None or time not in self._types or pa.types.is_string(self._types[time]):
                _explain(self._file, self._layout, error)
        # A timestamp differs from the first: what follows is read as text, in the same blocks.
        try:
            yield from islice(self._read({**self._types, time: pa.string()}), done, None)
        except pa.ArrowInvalid as error:
            _explain(self._file, self._layout, error)

    def _read(self, types: dict[int, pa.DataType]) -> Iterator[pa.Table]:
        with _for_arrow(self._file, self._layout) as (filtered, stream):
            options = _arrow_options(self._layout, types)
            options["read_options"].use_threads = False  # they make it no faster, only larger
            for batch in pa_csv.open_csv(stream, **options):
                self.headers = filtered.headers
                yield pa.Table.from_batches([batch])
        self.headers = filtered.headers


@contextmanager
def _for_arrow(file: InputFile, layout: Layout) -> Iterator[tuple[FilteredBytes, Any]]:
    """Open a file for Arrow; raise if a quote is left open in all that was read."""
    filtered = file.for_arrow(layout.sep, layout.header, layout.skip)
    with pa.PythonFile(filtered, mode="r") as stream:
        yield filtered, stream
    if layout.quotes.hold and filtered.quotes % 2:
        diagnose(file, layout)  # raises if a quote is left open; inches (5") are fine


def _arrow_options(layout: Layout, types: dict[int, pa.DataType]) -> dict[str, Any]:
    """Return the options of Arrow's readers for the columns in `types`."""
    one_byte = layout.sep if len(layout.sep.encode()) == 1 else UNIT_SEPARATOR
    return {
        "read_options": pa_csv.ReadOptions(
            column_names=[_name(place) for place in range(layout.fields)],
            skip_rows=layout.skip,
            block_size=MAX_RECORD,
        ),
        "parse_options": pa_csv.ParseOptions(
            delimiter=one_byte,
            quote_char='"' if layout.quotes.hold else False,
            escape_char="\\" if layout.quotes.escaped else False,
            newlines_in_values=layout.quotes.hold,
        ),
        "convert_options": pa_csv.ConvertOptions(
            column_types={_name(place): kind for place, kind in types.items()},
            include_columns=[_name(place) for place in types],
            null_values=list(MISSING) if layout.skips_missing else [],
            strings_can_be_null=layout.skips_missing,
            decimal_point=layout.decimal_point,
        ),
    }


def _name(place: int) -> str:
    """Return the name under which Arrow knows a column; headers may repeat names."""
    return f"f{place}"


def _text_times(
    file: InputFile, layout: Layout, column: pa.ChunkedArray, options: ReadOptions
) -> Times:
    commas = layout.decimal_point == "," and pa.types.is_string(column.type)
    try:
        return parse_times(
            pc.replace_substring(column, ",", ".") if commas else column, options.time_format
        )
    except AmbiguousTimesError as error:
        name = layout.columns.names[cast(int, layout.columns.time)]
        raise DataError(f"{file.label}: column {name!r}: {error.what}", error.fix) from error
    except UnreadableTimeError as error:
        diagnose(file, layout, bad_time=error.value)
        # The value was read as a number (inf, nan); read the column as text to show it as written.
        written = _written(file, layout, file.rows_before + error.row)
        diagnose(file, layout, bad_time=written)
        what, fix = time_complaint(written)
        raise DataError(f"{file.label}: {what}", fix) from error


def _written(file: InputFile, layout: Layout, row: int) -> str:
    """Return the time of a row, from 0, as the file has it."""
    for table in _Blocks(file, layout, {cast(int, layout.columns.time): pa.string()}):
        if row < len(table):
            return str(table[0][row])
        row -= len(table)
    raise IndexError(row)


def _plausible(piece: RawLog) -> bool:
    """Check ids and numbers fast; :func:`diagnose` finds the line if this fails."""
    if may_be_missing(piece.user) or may_be_missing(piece.item):
        return False
    rating, weight = piece.rating, piece.weight
    if weight is not None and not bool(np.all((weight >= 0) & np.isfinite(weight))):
        return False
    return rating is None or bool(np.isfinite(rating).all())


def _explain(file: InputFile, layout: Layout, error: Exception) -> NoReturn:
    """Raise for what Arrow refused, with the line if slow reading finds it."""
    diagnose(file, layout)
    raise DataError(
        f"{file.label}: not readable as delimited text ({error})",
        "check --sep, --encoding and the quotes",
    ) from error
