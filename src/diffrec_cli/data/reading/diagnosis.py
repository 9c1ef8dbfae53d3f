"""The line of a fault in a text file: a slow second reading, after the fast one failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from diffrec_cli.data.reading.columns import is_number
from diffrec_cli.data.reading.input_file import InputFile, Record
from diffrec_cli.data.reading.layout import Layout, rows
from diffrec_cli.data.reading.missing import FIX, MISSING
from diffrec_cli.errors import DataError


def diagnose(file: InputFile, layout: Layout, bad_time: str | None = None) -> None:
    """Raise a DataError for the first faulty line, if there is one.

    Parameters
    ----------
    file, layout
        The file and what is known of it.
    bad_time
        The first timestamp that could not be read; ``None`` if times are not at fault.
    """
    checks = _checks(layout, bad_time)
    try:
        records = rows(file, layout)
        for record in records:
            _check_text(file, record)
            _check_fields(file, layout, record, records)
            _check_values(file, layout, record, checks)
    except UnicodeError as error:
        raise DataError(
            f"{file.label}: not {file.encoding} text ({error})", _ENCODING_FIX
        ) from error


Check = Callable[[str], tuple[str, str] | None]  # a complaint and its fix, if there is one
_ENCODING_FIX = "say --encoding latin-1 (or cp1252, utf-16, ...), or convert the file to UTF-8"


def _checks(layout: Layout, bad_time: str | None) -> list[tuple[int, Check]]:
    columns = layout.columns
    checks: list[tuple[int, Check]] = [(columns.user, _check_id), (columns.item, _check_id)]
    if columns.rating is not None:
        checks.append((columns.rating, _rating_check(layout.decimal_point)))
    if columns.weight is not None:
        checks.append((columns.weight, _weight_check(layout.decimal_point)))
    if columns.time is not None and bad_time is not None:
        checks.append((columns.time, _time_check(bad_time)))
    return checks


def _check_text(file: InputFile, record: Record) -> None:
    if any("\udc80" <= c <= "\udcff" for field in record.fields for c in field):
        where = f"{file.label}:{record.first_line}"
        raise DataError(f"{where}: bytes that are not {file.encoding} text", _ENCODING_FIX)


def _check_fields(
    file: InputFile, layout: Layout, record: Record, others: Iterator[Record]
) -> None:
    """Raise a DataError if a record has more or fewer fields than others; those after it count."""
    if len(record.fields) == layout.fields:
        return
    what = f"expected {layout.fields} fields, got {len(record.fields)}"
    fix = "correct that line (a separator inside a field needs quotes), or give --sep"
    if len(record.fields) < layout.fields and next(others, None) is None:
        what, fix = f"{what} in the last line", "remove that line if it is a footer or was cut off"
    raise DataError(f"{file.label}:{record.first_line}: {what}", fix)


def _check_values(
    file: InputFile, layout: Layout, record: Record, checks: list[tuple[int, Check]]
) -> None:
    where = f"{file.label}:{record.first_line}"
    if layout.skips_missing and any(record.fields[place] in MISSING for place, _ in checks):
        return
    for place, check in checks:
        complaint = check(record.fields[place])
        if complaint:
            what, fix = complaint
            raise DataError(f"{where}: column {layout.columns.names[place]!r}: {what}", fix)


def _check_id(text: str) -> tuple[str, str] | None:
    if text not in MISSING:
        return None
    return f"{text!r} stands for a missing id" if text else "an empty id", FIX


def check_rating(text: str) -> tuple[str, str] | None:
    """Return what is wrong with a rating as written, and the fix, or ``None``.

    Examples
    --------
    >>> check_rating("-1")
    >>> check_rating("good")[0]
    "'good' is not a rating (a finite number)"
    """
    shown = repr(text[:60])
    fix = FIX if text in MISSING else "correct that line, or give another --rating-col"
    with np.errstate(over="ignore"):
        if not is_number(text) or not np.isfinite(np.float32(text)):
            return f"{shown} is not a rating (a finite number)", fix
    return None


def _rating_check(decimal_point: str) -> Check:
    def check(text: str) -> tuple[str, str] | None:
        if decimal_point != "." and "." in text:
            return (
                f"{text[:60]!r} has a decimal point, and others have commas",
                "write all ratings alike",
            )
        complaint = check_rating(text.replace(decimal_point, "."))
        return None if complaint is None else check_rating(text)

    return check


def _weight_check(decimal_point: str) -> Check:
    def check(text: str) -> tuple[str, str] | None:
        return check_weight(text.replace(decimal_point, "."))

    return check


def check_weight(text: str) -> tuple[str, str] | None:
    """Return what is wrong with a count as written, and the fix, or ``None``.

    Examples
    --------
    >>> check_weight("3")
    >>> check_weight("-3")[0]
    "'-3' is not a count (a finite number of 0 or more)"
    """
    fix = FIX if text in MISSING else "correct that line, or give another --weight-col"
    if check_rating(text) is not None or float(text) < 0:
        return f"{text[:60]!r} is not a count (a finite number of 0 or more)", fix
    return None


def _time_check(bad_time: str) -> Check:
    def check(text: str) -> tuple[str, str] | None:
        if text != bad_time:
            return None
        return time_complaint(text)

    return check


def time_complaint(text: str) -> tuple[str, str]:
    """Return the complaint about an unreadable timestamp, and the fix."""
    if text in MISSING:
        return f"{text!r} is no time", FIX
    return (
        f"{text[:60]!r} cannot be read as a time",
        "correct that line, or describe all of them with --time-format (say '%d/%m/%Y %H:%M')",
    )
