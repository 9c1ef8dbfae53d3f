"""Moments: where the window of a log begins and ends, and where its test part begins."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from typing import cast

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.config import SplitOptions
from diffrec_cli.data.reading.log import Log
from diffrec_cli.data.reading.times import ticks_per_second
from diffrec_cli.data.splitting.rows import rows_of
from diffrec_cli.errors import DataError

_SPAN = re.compile(r"(\d+(?:\.\d+)?)([hdw])")
_SECONDS = {"h": 3600, "d": 86_400, "w": 604_800}
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
    if span := _SPAN.fullmatch(text):
        return float(times.max()) - float(span[1]) * _SECONDS[span[2]] * _known(
            ticks, option, times
        )
    if not log.dated and _NUMBER.fullmatch(text):
        return float(text)
    try:
        date = dt.datetime.fromisoformat(text)
    except ValueError:
        raise DataError(f"{option} {text}: no moment", _FIX) from None
    zoned = date if date.tzinfo else date.replace(tzinfo=dt.UTC)
    return zoned.timestamp() * _known(ticks, option, times)


def _known(ticks: int | None, option: str, times: NDArray[np.number]) -> int:
    if ticks is None:
        raise DataError(
            f"{option}: the log's times are numbers of no known unit, {_shown(times)}",
            f"give {option} such a number",
        )
    return ticks


def _shown(times: NDArray[np.number]) -> str:
    return f"from {times.min():.0f} to {times.max():.0f}"
