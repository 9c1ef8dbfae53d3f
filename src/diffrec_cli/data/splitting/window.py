"""Moments: where the window of a log begins and ends, and where its test part begins."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.config import SplitOptions
from diffrec_cli.data.reading.log import Log
from diffrec_cli.data.reading.times import ticks_per_second
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
    rows = Window.of(log, options).rows(log)
    if rows is None:
        return log
    dropped["outside_window"] = len(log) - len(rows)
    if not len(rows):
        raise nothing_inside(log)
    return log.take(rows)


@dataclass(frozen=True, slots=True)
class Window:
    """Moments between which a log counts, as its times count them; ``None``: no such moment.

    Parameters
    ----------
    since, until
        The first moment that counts, and the first that does not any more.
    """

    since: float | None
    until: float | None

    @staticmethod
    def of(log: Log, options: SplitOptions) -> Window:
        """Return the window of a log; of its times, the first and the last are looked at."""
        since, until = options.since, options.until
        return Window(
            None if log.time is None or since is None else moment(log, since, "--since"),
            None if log.time is None or until is None else moment(log, until, "--until"),
        )

    def rows(self, log: Log) -> NDArray[np.int64] | None:
        """Return the rows inside; ``None``: all of them."""
        if log.time is None or self == Window(None, None):
            return None
        inside = np.ones(len(log), np.bool_)
        if self.since is not None:
            inside &= log.time >= self.since
        if self.until is not None:
            inside &= log.time < self.until
        return np.flatnonzero(inside)


def nothing_inside(log: Log) -> DataError:
    """Return the error of a window without a row."""
    return DataError(
        f"no row is in the window: the log's times run {reach(log)}",
        "give another --since or --until",
    )


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
    UsageError
        The text is none of these.
    DataError
        The log's times are numbers of no known unit.
    """
    if _SPAN.fullmatch(text):
        last: float = cast(NDArray[np.number], log.time).max().item()
        return last - _ticks(seconds_of(text, option), _known(log, option))
    if not log.dated and _NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    try:
        date = dt.datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text}: no moment", _FIX) from None
    zoned = date if date.tzinfo else date.replace(tzinfo=dt.UTC)
    microseconds = (zoned - _EPOCH) // dt.timedelta(microseconds=1)
    return _ticks(microseconds / 10**6, _known(log, option), exactly=microseconds)


def _ticks(seconds: float, per_second: int, exactly: int = 0) -> float:
    """Return so many seconds as the log's times count; whole where it is: float rounds large ones.

    `exactly`: the same in microseconds.
    """
    if exactly and exactly * per_second % 10**6 == 0:
        return exactly * per_second // 10**6
    ticks = seconds * per_second
    return int(ticks) if ticks == int(ticks) else ticks


def seconds_of(span: str, option: str) -> float:
    """Return the length of a span such as ``7d``; raise a UsageError if it is none."""
    found = _SPAN.fullmatch(span)
    if found is None or float(found[1]) == 0:
        raise UsageError(f"{option} {span}: no span of time", "for example 12h, 7d or 4w")
    return float(found[1]) * _SECONDS[found[2]]


def periods(log: Log, count: int, span: str, option: str) -> list[tuple[str, str | None]]:
    """Return moments between which the last periods of a log lie, oldest first, as text.

    Parameters
    ----------
    log
        A log with times.
    count
        Number of periods, one after the other.
    span
        Length of each, such as ``7d``.
    option
        Who asks, for messages.

    Returns
    -------
    The first moment of each, and the first after it, as :func:`moment` reads them: whole
    microseconds. The last period has no end but that of the log.

    Raises
    ------
    UsageError
        The span is none.
    DataError
        Nothing of the log is before the first period, or its times have no known unit.
    """
    times = cast(NDArray[np.number], log.time)
    ticks = _known(log, option, "bring them to dates, or to seconds since 1970")
    length, last = _ticks(seconds_of(span, option), ticks), times.max().item()
    starts = [last - length * back for back in range(count, 0, -1)]
    if starts[0] <= times.min():
        days = (last - times.min().item()) / ticks / _SECONDS["d"]
        raise DataError(
            f"{count} periods of {span} take all of the log, which is of {days:.1f} days",
            f"ask for fewer, or give a shorter {option}",
        )
    texts = [_text(start, ticks) for start in starts]
    return list(zip(texts, [*texts[1:], None], strict=True))


def _text(at: float, ticks: int) -> str:
    """Return a moment as text."""
    microseconds = at * 10**6 // ticks
    return (_EPOCH + dt.timedelta(microseconds=int(microseconds))).isoformat()


def reach(log: Log) -> str:
    """Return from when to when a log goes, as dates if their unit is known."""
    times = cast(NDArray[np.number], log.time)
    ticks = ticks_per_second(times, dated=log.dated)
    ends = [times.min().item(), times.max().item()]
    try:
        shown = [f"{at:.0f}" if ticks is None else _text(at, ticks) for at in ends]
    except OverflowError:  # a date that stands for none
        shown = [f"{at:.0f}" for at in ends]
    return f"from {shown[0]} to {shown[1]}"


def _known(log: Log, option: str, fix: str = "") -> int:
    """Return the ticks of a second, or raise a DataError."""
    ticks = ticks_per_second(cast(NDArray[np.number], log.time), dated=log.dated)
    if ticks is None:
        raise DataError(
            f"{option}: the log's times are numbers of no known unit, {reach(log)}",
            fix or f"give {option} such a number",
        )
    return ticks
