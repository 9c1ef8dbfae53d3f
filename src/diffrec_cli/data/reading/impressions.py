"""Impressions: what a user had read, was shown and clicked, as MIND publishes its behaviours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from diffrec_cli.config import ReadOptions
from diffrec_cli.data.reading.columns import Columns
from diffrec_cli.data.reading.diagnosis import time_complaint
from diffrec_cli.data.reading.input_file import InputFile
from diffrec_cli.data.reading.raw_log import ID_TYPE, RawLog
from diffrec_cli.data.reading.times import UnreadableTimeError, parse_times
from diffrec_cli.errors import DataError

#: Number, user, time, items read before, and items shown with 1 if clicked, apart by tabs.
_LINE = re.compile(
    r"[^\t]+\t(?P<user>[^\t]+)\t(?P<time>\d\d?/\d\d?/\d{4} \d\d?:\d\d:\d\d [AP]M)"
    r"\t(?P<before>[^\t]*)\t(?P<shown>[^\t\r\n]*)\r?\n?"
)
_TIME = "%m/%d/%Y %I:%M:%S %p"
_LOOK_AT, _ROWS_AT_A_TIME = 20, 100_000


def are_impressions(file: InputFile, options: ReadOptions) -> bool:
    """Tell whether the first lines are of this form."""
    if options.describes_columns:
        return False
    lines = file.first_lines(_LOOK_AT)
    return bool(lines) and all(_parsed(line.decode(errors="replace")) for line in lines)


def read_impressions(file: InputFile, options: ReadOptions) -> RawLog:
    """Read items that were read before, once a user, and those that were clicked.

    The former have the time of the user's earliest event: when they were read is not written.
    """
    pieces = list(_pieces(_events(file)))
    if not pieces:
        raise DataError(f"{file.label}: nothing was read or clicked", "give a file with clicks")
    user, item, time, before = (pa.chunked_array(chunks) for chunks in zip(*pieces, strict=True))
    user = user.cast(ID_TYPE)
    try:
        times = parse_times(time.cast(pa.string()), _TIME)
    except UnreadableTimeError as error:
        what, _ = time_complaint(error.value)
        where = f"{file.label}:{_line_of(file, error.value)}"
        raise DataError(f"{where}: {what}", "correct that line: month/day/year") from error
    return RawLog(
        file.label,
        user,
        item.cast(ID_TYPE),
        None,
        replace(times, values=_earliest(times.values, user, np.asarray(before))),
        Columns(("number", "user", "time", "history and impressions"), 1, 3, None, 2),
        notes=(
            "impressions: a user's history counts once, at the time of the first event, and what"
            " was clicked; what was shown alone does not",
        ),
    )


def _line_of(file: InputFile, time: str) -> int:
    """Return the number of the first line with this time, from 1."""
    with file.text() as text:
        return next(number for number, line in enumerate(text, 1) if f"\t{time}\t" in line)


def _earliest(times: Any, user: pa.ChunkedArray, before: NDArray[np.bool_]) -> Any:
    """Return the times, with each user's earliest where `before` holds."""
    unified = user.unify_dictionaries()
    codes = np.concatenate([np.asarray(chunk.indices) for chunk in unified.chunks])
    first = np.full(codes.max() + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, codes, times)
    return np.where(before, first[codes], times)


def _parsed(line: str) -> re.Match[str] | None:
    """Return the fields of a line, if it has this form."""
    found = _LINE.fullmatch(line)
    if found is None or any(word[-2:] not in ("-0", "-1") for word in found["shown"].split()):
        return None
    return found


def _events(file: InputFile) -> Iterator[tuple[str, str, str, bool]]:
    """Yield user, item, time, and whether the item was read before."""
    seen: set[str] = set()
    with file.text() as text:
        for number, line in enumerate(text, 1):
            if not line.strip():
                continue
            found = _parsed(line)
            if found is None:
                raise DataError(
                    f"{file.label}:{number}: not number, user, time, history and impressions",
                    "correct that line, or say --sep if the file is a log",
                )
            user, time = found["user"], found["time"]
            for item in [] if user in seen else found["before"].split():
                yield user, item, time, True
            seen.add(user)
            for word in found["shown"].split():
                if word.endswith("-1"):
                    yield user, word[:-2], time, False


def _pieces(events: Iterator[tuple[str, str, str, bool]]) -> Iterator[list[Any]]:
    """Yield columns of some rows at a time."""
    while rows := list(islice(events, _ROWS_AT_A_TIME)):
        *texts, before = zip(*rows, strict=True)
        yield [*(pa.array(t, pa.string()).dictionary_encode() for t in texts), pa.array(before)]
