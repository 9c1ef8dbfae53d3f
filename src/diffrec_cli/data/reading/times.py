"""Timestamps of any kind as numbers, of which only the order matters."""

from __future__ import annotations

import re
import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_ISO = re.compile(r"\d{4}-\d\d-\d\d")
#: From 1973 to the year 3000, and what counts as the same in milliseconds.
_SECONDS, _MILLISECONDS = (1e8, 3.25e10), (1e11, 3.25e13)
_FIRST, _YEAR = 631_152_000, 366 * 86_400  # seconds: 1990, and the length of a year
_UTC = re.compile(r"\s*(UTC|GMT)$")
#: Dates that begin with day and month, in either order.
_NUMERIC = r"^\s*(?P<first>\d{1,2})[-/. ](?P<second>\d{1,2})[-/. ]\d{2}"


@dataclass(frozen=True, slots=True)
class Times:
    """Parsed timestamps.

    Parameters
    ----------
    values
        (n,) int64 or float64; dates are microseconds since 1970 in UTC.
    is_date
        Whether they were written as dates and not as numbers.
    guessed_format
        strptime format that was guessed from the first value, if one was.
    """

    values: NDArray[np.int64] | NDArray[np.float64]
    is_date: bool
    guessed_format: str | None = None


class UnreadableTimeError(ValueError):
    """A timestamp cannot be read; `value` is the first such text."""

    def __init__(self, value: str, row: int) -> None:
        super().__init__(value)
        self.value = value
        self.row = row


class AmbiguousTimesError(ValueError):
    """Dates that may begin with the day or the month; `value` is the first."""

    def __init__(self, value: str) -> None:
        super().__init__(value)
        self.value = value

    @property
    def what(self) -> str:
        """What is wrong."""
        return f"{self.value!r} may begin with the day or the month, and no other value tells"

    @property
    def fix(self) -> str:
        """What to do, with the formats of both readings."""
        formats = [_guess_format(self.value, day_first=day) for day in (True, False)]
        return f"say --time-format {formats[0] or '%d/%m/%y'!r} or {formats[1] or '%m/%d/%y'!r}"


class MixedUnitsError(AmbiguousTimesError):
    """Some times count seconds and some milliseconds; `value` is the first of the latter."""

    @property
    def what(self) -> str:
        """What is wrong."""
        return f"some times count seconds, and some, as {self.value}, milliseconds"

    @property
    def fix(self) -> str:
        """What to do."""
        return "bring them to one unit, or say --time-col none to leave them out"


def ticks_per_second(times: NDArray[Any], *, dated: bool) -> int | None:
    """Return how many of their units a second has: dates count microseconds; ``None``: unknown.

    Numbers count from 1970, in seconds, or thousandths of them and so on, if that makes the last a
    moment from 1990 until now, a year more or less: a log does not end in the future.

    Examples
    --------
    >>> ticks_per_second(np.array([978300760, 978300761]), dated=False)
    1
    >>> ticks_per_second(np.array([978300760000]), dated=False)
    1000
    """
    if dated:
        return 10**6
    last = float(times.max())
    latest = time.time() + _YEAR
    units = (10**power for power in (0, 3, 6, 9))
    return next((unit for unit in units if _FIRST <= last / unit < latest), None)


def parse_times(column: pa.ChunkedArray, time_format: str | None = None) -> Times:
    """Read timestamps from a column of any Arrow type.

    Text is tried as whole numbers, numbers, ISO 8601, and then with pandas as any date.

    Parameters
    ----------
    column
        (n,) integers, floats, dates, timestamps or text.
    time_format
        strptime format of textual timestamps; no other is tried.

    Raises
    ------
    UnreadableTimeError
        A value is not a time.
    AmbiguousTimesError
        The dates read both as day/month and as month/day, or numbers have two units.
    """
    kind = column.type
    if pa.types.is_integer(kind):
        return Times(_of_one_unit(_whole(column)), is_date=False)
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = np.asarray(column.cast(pa.float64()))
        _refuse_first(~np.isfinite(values), column)
        return Times(_of_one_unit(values), is_date=False)
    if pa.types.is_temporal(kind):
        moments = column.cast(pa.timestamp("us", getattr(kind, "tz", None)), safe=False)
        return Times(_whole(moments.cast(pa.int64())), is_date=True)
    return _parse_text(column.cast(pa.string()), time_format)


def tell_unit(values: NDArray[Any]) -> NDArray[Any]:
    """Return a few of these times, (n,), by which :func:`refuse_units` judges all of them."""
    of_unit = [_within(values, unit) for unit in (_SECONDS, _MILLISECONDS)]
    shown = [values[found.argmax()] for found in of_unit if found.any()]
    ends = [values.min(), values.max()] if len(values) else []
    return np.array([*ends, *shown], values.dtype)


def refuse_units(values: NDArray[Any]) -> None:
    """Raise a :class:`MixedUnitsError` for seconds and milliseconds since 1970 in one column."""
    _of_one_unit(values)


def _within(values: NDArray[Any], unit: tuple[float, float]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (values >= unit[0]) & (values < unit[1])
    return found


def _of_one_unit(values: Any) -> Any:
    """Return the times; refuse seconds and milliseconds since 1970 in one column."""
    if not len(values) or values.min() < _SECONDS[0] or values.max() < _MILLISECONDS[0]:
        return values
    seconds, milliseconds = (_within(values, unit) for unit in (_SECONDS, _MILLISECONDS))
    if seconds.any() and milliseconds.any():
        raise MixedUnitsError(f"{values[milliseconds.argmax()]:.0f}")
    return values


def _parse_text(text: pa.ChunkedArray, time_format: str | None) -> Times:
    if time_format is not None:
        return Times(_with_pandas(text, time_format), is_date=True)
    for number in (pa.int64(), pa.float64()):
        try:
            return parse_times(text.cast(number))
        except (pa.ArrowInvalid, UnreadableTimeError):
            continue
    if _UTC.search(text[0].as_py() or ""):
        text = pc.replace_substring_regex(text, _UTC.pattern, "Z")
    for zone in (None, "UTC"):
        try:
            return Times(_whole(text.cast(pa.timestamp("us", zone)).cast(pa.int64())), is_date=True)
        except pa.ArrowInvalid:
            continue
    return _guess(text)


def _guess(text: pa.ChunkedArray) -> Times:
    _refuse_first(np.asarray(pc.is_null(text)), text)
    first = text[0].as_py()
    _refuse_unlike_first_number(text, first)
    if _ISO.match(first):  # such as dates with and without a zone, or with nanoseconds
        return Times(_with_pandas(text, "ISO8601"), is_date=True)
    # One format for the whole column: pandas' "mixed" would read 05/04 and 13/04 differently.
    day_first = _day_first(text)
    guessed = _guess_format(first, day_first=day_first) or "mixed"
    moments = _with_pandas(text, guessed, day_first=day_first)
    told = guessed
    if guessed == "mixed" and re.match(_NUMERIC, first):
        told = "day first" if day_first else "month first"
    return Times(moments, is_date=True, guessed_format=told)


def _guess_format(first: str, *, day_first: bool) -> str | None:
    from pandas.tseries.api import guess_datetime_format

    with warnings.catch_warnings():  # pandas warns of the order; we have our own message
        warnings.simplefilter("ignore", UserWarning)
        guessed: str | None = guess_datetime_format(first, dayfirst=day_first)
    return guessed


def _day_first(text: pa.ChunkedArray) -> bool:
    """Tell whether numeric dates begin with the day: a number above 12 is not a month."""
    if not re.match(_NUMERIC, text[0].as_py()):
        return False
    distinct = pc.unique(text)  # in order of appearance
    numbers = pc.extract_regex(distinct, _NUMERIC)
    first, second = (_component(numbers, name) for name in ("first", "second"))
    days = (first > 12) | (second > 12)
    if not days.any():
        raise AmbiguousTimesError(text[0].as_py())
    day_first = bool(first[days.argmax()] > 12)
    opposite = (second if day_first else first) > 12
    if opposite.any():
        value = distinct[int(opposite.argmax())].as_py()
        raise UnreadableTimeError(value, pc.index(text, value).as_py())
    return day_first


def _component(numbers: pa.Array, name: str) -> NDArray[np.int64]:
    """Return a number of each date, 0 where the text is no such date."""
    part = pc.fill_null(pc.struct_field(numbers, name), "0")
    return np.asarray(pc.cast(part, pa.int64()))


def _refuse_unlike_first_number(text: pa.ChunkedArray, first: str) -> None:
    """Refuse the first value that is not a number, in a column that begins with one."""
    try:
        float(first)
    except ValueError:
        return
    # Infinities and NaN can be cast, but are not times.
    pattern = r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"
    _refuse_first(~np.asarray(pc.match_substring_regex(text, pattern)), text)


def _with_pandas(
    text: pa.ChunkedArray, time_format: str, *, day_first: bool = False
) -> NDArray[np.int64]:
    """Parse dates, each distinct text once."""
    import pandas as pd

    encoded = text.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            parsed = pd.to_datetime(
                encoded.dictionary.to_pandas(),
                format=time_format,
                dayfirst=day_first,
                errors="coerce",
                utc=True,
            )
    except (ValueError, TypeError):  # a format that pandas itself refuses
        raise UnreadableTimeError(text[0].as_py(), 0) from None
    moments = parsed.to_numpy("datetime64[us]").astype(np.int64)
    codes = np.asarray(encoded.indices)
    _refuse_first(np.asarray(parsed.isna())[codes], text)
    result: NDArray[np.int64] = moments[codes]
    return result


def _whole(column: Any) -> NDArray[np.int64]:
    _refuse_first(np.asarray(pc.is_null(column)), column)
    return np.asarray(column.cast(pa.int64()))


def _refuse_first(bad: NDArray[np.bool_], column: pa.ChunkedArray) -> None:
    if bad.any():
        row = int(bad.argmax())
        raise UnreadableTimeError(str(column[row].as_py()), row)
