"""Reading a log that is larger than memory: block by block, into runs that are sorted by user."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.config import ReadOptions
from diffrec_cli.config.options import NO_COLUMN
from diffrec_cli.data.on_disk.runs import Group, Runs
from diffrec_cli.data.reading.formats import format_of
from diffrec_cli.data.reading.input_file import InputFile, damage
from diffrec_cli.data.reading.log import Log, check_alike, told, without_rows
from diffrec_cli.data.reading.numbering import GrowingIds
from diffrec_cli.data.reading.raw_log import NoRowsError, RawLog
from diffrec_cli.data.reading.times import AmbiguousTimesError, refuse_units, tell_unit
from diffrec_cli.errors import DataError


class NeedsMemoryError(Exception):
    """A log, or an option, of which the whole log must be in memory; `args[0]` says what."""


@dataclass(frozen=True, slots=True)
class LogOnDisk:
    """A log whose rows are on disk.

    Parameters
    ----------
    head
        All that is known of it, with the ids of all users and items, and a few rows for all: those
        of the lowest and the highest time and rating.
    runs
        The rows.
    directory
        Where files of the log can be.
    most_rows
        Rows to have in memory at a time.
    """

    head: Log
    runs: Runs
    directory: Path
    most_rows: int

    def groups(self) -> Iterator[Group]:
        """Yield all rows, some users at a time."""
        return self.runs.groups(self.head)

    def new_runs(self, name: str) -> Runs:
        """Return runs that have no rows yet, in a directory of this name."""
        return Runs(self.directory / name, self.most_rows)


def read_to_disk(
    files: Sequence[InputFile], options: ReadOptions, directory: Path, most_rows: int
) -> LogOnDisk:
    """Read files as one log, as :func:`~diffrec_cli.data.reading.log.read_files` does.

    Parameters
    ----------
    files
        Open files.
    options
        How to read them.
    directory
        An empty directory.
    most_rows
        Rows to have in memory at a time.

    Raises
    ------
    DataError
        As :func:`~diffrec_cli.data.reading.log.read_logs`.
    NeedsMemoryError
        A file, or an option, cannot be read this way.
    StorageError
        The disk is full, or fails.
    """
    if options.reads_events or options.weight_col not in (None, NO_COLUMN):
        raise NeedsMemoryError("interactions of different strength (--event-..., --weight-col)")
    rows = _Rows(Runs(directory / "log", most_rows), most_rows)
    without = []
    for file in files:
        try:
            with damage(file):
                _read(file, options, rows)
        except NoRowsError as error:
            without.append(error)
    if not rows.files:
        raise without[0]
    head = rows.head()
    if without:
        head = replace(head, notes=(*head.notes, without_rows(len(without))))
    return LogOnDisk(head, rows.runs, directory, most_rows)


def _read(file: InputFile, options: ReadOptions, rows: _Rows) -> None:
    form = format_of(file, options)
    if form.read_pieces is None:
        raise NeedsMemoryError(f"{file.label} ({form.name})")
    units, kinds, missing = [], set(), 0
    for piece in form.read_pieces(file, options):
        if piece.times is not None:
            kinds.add((piece.times.is_date, piece.times.guessed_format))
            units.append(tell_unit(piece.times.values))
        if len(kinds) > 1 or any(guess for _, guess in kinds):
            raise NeedsMemoryError(f"dates whose form is a guess ({file.label}, no --time-format)")
        missing += piece.missing
        rows.append(piece)
    if kinds == {(False, None)}:
        _refuse_units(np.concatenate(units), piece)
    rows.files.append(replace(piece, missing=missing))


def _refuse_units(times: NDArray[Any], piece: RawLog) -> None:
    try:
        refuse_units(times)
    except AmbiguousTimesError as error:
        name = piece.columns.names[piece.columns.time or 0]
        raise DataError(f"{piece.label}: column {name!r}: {error.what}", error.fix) from error


class _Rows:
    """Rows on their way to the disk."""

    def __init__(self, runs: Runs, most_rows: int) -> None:
        self.runs = runs
        self.files: list[RawLog] = []  # each file that has been read, without its rows
        self._most_rows = most_rows
        self._users, self._items = GrowingIds(), GrowingIds()
        self._waiting: list[RawLog] = []
        self._first: RawLog | None = None
        self._ends: dict[str, list[Any]] = {"rating": [], "time": []}

    def append(self, piece: RawLog) -> None:
        """Take the rows of a piece; write those that wait if they are many."""
        if self._first is None:
            self._first = piece.without_rows()
        check_alike([self._first, piece])
        if len(piece.user):
            self._waiting.append(piece)
        if sum(len(one.user) for one in self._waiting) >= self._most_rows:
            self._write()

    def head(self) -> Log:
        """Write the rows that still wait; return what is known of the log, with a few rows."""
        if self._waiting:
            self._write()
        user_ids, item_ids = self._users.ids, self._items.ids
        rating, time = (_lowest_and_highest(self._ends[name]) for name in ("rating", "time"))
        none = np.zeros(2, np.int32)
        known = told(self.files, user_ids, item_ids)
        return Log(none, none, rating, time, user_ids, item_ids, **known)

    def _write(self) -> None:
        log = self._joined()
        self.runs.append(log)
        for name, ends in self._ends.items():
            values = getattr(log, name)
            if values is not None:
                ends.append(np.array([values.min(), values.max()], values.dtype))

    def _joined(self) -> Log:
        """Return the rows that wait as a log; none wait any more."""
        waiting, self._waiting = self._waiting, []
        times = [None if piece.times is None else piece.times.values for piece in waiting]
        return Log(
            user=self._users.codes([piece.user for piece in waiting]),
            item=self._items.codes([piece.item for piece in waiting]),
            rating=_concatenated([piece.rating for piece in waiting]),
            time=_concatenated(times),
            user_ids=self._users.ids,
            item_ids=self._items.ids,
        )


def _concatenated(arrays: Sequence[Any]) -> Any:
    return None if arrays[0] is None else np.concatenate(arrays)


def _lowest_and_highest(ends: Sequence[NDArray[Any]]) -> Any:
    """Return the lowest and the highest, (2,), of the ends of all runs."""
    if not ends:
        return None
    values = np.concatenate(ends)
    return np.array([values.min(), values.max()], values.dtype)
