"""Bytes and text of an input file: plain, gzip, stdin, any encoding.

:meth:`InputFile.for_arrow` is the fast path; :func:`records` reads first lines and finds errors.
"""

from __future__ import annotations

import codecs
import csv
import io
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn

import pyarrow as pa

from diffrec_cli.errors import DataError, UsageError

#: Longest record, in bytes, and Arrow's block size; larger blocks need more memory.
MAX_RECORD = 2 << 20
#: Replaces a separator of several characters: ASCII's "unit separator".
UNIT_SEPARATOR = "\x1f"

_GZIP_MAGIC = b"\x1f\x8b"
_LOOK_AT = 64 << 10  # bytes at the beginning that show whether it is text
_WIDE_BOMS = {  # longest first: UTF-32's begins with UTF-16's
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@dataclass(frozen=True, slots=True)
class InputFile:
    """An input that can be read as often as needed.

    Parameters
    ----------
    label
        How messages call it.
    path
        A regular file.
    encoding
        Text encoding, as given.
    """

    label: str
    path: Path
    encoding: str = "utf-8"

    @property
    def is_gzip(self) -> bool:
        """Whether the file begins as gzip does."""
        return self.begins_with(_GZIP_MAGIC)

    def begins_with(self, magic: bytes) -> bool:
        """Tell whether these are the file's first bytes, before unpacking."""
        with self.path.open("rb") as stream:
            return stream.read(len(magic)) == magic

    def _bytes(self) -> pa.NativeFile:
        # Not pa.OSFile: after an error Arrow's threads read on, by then another file's descriptor.
        stream = pa.PythonFile(self.path.open("rb"), mode="r")
        return pa.CompressedInputStream(stream, "gzip") if self.is_gzip else stream

    def stream(self) -> BinaryIO:
        """Open the content, unpacked."""
        # NativeFile has the methods of a raw stream that BufferedReader needs, but not the class.
        binary: BinaryIO = io.BufferedReader(self._bytes())
        return binary

    def refuse_binary(self) -> None:
        """Raise a DataError if the content cannot be text of its encoding."""
        if codecs.lookup(self.encoding).name.startswith(("utf-16", "utf-32")):
            return  # their letters have zero bytes
        with self.stream() as stream:
            start = stream.read(_LOOK_AT)
        if b"\0" in start:
            wide = next((name for bom, name in _WIDE_BOMS.items() if start.startswith(bom)), None)
            raise DataError(
                f"{self.label}: not a text file (it has zero bytes)",
                f"say --encoding {wide}"
                if wide
                else "give delimited text (plain or gzip) or Parquet",
            )

    def for_arrow(self, sep: str) -> FilteredBytes:
        """Return a stream of UTF-8 in which `sep` is a single byte."""
        stream = self._bytes()
        if not _is_utf8(self.encoding):
            stream = pa.transcoding_input_stream(stream, self.encoding, "utf-8")
        return FilteredBytes(stream, sep.encode())

    @contextmanager
    def text(self) -> Iterator[io.TextIOWrapper]:
        """Open as text, with surrogates for bytes that are not of the encoding."""
        encoding = "utf-8-sig" if _is_utf8(self.encoding) else self.encoding
        with io.TextIOWrapper(
            self.stream(), encoding, errors="surrogateescape", newline=""
        ) as stream:
            yield stream


@contextmanager
def open_input(
    path: str | Path, encoding: str = "utf-8", stdin: BinaryIO | None = None
) -> Iterator[InputFile]:
    """Make an input readable more than once; stdin and pipes are copied to a temporary file.

    Raises
    ------
    DataError
        There is no such file, or it is a directory, or it cannot be read.
    UsageError
        The encoding is unknown, or ``-`` was given without a stdin.
    """
    _check_encoding(encoding)
    if str(path) == "-":
        if stdin is None:
            raise UsageError("'-' was given but there is no stdin to read", "give a file")
        with _spooled(stdin) as copy:
            yield InputFile("<stdin>", copy, encoding)
        return
    path = Path(path)
    _check_file(path)
    if path.is_file():
        yield InputFile(str(path), path, encoding)
        return
    with path.open("rb") as pipe, _spooled(pipe) as copy:
        yield InputFile(str(path), copy, encoding)


@contextmanager
def _spooled(stream: BinaryIO) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="diffrec-") as directory:
        copy = Path(directory) / "input"
        with copy.open("wb") as target:
            shutil.copyfileobj(stream, target, 1 << 20)
        yield copy


def _check_encoding(encoding: str) -> None:
    try:
        is_text = codecs.lookup(encoding)._is_text_encoding  # not rot13, hex, zlib, ...
    except (LookupError, ValueError):
        is_text = False
    if not is_text:
        raise UsageError(
            f"unknown text encoding {encoding!r}", "say --encoding utf-8, latin-1, cp1252, ..."
        )


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise DataError(
            f"{path}: a directory, and not one with train_list.npy, valid_list.npy and "
            "test_list.npy",
            "give the log file itself (or several files)",
        )
    if not path.exists():
        raise DataError(f"{path}: no such file", "check the path")
    if not path.is_file():
        return  # a pipe: opening and closing it would end its writer
    try:
        path.open("rb").close()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror or error})", "check its permissions"
        ) from error


def _is_utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig", "ascii")


@contextmanager
def damage(file: InputFile) -> Iterator[None]:
    """Turn a truncated or unreadable file into a DataError that names it."""
    try:
        yield
    except UnicodeError as error:
        raise DataError(
            f"{file.label}: not {file.encoding} text ({error})",
            "say --encoding latin-1 (or cp1252, utf-16, ...), or convert the file to UTF-8",
        ) from error
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            f"{file.label}: the file is damaged or truncated ({error})",
            "copy or download it again",
        ) from error


class FilteredBytes(io.RawIOBase):
    r"""A byte stream on its way to Arrow's CSV parser.

    A separator of several bytes, unknown to Arrow, becomes one byte. Double quotes are counted:
    after a quote that is never closed, Arrow would silently swallow the rest of the file.

    Examples
    --------
    >>> FilteredBytes(io.BytesIO(b"1::2::5\n"), b"::").read(100)
    b'1\x1f2\x1f5\n'
    """

    def __init__(self, stream: BinaryIO, sep: bytes) -> None:
        super().__init__()
        self._stream = stream
        self._sep = sep if len(sep) > 1 else b""
        self._held = b""  # the end of the last block, which may begin a separator
        self._ready = b""  # filtered, not yet asked for
        self.quotes = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return at most `size` bytes, none at the end."""
        size = MAX_RECORD if size < 0 else size
        block = b"-"
        while block and not self._ready:
            block = self._stream.read(size)
            self._ready = self._replace(block) if self._sep else block
        data, self._ready = self._ready[:size], self._ready[size:]
        self.quotes += data.count(b'"')
        return data

    def _replace(self, block: bytes) -> bytes:
        data = (self._held + block).replace(self._sep, UNIT_SEPARATOR.encode())
        sizes = range(len(self._sep) - 1, 0, -1) if block else range(0)
        held = next((size for size in sizes if data.endswith(self._sep[:size])), 0)
        self._held = data[len(data) - held :]
        return data[: len(data) - held]

    def close(self) -> None:
        """Close the stream below."""
        self._stream.close()
        super().close()


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a text file, with the physical lines it spans (from 1)."""

    first_line: int
    last_line: int
    fields: list[str]


def records(file: InputFile, sep: str, *, quoted: bool) -> Iterator[Record]:
    """Read a text file slowly: every record that is not blank, with its line number.

    Parameters
    ----------
    file
        The file.
    sep
        Separator of any length.
    quoted
        Whether double quotes hold separators and line ends together.

    Raises
    ------
    DataError
        A record is too long, or a quote is never closed.
    """
    with file.text() as text:
        lines = _Lines(text, file.label)
        for fields in _split_lines(lines, sep, quoted):
            if lines.first < lines.last and lines.at_end and lines.text.count('"') % 2:
                raise DataError(
                    f"{file.label}:{lines.first}: a quote that opens here is never closed",
                    "close it, or double a quote that belongs to the text",
                )
            if lines.text.strip("\r\n"):
                yield Record(lines.first, lines.last, fields)
            lines.next_record()


def _split_lines(lines: _Lines, sep: str, quoted: bool) -> Iterator[list[str]]:
    if not quoted or len(sep) > 1:
        yield from (line.rstrip("\r\n").split(sep) for line in lines)
        return
    limit = csv.field_size_limit(MAX_RECORD)  # process-wide, hence put back
    try:
        yield from csv.reader(lines, delimiter=sep)
    finally:
        csv.field_size_limit(limit)


class _Lines:
    """Numbered physical lines of a text, and those of the current record."""

    def __init__(self, stream: io.TextIOWrapper, label: str) -> None:
        self._stream = stream
        self._label = label
        self.first = 1
        self.last = 0
        self.text = ""
        self.at_end = False

    def next_record(self) -> None:
        self.first = self.last + 1
        self.text = ""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        room = MAX_RECORD - len(self.text)
        line = self._stream.readline(room + 1)
        if len(line) > room:
            self._refuse(len(self.text) + len(line))
        if not line:
            self.at_end = True
            raise StopIteration
        self.text += line
        self.last += 1
        return line

    def _refuse(self, size: int) -> NoReturn:
        while rest := self._stream.readline(MAX_RECORD):
            size += len(rest)
            if rest.endswith(("\n", "\r")):
                break
        raise DataError(
            f"{self._label}:{self.first}: a line of {size / 1e6:.1f} MB; "
            f"the longest allowed is {MAX_RECORD >> 20} MiB",
            "check that the file is a text log, and that no quote is left open on that line",
        )
