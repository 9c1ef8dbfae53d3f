"""Logs and item tables from typed columns, as Parquet and JSON lines have them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from diffrec_cli.config import ReadOptions
from diffrec_cli.data.reading import columns as roles
from diffrec_cli.data.reading.columns import Columns
from diffrec_cli.data.reading.diagnosis import time_complaint
from diffrec_cli.data.reading.input_file import InputFile
from diffrec_cli.data.reading.items import arrange, item_places
from diffrec_cli.data.reading.missing import FIX, MISSING, may_be_missing, without_missing
from diffrec_cli.data.reading.raw_log import ID_TYPE, NoRowsError, RawLog
from diffrec_cli.data.reading.times import (
    AmbiguousTimesError,
    Times,
    UnreadableTimeError,
    parse_times,
)
from diffrec_cli.errors import DataError

_UUID_BYTES = 16


def log_of_table(
    table: pa.Table, names: Sequence[str], columns: Columns, file: InputFile, options: ReadOptions
) -> RawLog:
    """Return the rows of a table as a log.

    Parameters
    ----------
    table
        The columns that have a role; others may be missing.
    names
        Names of all columns of the file.
    columns
        Their roles.
    file, options
        The file, for messages, and how to read times.

    Raises
    ------
    DataError
        The table has no rows, or a value is no id, rating or time.
    """
    missing = 0
    if options.missing == "skip":
        table, missing = without_missing(table)
    if not table.num_rows:
        raise NoRowsError(file.label)
    return replace(log_of_rows(table, names, columns, file, options), missing=missing)


def log_of_rows(
    table: pa.Table, names: Sequence[str], columns: Columns, file: InputFile, options: ReadOptions
) -> RawLog:
    """Return the rows of a table that misses no value, as :func:`log_of_table` does."""
    roles.check_options(columns, options, file.label)

    def column(role: str) -> pa.ChunkedArray | None:
        place = columns.position(role)
        return None if place is None else table[names[place]]

    return RawLog(
        label=file.label,
        user=_ids(table[names[columns.user]], names[columns.user], file),
        item=_ids(table[names[columns.item]], names[columns.item], file),
        rating=_ratings(column("rating"), columns, file),
        times=_times(column("time"), columns, file, options),
        columns=columns,
        events=None if columns.event is None else _kinds(column("event")),
        weight=_weights(column("weight"), columns, file),
    )


def items_of_table(
    table: pa.Table, file: InputFile, options: ReadOptions, log_column: str | None
) -> pa.Table:
    """Return an item table; all values become text."""
    places = item_places(table.column_names, options, log_column, file.label)
    name = table.column_names[places[0]]
    ids = _ids(table.column(places[0]), name, file).cast(pa.string())
    columns = [_as_strings(column) for column in table.columns]
    for column, title in zip(columns, table.column_names, strict=True):
        _check_text(column, title, file)
    columns[places[0]] = ids
    return arrange(columns, table.column_names, places)


def _as_strings(column: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # lists, structs
        values = [None if v is None else json.dumps(v, default=str) for v in column.to_pylist()]
        return pa.chunked_array([pa.array(values, pa.string())])


def _ids(column: pa.ChunkedArray, name: str, file: InputFile) -> pa.ChunkedArray:
    """Return a column of text, whole numbers or bytes as ids; refuse empty ones."""
    kind = column.type
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not pa.types.is_dictionary(kind) or not (_is_text(value) or pa.types.is_integer(value)):
        column = _plain_ids(column.cast(value), value, name, file).dictionary_encode()
    column = column.cast(ID_TYPE)
    for chunk in column.chunks:
        _check_text(chunk.dictionary, name, file)
    if may_be_missing(column):
        words = pa.array(MISSING, pa.string())
        missing = pc.fill_null(pc.is_in(column.cast(pa.string()), value_set=words), True)
        missing = pc.or_(missing, pc.is_null(column))
        _refuse_row(np.asarray(missing), name, "an empty id", FIX, file)
    return column


def _check_text(texts: Any, name: str, file: InputFile) -> None:
    """Refuse bytes that are no text: writers of Parquet need not check them."""
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid as error:
        raise DataError(
            f"{file.label}: column {name!r}: bytes that are not UTF-8 text",
            "write the column as UTF-8 text, or as binary",
        ) from error


def _plain_ids(column: pa.ChunkedArray, kind: Any, name: str, file: InputFile) -> pa.ChunkedArray:
    """Return ids that Arrow can encode: text, or whole numbers."""
    if _is_text(kind) or pa.types.is_integer(kind):
        return column
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return _text_of_bytes(column)
    if pa.types.is_fixed_size_binary(kind):
        return _text_of_bytes(column.cast(pa.binary()))
    try:
        if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            return column.cast(pa.int64())  # a missing value turns whole numbers into these
    except pa.ArrowInvalid:
        pass
    raise DataError(
        f"{file.label}: column {name!r} holds {kind}, not ids",
        "ids must be text or whole numbers",
    )


def _text_of_bytes(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return bytes as text if they are, otherwise as a UUID or in hexadecimal digits."""
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        encoded = column.combine_chunks().dictionary_encode()
        texts = [None if v is None else _digits(v) for v in encoded.dictionary.to_pylist()]
        return pa.chunked_array([pa.array(texts, pa.string()).take(encoded.indices)])


def _digits(value: bytes) -> str:
    return str(uuid.UUID(bytes=value)) if len(value) == _UUID_BYTES else value.hex()


def _is_text(kind: Any) -> bool:
    views = getattr(pa.types, "is_string_view", lambda _: False)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or views(kind))


def _ratings(
    column: pa.ChunkedArray | None, columns: Columns, file: InputFile
) -> NDArray[np.float32] | None:
    if column is None or columns.rating is None:
        return None
    name, what = columns.names[columns.rating], "a rating (a finite number)"
    return _numbers(column, name, "rating", what, -np.inf, file)


def _weights(
    column: pa.ChunkedArray | None, columns: Columns, file: InputFile
) -> NDArray[np.float32] | None:
    if column is None or columns.weight is None:
        return None
    name, what = columns.names[columns.weight], "a count (a finite number of 0 or more)"
    return _numbers(column, name, "weight", what, 0.0, file)


def _numbers(
    column: pa.ChunkedArray, name: str, role: str, what: str, least: float, file: InputFile
) -> NDArray[np.float32]:
    """Return a column of finite numbers, none below `least`; others are not `what`."""
    fix = f"correct that row, or give another --{role}-col"
    try:
        numbers = np.asarray(column.cast(pa.float32(), safe=False))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(f"{file.label}: column {name!r}: not {role}s ({error})", fix) from error
    bad = ~((numbers >= least) & np.isfinite(numbers))
    if bad.any():
        value = column[int(bad.argmax())].as_py()
        _refuse_row(bad, name, f"{value!r} is not {what}", fix, file)
    return numbers


def _kinds(column: Any) -> pa.ChunkedArray:
    """Return a column of kinds of events as texts, encoded."""
    kind = column.type
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    return column.cast(value).cast(pa.string()).dictionary_encode().cast(ID_TYPE)


def _times(
    column: pa.ChunkedArray | None, columns: Columns, file: InputFile, options: ReadOptions
) -> Times | None:
    if column is None or columns.time is None:
        return None
    name = columns.names[columns.time]
    try:
        return parse_times(column, options.time_format)
    except AmbiguousTimesError as error:
        raise DataError(f"{file.label}: column {name!r}: {error.what}", error.fix) from error
    except UnreadableTimeError as error:
        what, fix = time_complaint(error.value)
        where = f"{file.label}: row {file.rows_before + error.row + 1}: column {name!r}"
        raise DataError(f"{where}: {what}", fix) from error
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"{file.label}: column {name!r}: no times ({error})", "give another --time-col"
        ) from error


def _refuse_row(bad: NDArray[np.bool_], name: str, what: str, fix: str, file: InputFile) -> None:
    if bad.any():
        row = file.rows_before + int(bad.argmax()) + 1
        raise DataError(f"{file.label}: row {row}: column {name!r}: {what}", fix)
