"""A file's rows piece by piece, for logs that are larger than memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pyarrow as pa

from diffrec_cli.config import ReadOptions
from diffrec_cli.data.reading.input_file import InputFile
from diffrec_cli.data.reading.missing import without_missing
from diffrec_cli.data.reading.raw_log import NoRowsError, RawLog

#: Reads some rows of a file, given how many rows were before.
Reader = Callable[[pa.Table, int], RawLog]


def pieces_of(
    tables: Iterator[pa.Table], read: Reader, file: InputFile, options: ReadOptions
) -> Iterator[RawLog]:
    """Yield the rows of tables as logs of one or more rows.

    Parameters
    ----------
    tables
        The columns that have a role, some rows at a time.
    read
        Makes a log of a table without missing values.
    file, options
        The file, for messages, and what to do with missing values.

    Returns
    -------
    The pieces, in order. The last one has no rows: it tells of those that were left out at the end.

    Raises
    ------
    NoRowsError
        There are no rows, or each misses a value.
    """
    last, rows, missing = None, 0, 0
    for table in tables:
        if options.missing == "skip":
            table, count = without_missing(table)
            missing += count
        if len(table):
            last = replace(read(table, rows), missing=missing)
            rows, missing = rows + len(table), 0
            yield last
    if last is None:
        raise NoRowsError(file.label)
    yield replace(last.without_rows(), missing=missing)
