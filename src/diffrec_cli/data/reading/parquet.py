"""Parquet: typed columns; messages name the row."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from diffrec_cli.config import ReadOptions
from diffrec_cli.data.reading import columns as roles
from diffrec_cli.data.reading.columns import Columns
from diffrec_cli.data.reading.diagnosis import time_complaint
from diffrec_cli.data.reading.input_file import InputFile
from diffrec_cli.data.reading.items import arrange, item_places
from diffrec_cli.data.reading.raw_log import ID_TYPE, RawLog, may_be_empty
from diffrec_cli.data.reading.times import (
    AmbiguousTimesError,
    Times,
    UnreadableTimeError,
    parse_times,
)
from diffrec_cli.errors import DataError


def is_parquet(file: InputFile) -> bool:
    """Tell whether a file begins as Parquet does."""
    return file.begins_with(b"PAR1")


def read_parquet_log(file: InputFile, options: ReadOptions) -> RawLog:
    """Read a log in Parquet; ids may be text or whole numbers."""
    names = pq.read_schema(file.path).names
    columns = roles.named_columns(names, options, file.label)
    roles.check_options(columns, options, file.label)
    wanted = [columns.position(role) for role in roles.ROLES]
    table = pq.read_table(
        file.path,
        columns=[names[p] for p in wanted if p is not None],
        read_dictionary=[names[columns.user], names[columns.item]],
    )
    if not table.num_rows:
        raise DataError(f"{file.label}: no rows", "give a file with data")

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
    )


def read_parquet_items(file: InputFile, options: ReadOptions, log_column: str | None) -> pa.Table:
    """Read an item table in Parquet; all values become text."""
    table = pq.read_table(file.path)
    places = item_places(table.column_names, options, log_column, file.label)
    name = table.column_names[places[0]]
    ids = _ids(table.column(places[0]), name, file).cast(pa.string())
    columns = [_as_strings(column) for column in table.columns]
    columns[places[0]] = ids
    return arrange(columns, table.column_names, places)


def _as_strings(column: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # lists, structs
        values = [None if v is None else json.dumps(v, default=str) for v in column.to_pylist()]
        return pa.chunked_array([pa.array(values, pa.string())])


def _ids(column: pa.ChunkedArray, name: str, file: InputFile) -> pa.ChunkedArray:
    """Return a column of text or whole numbers as ids; refuse empty ones."""
    kind = column.type
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    text = pa.types.is_string(value) or pa.types.is_large_string(value)
    if not text and not pa.types.is_integer(value):
        raise DataError(
            f"{file.label}: column {name!r} holds {value}, not ids",
            "ids must be text or whole numbers",
        )
    if not pa.types.is_dictionary(kind):
        column = column.dictionary_encode()
    column = column.cast(ID_TYPE)
    if may_be_empty(column):
        is_empty = pc.fill_null(pc.equal(column.cast(pa.string()), ""), True)
        fix = "give every row a user and an item"
        _refuse_row(np.asarray(is_empty), name, "an empty id", fix, file)
    return column


def _ratings(
    column: pa.ChunkedArray | None, columns: Columns, file: InputFile
) -> NDArray[np.float32] | None:
    if column is None or columns.rating is None:
        return None
    name = columns.names[columns.rating]
    fix = "correct that row, or give another --rating-col"
    try:
        rating = np.asarray(column.cast(pa.float32(), safe=False))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(f"{file.label}: column {name!r}: not ratings ({error})", fix) from error
    bad = ~np.isfinite(rating)
    if bad.any():
        what = f"{column[int(bad.argmax())].as_py()!r} is not a rating (a finite number)"
        _refuse_row(bad, name, what, fix, file)
    return rating


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
        where = f"{file.label}: row {error.row + 1}: column {name!r}"
        raise DataError(f"{where}: {what}", fix) from error
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"{file.label}: column {name!r}: no times ({error})", "give another --time-col"
        ) from error


def _refuse_row(bad: NDArray[np.bool_], name: str, what: str, fix: str, file: InputFile) -> None:
    if bad.any():
        row = int(bad.argmax()) + 1
        raise DataError(f"{file.label}: row {row}: column {name!r}: {what}", fix)
