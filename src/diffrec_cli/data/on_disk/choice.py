"""Whether a log fits into memory, and how much of it is to be there at a time if not."""

from __future__ import annotations

from collections.abc import Sequence

from diffrec_cli.config import ReadOptions
from diffrec_cli.data.reading.input_file import InputFile, damage
from diffrec_cli.data.reading.parquet import is_parquet
from diffrec_cli.memory import available_memory

#: Bytes a row takes in memory at the peak, as measured with users, items, ratings and times.
ROW_BYTES = 120
#: Bytes of text for each byte of a compressed file, about.
_UNPACKED = 5
_LOOK_AT = 64 << 10
_FEWEST, _MOST = 50_000, 4_000_000  # rows; with more of them nothing is faster


def needed_memory(files: Sequence[InputFile]) -> int:
    """Return about how many bytes of memory the rows of these files need, read and split as one."""
    return ROW_BYTES * sum(map(_rows, files))


def rows_beyond_memory(needed: int) -> int | None:
    """Return how many rows are to be in memory at a time; ``None``: all, as they fit."""
    available = available_memory()
    if available is None or needed <= available:
        return None
    # Half is for ids and counts of users and items.
    return min(max(available // (2 * ROW_BYTES), _FEWEST), _MOST)


def _rows(file: InputFile) -> int:
    with damage(file):
        if is_parquet(file, ReadOptions()):
            import pyarrow.parquet as pq

            return int(pq.read_metadata(file.path).num_rows)
        with file.stream() as content:
            text = content.read(_LOOK_AT)
    size = file.path.stat().st_size
    if not file.begins_with(text):
        size *= _UNPACKED
    lines = text.count(b"\n") + 1
    return size * lines // max(len(text), 1)
