"""Parquet: typed columns; messages name the row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq

from diffrec_cli.config import ReadOptions
from diffrec_cli.config.options import ROLES
from diffrec_cli.data.reading import columns as roles
from diffrec_cli.data.reading.input_file import InputFile
from diffrec_cli.data.reading.piecewise import pieces_of
from diffrec_cli.data.reading.raw_log import RawLog
from diffrec_cli.data.reading.typed import items_of_table, log_of_rows, log_of_table

_PIECE_ROWS = 64 << 10
_BUFFER = 1 << 20  # bytes of a column that are read at once, not all of a row group


def is_parquet(file: InputFile, options: ReadOptions) -> bool:
    """Tell whether a file begins as Parquet does."""
    return file.begins_with(b"PAR1")


def read_parquet_log(file: InputFile, options: ReadOptions) -> RawLog:
    """Read a log in Parquet; ids may be text or whole numbers."""
    names = pq.read_schema(file.path).names
    columns = roles.named_columns(names, options, file.label)
    wanted = [columns.position(role) for role in ROLES]
    table = pq.read_table(
        file.path,
        columns=[names[p] for p in wanted if p is not None],
        read_dictionary=[names[columns.user], names[columns.item]],
    )
    return log_of_table(table, names, columns, file, options)


def read_parquet_pieces(file: InputFile, options: ReadOptions) -> Iterator[RawLog]:
    """Yield a log in Parquet, some rows at a time."""
    names = pq.read_schema(file.path).names
    columns = roles.named_columns(names, options, file.label)
    wanted = [names[p] for role in ROLES if (p := columns.position(role)) is not None]

    def tables() -> Iterator[pa.Table]:
        # Ids are not read as dictionaries: each batch would have that of the whole row group.
        with pq.ParquetFile(file.path, buffer_size=_BUFFER) as content:
            for group in range(content.num_row_groups):  # what is read of one is held to its end
                batches = content.iter_batches(
                    _PIECE_ROWS, row_groups=[group], columns=wanted, use_threads=False
                )
                yield from (pa.Table.from_batches([batch]) for batch in batches)

    def read(table: pa.Table, before: int) -> RawLog:
        return log_of_rows(table, names, columns, replace(file, rows_before=before), options)

    yield from pieces_of(tables(), read, file, options)


def read_parquet_items(file: InputFile, options: ReadOptions, log_column: str | None) -> pa.Table:
    """Read an item table in Parquet; all values become text."""
    return items_of_table(pq.read_table(file.path), file, options, log_column)
