"""Adjacency lists: a user and all their items on a line, as graph models publish their data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice

import pyarrow as pa

from diffrec_cli.config import ReadOptions
from diffrec_cli.data.reading.columns import Columns, check_options
from diffrec_cli.data.reading.input_file import InputFile
from diffrec_cli.data.reading.raw_log import ID_TYPE, RawLog
from diffrec_cli.errors import DataError

_MOST_COLUMNS = 6  # of a log
_LOOK_AT = 1_000  # lines
_LINES_AT_A_TIME = 1_000


def is_adjacency(file: InputFile, options: ReadOptions) -> bool:
    """Tell whether a file has lines of whole numbers apart by blanks, not as many in each.

    A log has as many in most lines. If all have, it takes more than a log has columns. Of a log's
    layout nothing may be said.
    """
    if options.describes_columns:
        return False
    lines = file.first_lines(_LOOK_AT)
    lengths = Counter(len(line.split()) for line in lines)
    if not lengths or any(b"\t" in line for line in lines):
        return False
    commonest, count = lengths.most_common(1)[0]
    like_a_log = 2 * count > len(lines) and commonest <= _MOST_COLUMNS
    return not like_a_log and all(word.isdigit() for line in lines for word in line.split())


def read_adjacency_log(file: InputFile, options: ReadOptions) -> RawLog:
    """Read adjacency lists; a user's items are in the order of the line."""
    users, items = zip(*_blocks(file), strict=True)
    user, item = pa.chunked_array(users, ID_TYPE), pa.chunked_array(items, ID_TYPE)
    if not len(user):
        raise DataError(f"{file.label}: users without items", "give 'user item item ...' lines")
    columns = Columns(("user", "item"), 0, 1)
    check_options(columns, options, file.label)
    note = "each line is taken as a user and their items"
    return RawLog(file.label, user, item, None, None, columns, header=False, notes=(note,))


def _blocks(file: InputFile) -> Iterator[tuple[pa.Array, pa.Array]]:
    """Yield users and items, some lines at a time."""
    with file.text() as text:
        numbered = enumerate(text, 1)
        while lines := list(islice(numbered, _LINES_AT_A_TIME)):
            words = [_words(file, number, line) for number, line in lines]
            users = [user for user, *items in filter(None, words) for _ in items]
            items = [item for _, *items in filter(None, words) for item in items]
            yield _encoded(users), _encoded(items)


def _words(file: InputFile, number: int, line: str) -> list[str]:
    words = line.split()
    if not all(map(str.isdigit, words)):
        raise DataError(
            f"{file.label}:{number}: not only whole numbers, as in the lines before",
            "correct that line, or say --sep if the file is a log",
        )
    return words


def _encoded(ids: list[str]) -> pa.Array:
    return pa.array(ids, pa.string()).dictionary_encode()
