"""Blocks: a line ``ITEM:`` and, below it, rows without the item, as of the Netflix prize."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import BinaryIO

from diffrec_cli.config import ReadOptions
from diffrec_cli.data.reading.columns import is_date
from diffrec_cli.data.reading.delimited import read_text_log, read_text_pieces
from diffrec_cli.data.reading.input_file import MAX_RECORD, InputFile
from diffrec_cli.data.reading.raw_log import RawLog
from diffrec_cli.data.reading.separators import find_separators, split_line

_ITEM = re.compile(rb"^([^\s,:;|]+):[ \t]*\r?$", re.MULTILINE)
_ROW = re.compile(rb"^(?=[^\r\n])", re.MULTILINE)
_NOTE = "each line that ends in a colon is taken as the item of the rows below it, column 1"


def is_blocks(file: InputFile, options: ReadOptions) -> bool:
    """Tell whether a file begins with a line ``ITEM:``, and a row of fields below it."""
    lines = [line.removeprefix(codecs.BOM_UTF8).rstrip(b"\r\n") for line in file.first_lines(2)]
    if [bool(_ITEM.match(line)) for line in lines] != [True, False]:
        return False
    return bool(options.sep or find_separators(lines[1].decode(errors="replace"), ReadOptions()))


def read_block_log(file: InputFile, options: ReadOptions) -> RawLog:
    """Read blocks as a log whose first column is the item.

    A user, a rating and a time follow, as many as there are. Lines keep their numbers.
    """
    log = read_text_log(*_in_rows(file, options))
    return replace(log, notes=(*log.notes, _NOTE))


def read_block_pieces(file: InputFile, options: ReadOptions) -> Iterator[RawLog]:
    """Yield what :func:`read_block_log` reads, some rows at a time."""
    for log in read_text_pieces(*_in_rows(file, options)):
        yield replace(log, notes=(*log.notes, _NOTE))


def _in_rows(file: InputFile, options: ReadOptions) -> tuple[InputFile, ReadOptions]:
    """Return the file with rows instead of blocks, and how to read these."""
    row = file.first_lines(2)[1].decode(errors="replace").strip("\r\n")
    sep = options.sep or find_separators(row, ReadOptions())[0]
    rest = split_line(row, sep)[1:]  # after the user
    roles = ("time_col",) if rest and is_date(rest[0]) else ("rating_col", "time_col")
    places = dict(zip(roles[: len(rest)], ("3", "4"), strict=False))
    in_rows = replace(
        options,
        sep=sep,
        header=False,
        item_col=options.item_col or "1",
        user_col=options.user_col or "2",
        rating_col=options.rating_col or places.get("rating_col"),
        time_col=options.time_col or places.get("time_col"),
    )
    return replace(file, rewritten=partial(_Rows, sep=sep.encode())), in_rows


class _Rows(io.RawIOBase):
    r"""Blocks as rows that begin with their item; its own line becomes a blank one.

    Examples
    --------
    >>> _Rows(io.BytesIO(b"7:\nann,5\nbob,4\n8:\nann,3\n"), b",").read(100)
    b'\n7,ann,5\n7,bob,4\n\n8,ann,3\n'
    """

    def __init__(self, stream: BinaryIO, sep: bytes) -> None:
        super().__init__()
        self._stream, self._sep = stream, sep
        self._item = b""
        self._held = b""  # the end of the last block: a line that has not ended yet
        self._ready = b""

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return at most `size` bytes, none at the end."""
        size = MAX_RECORD if size < 0 else size
        block = b"-"
        while block and not self._ready:
            block = self._stream.read(MAX_RECORD)
            data = self._held + block
            end = data.rfind(b"\n") + 1 if block else len(data)
            self._ready, self._held = self._as_rows(data[:end]), data[end:]
        data, self._ready = self._ready[:size], self._ready[size:]
        return data

    def _as_rows(self, lines: bytes) -> bytes:
        if not self._item:
            lines = lines.removeprefix(codecs.BOM_UTF8)
        below, *others = _ITEM.split(lines)
        rows = [self._with_item(below)]
        for self._item, below in zip(others[::2], others[1::2], strict=True):
            rows.append(self._with_item(below))
        return b"".join(rows)

    def _with_item(self, rows: bytes) -> bytes:
        before = (self._item + self._sep).replace(b"\\", rb"\\")  # a template
        return _ROW.sub(before, rows) if self._item else rows

    def close(self) -> None:
        """Close the stream below."""
        self._stream.close()
        super().close()
