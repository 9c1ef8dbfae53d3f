"""Writing tables piece by piece, in bounded memory: CSV, JSON lines, Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from diffrec_cli.data.arrow import strings
from diffrec_cli.errors import UsageError
from diffrec_cli.files import check_user_file, user_file

_COMMA, _QUOTE, _NOTHING = strings([",", '"', ""])
FORMATS = ("csv", "jsonl", "parquet")


def format_of(path: Path) -> str:
    """Return the format that a file's name asks for.

    Raises
    ------
    UsageError
        The name has no known ending.
    """
    suffix = path.suffix.lower().lstrip(".")
    if suffix in ("jsonl", "ndjson"):
        return "jsonl"
    if suffix not in FORMATS:
        raise UsageError(
            f"{path}: unknown kind of file", "end its name in .csv, .jsonl or .parquet"
        )
    return suffix


def check_target(path: Path) -> str:
    """Return the format of a file to be written; call it before long work.

    Raises
    ------
    UsageError
        Its name has no known ending, it is a directory, or its directory is missing.
    """
    check_user_file(path)
    return format_of(path)


class CsvWriter:
    """CSV with one header; fields are quoted only where they must be."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream, self.header_written = stream, False

    def write(self, table: pa.Table) -> None:
        """Write the rows of a table, and the header before the first."""
        if not self.header_written:
            self.stream.write((",".join(table.column_names) + "\n").encode())
            self.header_written = True
        if table.num_rows:
            fields = [_csv_field(column.combine_chunks()) for column in table.columns]
            lines = pc.binary_join_element_wise(*fields, _COMMA)
            self.stream.write(("\n".join(lines.to_pylist()) + "\n").encode())

    def close(self) -> None:
        """Flush the stream."""
        self.stream.flush()


def _csv_field(column: Any) -> Any:
    """Return a column as text, quoted only if needed (Arrow quotes every string); lists as JSON."""
    if pa.types.is_nested(column.type):
        column = strings([json.dumps(value, ensure_ascii=False) for value in column.to_pylist()])
    text = pc.cast(column, pa.string())
    text = pc.fill_null(text, _NOTHING) if text.null_count else text
    special = pc.match_substring_regex(text, '[",\r\n]')
    if not pc.any(special).as_py():
        return text
    doubled = pc.replace_substring(text, '"', '""')
    return pc.if_else(special, pc.binary_join_element_wise(_QUOTE, doubled, _QUOTE, _NOTHING), text)


class JsonLinesWriter:
    """One JSON object a row."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream

    def write(self, table: pa.Table) -> None:
        """Write the rows of a table."""
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in table.to_pylist())
        self.stream.write("".join(lines).encode())

    def close(self) -> None:
        """Flush the stream."""
        self.stream.flush()


class ParquetWriter:
    """Parquet with one row group a table."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.writer: Any = None

    def write(self, table: pa.Table) -> None:
        """Write the rows of a table."""
        import pyarrow.parquet as pq

        if self.writer is None:
            self.writer = pq.ParquetWriter(self.stream, table.schema)
        self.writer.write_table(table)

    def close(self) -> None:
        """Write the footer."""
        if self.writer is not None:
            self.writer.close()

    def abandon(self) -> None:
        """Leave out the footer, which Arrow else writes when it tidies up."""
        if self.writer is not None:
            self.writer.is_open = False


WRITERS: dict[str, type[CsvWriter] | type[JsonLinesWriter] | type[ParquetWriter]] = {
    "csv": CsvWriter,
    "jsonl": JsonLinesWriter,
    "parquet": ParquetWriter,
}


def write_file(path: Path, tables: Iterable[pa.Table], *, overwrite: bool = True) -> None:
    """Write tables to a file, atomically, in the format of its name.

    Raises
    ------
    UsageError
        The name has no known ending, or the file cannot be written, see :func:`~.files.user_file`.
    """
    form = format_of(path)
    with user_file(path, overwrite=overwrite) as stream:
        write_stream(stream, form, tables)


def write_stream(stream: BinaryIO, form: str, tables: Iterable[pa.Table]) -> None:
    """Write tables to a stream as ``csv``, ``jsonl`` or ``parquet``, flushed after each."""
    writer = WRITERS[form](stream)
    try:
        for table in tables:
            writer.write(table)
            stream.flush()
        writer.close()
    except BaseException:
        if isinstance(writer, ParquetWriter):
            writer.abandon()
        raise
