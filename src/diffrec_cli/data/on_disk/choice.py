"""Whether a log fits into memory, and how much of it is to be there at a time if not."""

from __future__ import annotations

from collections.abc import Sequence

from diffrec_cli.config import ReadOptions
from diffrec_cli.data.reading.input_file import InputFile, damage
from diffrec_cli.data.reading.parquet import is_parquet
from diffrec_cli.errors import DeviceError
from diffrec_cli.memory import available_memory
from diffrec_cli.system_errors import MORE_MEMORY

#: Bytes a row takes in memory at the peak: 50 to 85 were measured with text ids and times.
ROW_BYTES = 100
#: Bytes for each of the rows that are in memory at a time: what is left over is for ids and counts.
_AT_A_TIME = 240
#: Bytes of text for each byte of a compressed file, about.
_UNPACKED = 5
_LOOK_AT = 64 << 10
#: Bytes for what Arrow reads ahead, 32 blocks of text, and for libraries that are loaded by then.
_READING = 160 << 20
#: Bytes that sorting on disk needs; with less, NumPy and Arrow may crash.
_LEAST = 220_000_000
_FEWEST, _MOST = 50_000, 4_000_000  # rows; with more of them nothing is faster


def needed_memory(files: Sequence[InputFile]) -> int:
    """Return about how many bytes of memory the rows of these files need, read and split as one."""
    return ROW_BYTES * sum(map(_rows, files))


def rows_beyond_memory(needed: int) -> int | None:
    """Return how many rows are to be in memory at a time; ``None``: all, as they fit.

    Raises
    ------
    DeviceError
        Not even a part fits.
    """
    available = available_memory()
    if available is None or needed <= max(available, _LEAST):
        return None
    if available < _LEAST:
        raise DeviceError(
            f"{available / 1e6:.0f} MB of memory are available, and a log of this size needs"
            f" {_LEAST / 1e6:.0f} MB or more to be sorted on disk",
            MORE_MEMORY,
        )
    return min(max((available - _READING) // _AT_A_TIME, _FEWEST), _MOST)


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
    lines = max(text.count(b"\n"), 1)
    return size * lines // max(len(text), 1)
