"""Logs and item tables from files: read fast, and refused with the line at fault.

Arrow reads text in parallel. Only if that fails, or a value is impossible, is the file read again,
slowly, to find the line. Line numbers count from 1 and include the header; a record over several
lines has the number of its first. A record may have at most 2 MiB.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from diffrec_cli.config import ReadOptions
from diffrec_cli.data.dataset_record import PARTS
from diffrec_cli.data.idmap import IdMap
from diffrec_cli.data.reading.authors import is_authors_directory, read_authors_lists
from diffrec_cli.data.reading.columns import in_words as columns_in_words
from diffrec_cli.data.reading.events import Events, in_words, strengths
from diffrec_cli.data.reading.formats import format_of
from diffrec_cli.data.reading.input_file import InputFile, damage, open_input
from diffrec_cli.data.reading.items import first_of_each_id
from diffrec_cli.data.reading.numbering import codes
from diffrec_cli.data.reading.raw_log import ID_TYPE, NoRowsError, RawLog
from diffrec_cli.errors import DataError, UsageError

__all__ = [
    "Log",
    "check_alike",
    "is_authors_directory",
    "open_logs",
    "read_authors_lists",
    "read_files",
    "read_input",
    "read_item_table",
    "read_logs",
    "read_split_files",
    "told",
    "without_rows",
]


@dataclass(frozen=True, slots=True)
class Log:
    """Who interacted with what, row by row.

    Parameters
    ----------
    user, item
        (n,) int32 codes into `user_ids` and `item_ids`.
    rating
        (n,) float32, or ``None`` if the log has none.
    time
        (n,) int64 or float64 of any unit, or ``None`` if the log has none.
    user_ids, item_ids
        Ids as written, in order of first appearance.
    notes
        Decisions worth telling.
    taken
        Which columns were recognised by their names as what, in words: for who sees them first.
    item_column
        Name of the first file's item column.
    missing
        Rows that were left out for a missing value.
    left_out
        Rows that were left out since their kind of event, or their count, does not count.
    dated
        Whether times are dates: microseconds since 1970.
    part
        (n,) place in :data:`~diffrec_cli.data.dataset.PARTS` of the part that a row is in, if the
        files say it; ``None`` otherwise.
    strength
        (n,) float32, above 0: how much each row counts; ``None``: all are 1.
    events
        The kinds of events of the rows that are left; ``None`` if they were not read.
    event_counts
        Rows of each kind in the files.
    """

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    rating: NDArray[np.float32] | None
    time: NDArray[np.int64] | NDArray[np.float64] | None
    user_ids: IdMap
    item_ids: IdMap
    notes: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()
    item_column: str = "item"
    missing: int = 0
    dated: bool = False
    part: NDArray[np.int8] | None = None
    left_out: int = 0
    strength: NDArray[np.float32] | None = None
    events: Events | None = None
    event_counts: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: NDArray[np.int64]) -> Log:
        """Return some rows as a log."""

        def of(values: Any) -> Any:
            return None if values is None else values[rows]

        return replace(
            self,
            user=self.user[rows],
            item=self.item[rows],
            rating=of(self.rating),
            time=of(self.time),
            part=of(self.part),
            strength=of(self.strength),
            events=None if self.events is None else self.events.take(rows),
        )


def read_logs(
    paths: Sequence[str | Path], options: ReadOptions, stdin: BinaryIO | None = None
) -> Log:
    """Read one or several files as one log.

    Delimited text, JSON lines, Parquet or adjacency lists, plain or compressed, recognised by
    content, not by suffix.

    Parameters
    ----------
    paths
        Files in order; ``-`` is `stdin`. A directory stands for all files in it, sorted.
    options
        How to read them; what is not given is detected.
    stdin
        Binary stream for ``-``.

    Raises
    ------
    DataError
        A file is missing, empty, damaged or has a faulty line, which the message names.
    UsageError
        No file is given, or the options contradict each other.
    """
    with open_logs(paths, options, stdin) as files:
        return read_files(files, options)


@contextmanager
def open_logs(
    paths: Sequence[str | Path], options: ReadOptions, stdin: BinaryIO | None = None
) -> Iterator[list[InputFile]]:
    """Open the files of a log, as :func:`read_logs` takes them; nothing of them is read."""
    if not paths:
        raise UsageError("no input file", "give one or more log files, or - for stdin")
    with ExitStack() as stack:
        opened = (open_input(path, options.encoding, stdin) for path in _files(paths))
        yield [stack.enter_context(file) for file in opened]


def read_files(files: Sequence[InputFile], options: ReadOptions) -> Log:
    """Read open files as one log, as :func:`read_logs` does."""
    pieces, without = [], []
    for file in files:
        try:
            pieces.append(_read(file, options))
        except NoRowsError as error:
            without.append(error)
    if not pieces:
        raise without[0]
    log = _strong(_join(pieces), options)
    if without:
        log = replace(log, notes=(*log.notes, without_rows(len(without))))
    pieces.clear()
    pa.default_memory_pool().release_unused()  # so that the split can have it
    return log


def read_split_files(files: Mapping[str, Path], options: ReadOptions) -> Log:
    """Read files that are split already as one log that knows each row's part.

    Parameters
    ----------
    files
        Those of :func:`~diffrec_cli.data.reading.split_files.split_files`.
    options, raises
        As for :func:`read_logs`.
    """
    pieces = []
    for path in files.values():
        with open_input(path, options.encoding) as file:
            pieces.append(_read(file, options))
    lengths = [len(piece.user) for piece in pieces]
    part = np.repeat(np.array([PARTS.index(part) for part in files], np.int8), lengths)
    return _strong(replace(_join(pieces), part=part), options)


def _files(paths: Sequence[str | Path]) -> list[str | Path]:
    """Return files, with those of directories in their place."""
    files: list[str | Path] = []
    for path in paths:
        if str(path) == "-" or not Path(path).is_dir():
            files.append(path)
            continue
        inside = [one for one in sorted(Path(path).rglob("*")) if _is_part(one, Path(path))]
        if not inside:
            raise DataError(f"{path}: a directory without files", "give the log file itself")
        files += inside
    return files


def _is_part(file: Path, directory: Path) -> bool:
    """Tell whether a file in a directory has rows: not ``_SUCCESS``, ``.crc`` and their like."""
    parts = file.relative_to(directory).parts
    hidden = any(part.startswith(("_", ".")) for part in parts)
    return not hidden and file.is_file() and file.stat().st_size > 0


def read_item_table(
    path: str | Path, options: ReadOptions | None = None, log_column: str | None = None
) -> pa.Table:
    """Read an item table: titles and anything else.

    Parameters
    ----------
    path
        Delimited text, gzip or Parquet, with a column of item ids. Text whose first field is a
        number, or with the separator ``::``, has no header: column 1 is the id, 2 the title.
    options
        Separator, encoding, header, and `item_col`, the column of ids.
    log_column
        The item column of the log: it is the id where several columns could be.

    Returns
    -------
    Table of strings: ``id`` (distinct; its first row counts), ``title`` if recognised, and all
    other columns.

    Raises
    ------
    DataError
        As :func:`read_logs`.
    """
    options = options or ReadOptions()
    with open_input(path, options.encoding) as file, damage(file):
        table = format_of(file, options).read_items(file, options, log_column)
    return first_of_each_id(table)


def read_input(file: InputFile, options: ReadOptions) -> Log:
    """Read one open file, as :func:`read_logs` does; it need not have each kind of event."""
    return _strong(_join([_read(file, options)]), options, whole=False)


def _read(file: InputFile, options: ReadOptions) -> RawLog:
    with damage(file):
        return format_of(file, options).read_log(file, options)


def _strong(log: Log, options: ReadOptions, *, whole: bool = True) -> Log:
    """Return the rows that count by their kinds and counts, and tell how much."""
    strength = strengths(log.events, log.strength, options, len(log), whole=whole)
    notes = log.notes if log.events is None else (*log.notes, in_words(log.events, strength))
    counts = {} if log.events is None else log.events.counts()
    log = replace(log, strength=strength, notes=notes, event_counts=counts)
    if strength is None or strength.all():
        return log
    rows = np.flatnonzero(strength)
    if not len(rows):
        raise DataError(
            "no row counts: all are of kinds that are left out, or have a count of 0",
            "give other --event-kinds or --event-weights, or another --weight-col",
        )
    kept = log.take(rows)
    ones = kept.strength is not None and bool(np.all(kept.strength == 1))
    return replace(kept, left_out=len(log) - len(rows), strength=None if ones else kept.strength)


def _join(pieces: Sequence[RawLog]) -> Log:
    check_alike(pieces)
    user, user_ids = codes([piece.user for piece in pieces])
    item, item_ids = codes([piece.item for piece in pieces])
    ratings = [piece.rating for piece in pieces if piece.rating is not None]
    times = [piece.times.values for piece in pieces if piece.times is not None]
    weights = [piece.weight for piece in pieces if piece.weight is not None]
    chunks = [c for piece in pieces if piece.events is not None for c in piece.events.chunks]
    return Log(
        user=user,
        item=item,
        rating=_concatenate(ratings),
        time=_concatenate(times),
        user_ids=user_ids,
        item_ids=item_ids,
        strength=_concatenate(weights),
        events=Events.of(pa.chunked_array(chunks, ID_TYPE), pieces[0].label) if chunks else None,
        **told(pieces, user_ids, item_ids),
    )


def told(pieces: Sequence[RawLog], user_ids: IdMap, item_ids: IdMap) -> dict[str, Any]:
    """Return what a log tells of its files besides their rows: those fields of :class:`Log`."""
    return {
        "notes": _once(
            [(p.label, _taken(p)) for p in pieces if not p.header]
            + [(p.label, note) for p in pieces for note in (*p.notes, _date_note(p)) if note]
        )
        + _id_notes(user_ids, item_ids),
        "taken": _once([(piece.label, _taken(piece)) for piece in pieces if piece.header]),
        "missing": sum(piece.missing for piece in pieces),
        "dated": pieces[0].times is not None and pieces[0].times.is_date,
        "item_column": pieces[0].columns.names[pieces[0].columns.item],
    }


def without_rows(count: int) -> str:
    """Return what to tell of files that have no rows."""
    return f"files without rows: {count:,}"


def _concatenate(arrays: list[Any]) -> Any:
    if len(arrays) < 2:
        return arrays[0] if arrays else None
    return np.concatenate(arrays)


def _once(notes: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Return each note once, with the file that it is of, or the first of them."""
    files: dict[str, list[str]] = {}
    for label, note in notes:
        files.setdefault(note, []).append(label)
    return tuple(
        f"{labels[0]}{f' and {len(labels) - 1} more' if len(labels) > 1 else ''}: {note}"
        for note, labels in files.items()
    )


def _taken(piece: RawLog) -> str:
    return columns_in_words(piece.columns, piece.header)


def _date_note(piece: RawLog) -> str:
    if piece.times is None or piece.times.guessed_format is None:
        return ""
    guess = piece.times.guessed_format
    return f"dates read as {guess!r}, a guess; --time-format makes it certain"


def _id_notes(user_ids: IdMap, item_ids: IdMap) -> tuple[str, ...]:
    """Tell of ids with something at their ends that is easily overlooked."""
    notes = []
    for ids, what in ((user_ids.array, "user"), (item_ids.array, "item")):
        for pattern, said in _OVERLOOKED.items():
            found = pc.match_substring_regex(ids, pattern)
            if count := pc.sum(found).as_py():
                first = ids.filter(found)[0].as_py()
                notes.append(f"{count:,} {what} ids {said} kept: {first!r}")
    return tuple(notes)


_OVERLOOKED = {
    r"^\s|\s$": "begin or end with a blank, which is",
    r"^'.*'$": "are in single quotes, which are",
}


def check_alike(pieces: Sequence[RawLog]) -> None:
    """Raise a :class:`DataError` unless files have the same kinds of columns."""
    first = pieces[0]
    for piece in pieces[1:]:
        for role in ("rating", "times", "events", "weight"):
            has = [getattr(p, role) is not None for p in (first, piece)]
            if has[0] != has[1]:
                with_it, without = (first, piece) if has[0] else (piece, first)
                raise DataError(
                    f"{without.label} has no {role.rstrip('s')} column, but {with_it.label} has",
                    "give files of the same columns",
                )
        if first.times and piece.times and first.times.is_date != piece.times.is_date:
            raise DataError(
                f"{first.label} and {piece.label}: one has dates, the other numbers as time",
                "bring them to the same form",
            )
