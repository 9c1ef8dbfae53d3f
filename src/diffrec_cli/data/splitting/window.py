"""Moments: where the window of a log begins and ends, and where its test part begins."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from itertools import pairwise
from typing import cast

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.config import SplitOptions
from diffrec_cli.data.reading.log import Log
from diffrec_cli.data.reading.times import ticks_per_second
from diffrec_cli.data.splitting.rows import rows_of
from diffrec_cli.errors import DataError, UsageError

_SPAN = re.compile(r"(\d+(?:\.\d+)?)([hdw])")
_SECONDS = {"h": 3600, "d": 86_400, "w": 604_800}
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_FIX = (
    "give a date as 2025-01-31, a span before the last row as 180d, or a number as the log has it"
)


def within(log: Log, options: SplitOptions, dropped: Counter[str]) -> Log:
    """Return the rows from ``since`` on and before ``until``; count the others."""
    if log.time is None or (options.since is None and options.until is None):
        return log
    inside = np.ones(len(log), np.bool_)
    if options.since is not None:
        inside &= log.time >= moment(log, options.since, "--since")
    if options.until is not None:
        inside &= log.time < moment(log, options.until, "--until")
    dropped["outside_window"] = len(log) - int(np.count_nonzero(inside))
    if not inside.any():
        raise DataError(
            f"no row is in the window: the log's times run {_shown(log.time)}",
            "give another --since or --until",
        )
    return rows_of(log, np.flatnonzero(inside))


def moment(log: Log, text: str, option: str) -> float:
    """Return a moment as the log's times count.

    Parameters
    ----------
    log
        A log with times.
    text
        An ISO 8601 date, with or without the time of day (UTC unless it has a zone); ``180d``,
        ``12h`` or ``2w`` before the log's last row; or a number as the log has them.
    option
        Who asks, for messages.

    Raises
    ------
    DataError
        The text is none of these, or the log's times are numbers of no known unit.
    """
    times = cast(NDArray[np.number], log.time)
    ticks = ticks_per_second(times, dated=log.dated)
    if _SPAN.fullmatch(text):
        return float(times.max().item() - seconds_of(text, option) * _known(ticks, option, times))
    if not log.dated and _NUMBER.fullmatch(text):
        return float(text)
    try:
        date = dt.datetime.fromisoformat(text)
    except ValueError:
        raise DataError(f"{option} {text}: no moment", _FIX) from None
    zoned = date if date.tzinfo else date.replace(tzinfo=dt.UTC)
    microseconds = (zoned - _EPOCH) // dt.timedelta(microseconds=1)  # exact
    return microseconds * _known(ticks, option, times) / 10**6


def seconds_of(span: str, option: str) -> float:
    """Return the length of a span such as ``7d``; raise a UsageError if it is none."""
    found = _SPAN.fullmatch(span)
    if found is None or float(found[1]) == 0:
        raise UsageError(f"{option} {span}: no span of time", "for example 12h, 7d or 4w")
    return float(found[1]) * _SECONDS[found[2]]


def periods(log: Log, count: int, span: str, option: str) -> list[tuple[str, str]]:
    """Return moments between which the last periods of a log lie, oldest first, as text.

    Parameters
    ----------
    log
        A log with times.
    count
        Number of periods, one after the other; the last ends with the log.
    span
        Length of each, such as ``7d``.
    option
        Who asks, for messages.

    Returns
    -------
    The first moment of each, and the first after it, as :func:`moment` reads them. Nothing is left
    out of the last: its end is a tick after the last row.

    Raises
    ------
    UsageError
        The span is none.
    DataError
        Nothing of the log is before the first period, or its times have no known unit.
    """
    times = cast(NDArray[np.number], log.time)
    ticks = _known(ticks_per_second(times, dated=log.dated), option, times)
    length, last = seconds_of(span, option) * ticks, times.max().item()
    starts = [last - length * back for back in range(count, 0, -1)]
    if starts[0] <= times.min():
        days = (last - times.min().item()) / ticks / _SECONDS["d"]
        raise DataError(
            f"{count} periods of {span} take all of the log, which is of {days:.1f} days",
            f"ask for fewer, or give a shorter {option}",
        )
    return [(_text(a, ticks), _text(b, ticks)) for a, b in pairwise([*starts, last + 1])]


def _text(at: float, ticks: int) -> str:
    """Return a moment as text, rounded up to microseconds."""
    microseconds = -(-int(at) * 10**6 // ticks)
    return (_EPOCH + dt.timedelta(microseconds=microseconds)).isoformat()


def _known(ticks: int | None, option: str, times: NDArray[np.number]) -> int:
    if ticks is None:
        raise DataError(
            f"{option}: the log's times are numbers of no known unit, {_shown(times)}",
            f"give {option} such a number",
        )
    return ticks


def _shown(times: NDArray[np.number]) -> str:
    return f"from {times.min():.0f} to {times.max():.0f}"
