"""Bytes and text of an input file: plain, compressed, stdin, any encoding.

:meth:`InputFile.for_arrow` is the fast path; :func:`records` reads first lines and finds errors.
"""

from __future__ import annotations

import codecs
import csv
import io
import lzma
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import pyarrow as pa

from diffrec_cli.data.reading.compression import unpacked
from diffrec_cli.errors import DataError, DiffrecError, UsageError
from diffrec_cli.system_errors import exhausted, writing

#: Longest record, in bytes, and Arrow's block size; larger blocks need more memory.
MAX_RECORD = 2 << 20
#: Replaces a separator of several characters: ASCII's "unit separator".
UNIT_SEPARATOR = "\x1f"

#: The separator of columns that are apart by one blank or more.
BLANKS = "  "
_RUNS = re.compile(rb"[ \t]+")
_ENDS = re.compile(rb"^[ \t]+|[ \t]+(?=\r?$)", re.MULTILINE)

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
    rewritten
        What stands between the content and whoever reads it: a format that is turned into lines of
        another one, each in its place.
    rows_before
        Rows of the file before those that are read, which messages count.
    """

    label: str
    path: Path
    encoding: str = "utf-8"
    rewritten: Callable[[BinaryIO], Any] | None = None
    rows_before: int = 0

    def begins_with(self, magic: bytes) -> bool:
        """Tell whether these are the file's first bytes, before unpacking."""
        with self.path.open("rb") as stream:
            return stream.read(len(magic)) == magic

    def _bytes(self) -> pa.NativeFile:
        """Open the content, unpacked by what its first bytes say, and rewritten."""
        content = unpacked(self.path, self.label)
        if self.rewritten is None:
            return content
        return pa.PythonFile(self.rewritten(content), mode="r")

    def stream(self) -> BinaryIO:
        """Open the content, unpacked."""
        # NativeFile has the methods of a raw stream that BufferedReader needs, but not the class.
        binary: BinaryIO = io.BufferedReader(self._bytes())
        return binary

    def utf8(self) -> pa.NativeFile:
        """Open the content as UTF-8, whatever its encoding."""
        if _is_utf8(self.encoding):
            return self._bytes()
        return pa.transcoding_input_stream(self._bytes(), self.encoding, "utf-8")

    def first_lines(self, count: int) -> list[bytes]:
        """Return the beginnings of the first lines that are not blank."""
        with self.stream() as stream:
            beginnings = iter(lambda: stream.readline(_LOOK_AT), b"")
            return list(islice((line for line in beginnings if line.strip()), count))

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
                else "give delimited text (plain or compressed), JSON lines or Parquet",
            )

    def for_arrow(self, sep: str, header: str = "", skip: int = 0) -> FilteredBytes:
        """Return a stream of UTF-8 in which `sep` is a single byte.

        It is without lines that repeat the `header`, from line `skip` on.
        """
        header_bytes = header.encode(errors="surrogateescape")
        return FilteredBytes(self.utf8(), sep.encode(), header_bytes, skip)

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
    try:
        _check_file(path)
        plain = path.is_file()
    except OSError as error:  # its name is too long, or a directory on its way may not be entered
        raise cannot_be_read(str(path), error) from error
    if plain:
        yield InputFile(str(path), path, encoding)
        return
    with path.open("rb") as pipe, _spooled(pipe) as copy:
        yield InputFile(str(path), copy, encoding)


@contextmanager
def _spooled(stream: BinaryIO) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="diffrec-") as directory:
        copy = Path(directory) / "input"
        with writing(copy), copy.open("wb") as target:
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
        raise cannot_be_read(str(path), error) from error


def cannot_be_read(label: str, error: OSError) -> DiffrecError:
    """Return the error for an input that the system does not let us read."""
    return exhausted(error) or DataError(
        f"{label}: cannot be read ({error.strerror or error})", "check the path and its permissions"
    )


def _is_utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig", "ascii")


#: What readers of packed and typed files raise. A zip archive may ask for an unknown method.
_DAMAGE = (
    *(OSError, EOFError, NotImplementedError, pa.ArrowException),
    *(lzma.LZMAError, zipfile.BadZipFile, zlib.error),
)


@contextmanager
def damage(file: InputFile) -> Iterator[None]:
    """Turn a truncated or unreadable file into a DataError that names it."""
    try:
        yield
    except MemoryError:  # Arrow's is one of its other errors, too
        raise
    except UnicodeError as error:
        raise DataError(
            f"{file.label}: not {file.encoding} text ({error})",
            "say --encoding latin-1 (or cp1252, utf-16, ...), or convert the file to UTF-8",
        ) from error
    except _DAMAGE as error:
        if (limit := exhausted(error)) is not None:
            raise limit from error
        if isinstance(error, OSError) and error.errno is not None:
            raise cannot_be_read(file.label, error) from error
        raise DataError(
            f"{file.label}: the file is damaged or truncated ({error})",
            "copy or download it again",
        ) from error


class FilteredBytes(io.RawIOBase):
    r"""A byte stream on its way to Arrow's CSV parser.

    A separator of several bytes, unknown to Arrow, becomes one byte, and so do blanks in a row.
    Double quotes are counted: after a quote that is never closed, Arrow would silently swallow the
    rest of the file. Later lines that repeat the header, as files have that were joined, are left
    out and counted.

    Examples
    --------
    >>> FilteredBytes(io.BytesIO(b"1::2::5\n"), b"::").read(100)
    b'1\x1f2\x1f5\n'
    >>> FilteredBytes(io.BytesIO(b"u,i\n1,2\nu,i\n3,4\n"), b",", b"u,i").read(100)
    b'u,i\n1,2\n3,4\n'
    >>> FilteredBytes(io.BytesIO(b"  1   2\n"), BLANKS.encode()).read(100)
    b'1\x1f2\n'
    """

    def __init__(self, stream: BinaryIO, sep: bytes, header: bytes = b"", skip: int = 1) -> None:
        super().__init__()
        self._stream = stream
        self._sep = sep
        self._header = header
        self._again = re.compile(
            rb"^(?:\xef\xbb\xbf)?" + re.escape(header) + rb"\r?(?:\n|\Z)", re.MULTILINE
        )
        self._by_lines = bool(header) or len(sep) > 1
        self._before = skip  # lines that are left until the header has gone by
        self._held = b""  # the end of the last block: a line that has not ended yet
        self._ready = b""  # filtered, not yet asked for
        self.quotes = self.headers = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return at most `size` bytes, none at the end."""
        size = MAX_RECORD if size < 0 else size
        block = b"-"
        while block and not self._ready:
            block = self._stream.read(size)
            self._ready = self._filtered(block) if self._by_lines else block
        data, self._ready = self._ready[:size], self._ready[size:]
        self.quotes += data.count(b'"')
        return data

    def _filtered(self, block: bytes) -> bytes:
        """Return the lines that end in a block, filtered; what is left over after the last."""
        data = self._held + block
        end = data.rfind(b"\n") + 1 if block and len(data) < 2 * MAX_RECORD else len(data)
        lines, self._held = self._without_repeats(data[:end]), data[end:]
        if self._sep == BLANKS.encode():
            lines = _RUNS.sub(b" ", _ENDS.sub(b"", lines))
            return lines.replace(b" ", UNIT_SEPARATOR.encode())
        return lines.replace(self._sep, UNIT_SEPARATOR.encode()) if len(self._sep) > 1 else lines

    def _without_repeats(self, lines: bytes) -> bytes:
        """Return lines without those after the header that repeat it."""
        if not self._header:
            return lines
        start = 0
        while self._before and start < len(lines):
            start = lines.find(b"\n", start) + 1 or len(lines)
            self._before -= 1
        if self._header not in lines[start:]:
            return lines
        kept, count = self._again.subn(b"", lines[start:])
        self.headers += count
        return lines[:start] + kept

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
    text: str


def records(
    file: InputFile, sep: str, *, quoted: bool, escaped: bool = False, skip: int = 0
) -> Iterator[Record]:
    r"""Read a text file slowly: every record that is not blank, with its line number.

    Parameters
    ----------
    file
        The file.
    sep
        Separator of any length.
    quoted
        Whether double quotes hold separators and line ends together.
    escaped
        Whether a quote inside may be written as ``\"``.
    skip
        Lines at the beginning that are left out.

    Raises
    ------
    DataError
        A record is too long, or a quote is never closed.
    """
    with file.text() as text:
        lines = _Lines(text, file.label)
        for _ in islice(lines, skip):
            lines.next_record()
        for fields in _split_lines(lines, sep, quoted, escaped):
            if lines.first < lines.last and lines.at_end and lines.text.count('"') % 2:
                raise DataError(
                    f"{file.label}:{lines.first}: a quote that opens here is never closed",
                    "close it, or double a quote that belongs to the text",
                )
            if lines.text.strip("\r\n") and fields:
                yield Record(lines.first, lines.last, fields, lines.text.rstrip("\r\n"))
            lines.next_record()


def _split_lines(lines: _Lines, sep: str, quoted: bool, escaped: bool) -> Iterator[list[str]]:
    if sep == BLANKS:
        yield from (line.split() for line in lines)
        return
    if not quoted or len(sep) > 1:
        yield from (line.rstrip("\r\n").split(sep) for line in lines)
        return
    limit = csv.field_size_limit(MAX_RECORD)  # process-wide, hence put back
    try:
        yield from csv.reader(lines, delimiter=sep, escapechar="\\" if escaped else None)
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
