"""Small files that a person writes: lists of ids, and histories of unseen users."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.config import ReadOptions
from diffrec_cli.config.options import FOUND, NO_COLUMN, ROLES
from diffrec_cli.data.idmap import IdMap
from diffrec_cli.data.reading.columns import is_header, is_number, recognise
from diffrec_cli.data.reading.events import Events
from diffrec_cli.data.reading.input_file import InputFile, cannot_be_read, damage, open_input
from diffrec_cli.data.reading.separators import find_separators, split_line
from diffrec_cli.errors import DataError

_READ = 2**16  # bytes asked for at a time


@dataclass(frozen=True, slots=True)
class Histories:
    """What some users interacted with, grouped by user, each user's oldest first.

    Parameters
    ----------
    labels
        Ids of the users.
    user
        (n,) int64 place in `labels` of each interaction.
    item
        (n,) int32 code of its item in `item_ids`.
    item_ids
        The distinct items, as written.
    notes
        Decisions worth telling.
    strength
        (n,) float32: how much each counts; ``None``: all are 1.
    events
        What kind of event each is; ``None``: that is not known.
    """

    labels: list[str]
    user: NDArray[np.int64]
    item: NDArray[np.int32]
    item_ids: IdMap
    notes: tuple[str, ...] = ()
    strength: NDArray[np.float32] | None = None
    events: Events | None = None


def read_ids(path: str | Path) -> list[str]:
    """Return the ids in a file, one a line, exactly as written; ``-`` is stdin.

    Raises
    ------
    DataError
        The file cannot be read, is not UTF-8 text, or has no ids.
    """
    return list(chain.from_iterable(stream_ids(path, _READ, _READ)))


def stream_ids(
    path: str | Path, first: int, most: int, skipped: Callable[[list[int]], None] | None = None
) -> Iterator[list[str]]:
    """Yield the ids in a file, one a line, as they arrive: a pipe is read before it ends.

    Parameters
    ----------
    path
        The file; ``-`` is stdin.
    first, most
        Ids in the first list, and in each of the others at most.
    skipped
        Gets the numbers of lines that are not UTF-8, which are left out; ``None``: they are errors.

    Raises
    ------
    DataError
        As :func:`read_ids`, when a faulty line is reached: the ids before it come first.
    """
    size, found = first, False
    for ids in _arriving(path, skipped):
        while ids:
            yield ids[:size]
            ids, size, found = ids[size:], most, True
    if not found:
        raise DataError(f"{path}: no ids", "give one id a line")


def _arriving(path: str | Path, skipped: Callable[[list[int]], None] | None) -> Iterator[list[str]]:
    """Yield the non-empty lines of a file, a list for each read."""
    rest, before = b"", 0  # an unfinished line; lines before it
    try:
        with _bytes_of(path) as stream:
            while chunk := stream.read1(_READ):
                head, newline, rest = (rest + chunk).rpartition(b"\n")
                yield from _good_lines(head, str(path), before, skipped)
                before += head.count(b"\n") + len(newline)
    except OSError as error:
        raise cannot_be_read(str(path), error) from error
    yield from _good_lines(rest, str(path), before, skipped)


def _good_lines(
    content: bytes, label: str, before: int, skipped: Callable[[list[int]], None] | None
) -> Iterator[list[str]]:
    """Yield the non-empty lines in a list; at a faulty one those before it, then raise or skip."""
    try:
        lines = _lines(content, label, before)
    except DataError:
        lines, faulty = [], []
        for number, line in enumerate(content.split(b"\n"), before):
            try:
                lines += _lines(line, label, number)
            except DataError:
                if skipped is None:
                    yield lines
                    raise
                faulty.append(number + 1)
        if skipped is not None:
            skipped(faulty)
    yield lines


def _bytes_of(path: str | Path) -> AbstractContextManager[Any]:
    """Open a file; stdin stays open afterwards."""
    return nullcontext(sys.stdin.buffer) if str(path) == "-" else Path(path).open("rb")


def read_histories(
    path: str | Path,
    *,
    min_rating: float | None = None,
    of_users: bool = False,
    read: ReadOptions | None = None,
) -> Histories:
    """Return histories from a log of ``user,item[,time]``, or from one item a line.

    A file is a log if its first line names a user and an item column, or if every line has the
    same number of fields, two or more (with spaces: only if all are numbers, or `of_users`).
    Without a header, columns are user, item, time, or user, item, rating, time.

    Parameters
    ----------
    path
        The file, plain, gzip or Parquet; ``-`` is stdin.
    min_rating
        Leave out rows with a lower rating, if the log has ratings.
    of_users
        Refuse a file of one item a line; accept one with only a header.
    read
        How the log of the dataset was read: a file that has its columns is read so too.

    Returns
    -------
    Histories; one item a line has the label ``history``.

    Raises
    ------
    DataError
        The file cannot be read as either.
    """
    from diffrec_cli.data.reading.formats import ADJACENCY, TEXT, format_of

    read = read or ReadOptions()
    with open_input(path, read.encoding, sys.stdin.buffer) as opened, damage(opened):
        file = _as_utf8_if_it_is(opened)
        read = replace(read, encoding=file.encoding)
        text = format_of(file, read) in (TEXT, ADJACENCY)  # one item a line may be a number
        if of_users and text and not _has_rows(file):
            return Histories([], np.zeros(0, np.int64), np.zeros(0, np.int32), IdMap([]))
        options = _log_options(file, of_users, read) if text else read
        if options is not None:
            found = _from_log(file, options, min_rating)
            if not read.reads_events or options.reads_events:
                return found
            note = f"{file.label}: no column of kinds of events, so all rows count in full"
            return replace(found, notes=(*found.notes, note))
        if of_users:
            raise DataError(f"{file.label}: no users", "give user,item[,time] lines")
        with file.stream() as stream:
            items = _lines(stream.read(), file.label)
    if not items:
        raise DataError(f"{file.label}: no items", "give one item a line, or user,item[,time]")
    return one_history("history", items)


def one_history(label: str, items: Sequence[str]) -> Histories:
    """Return the history of one user; items are oldest first.

    Examples
    --------
    >>> one_history("me", ["b", "a", "b"]).item.tolist()
    [0, 1, 0]
    """
    return listed_histories([label], [items])


def listed_histories(labels: Sequence[str], histories: Sequence[Sequence[str]]) -> Histories:
    """Return the histories of several users; each one's items are oldest first.

    Examples
    --------
    >>> found = listed_histories(["me", "you"], [["b", "a"], ["b"]])
    >>> found.user.tolist(), found.item.tolist()
    ([0, 0, 1], [0, 1, 0])
    """
    items = list(chain.from_iterable(histories))
    codes = {item: code for code, item in enumerate(dict.fromkeys(items))}
    item = np.fromiter((codes[item] for item in items), np.int32, len(items))
    user = np.repeat(np.arange(len(labels)), [len(history) for history in histories])
    return Histories(list(labels), user, item, IdMap(printable(codes)))


def printable(ids: Iterable[str]) -> list[str]:
    """Return ids that can be printed: arguments may have bytes that are not text (surrogates)."""
    encoded = (text.encode("utf-8", "surrogateescape") for text in ids)
    return [text.decode("utf-8", "backslashreplace") for text in encoded]


def _as_utf8_if_it_is(file: InputFile) -> InputFile:
    """Return the file as UTF-8, whatever the log's encoding was, if it can be that."""
    utf8 = replace(file, encoding="utf-8")
    try:
        with utf8.stream() as stream:
            decoder = codecs.getincrementaldecoder("utf-8")()
            while block := stream.read(_READ):
                decoder.decode(block)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return file
    return utf8


def _from_log(file: InputFile, options: ReadOptions, min_rating: float | None) -> Histories:
    from diffrec_cli.data.reading.log import read_input

    log = read_input(file, options)
    by_user = (log.user,) if log.time is None else (log.time, log.user)
    order = np.lexsort(by_user)
    notes = log.notes
    if min_rating is not None and log.rating is not None:
        liked = log.rating[order] >= min_rating
        if not liked.all():
            low = f"{file.label}: {int((~liked).sum()):,} rows of ratings below {min_rating:g}"
            notes = (*notes, f"{low} left out")
        order = order[liked]
    return Histories(
        labels=log.user_ids.at(np.arange(len(log.user_ids))),
        user=log.user[order].astype(np.int64),
        item=log.item[order],
        item_ids=log.item_ids,
        notes=notes,
        strength=None if log.strength is None else log.strength[order],
        events=None if log.events is None else log.events.take(order),
    )


def _log_options(file: InputFile, of_users: bool, read: ReadOptions) -> ReadOptions | None:
    """Return how to read a text file as a log; None if it has one item a line."""
    first = next(_text_lines(file), "")
    if (as_before := _as_the_log(first, read)) is not None:
        return as_before
    said = [read.sep] if read.sep is not None and read.sep in first else []
    separators = said + find_separators(first, ReadOptions())
    if separators and is_header(split_line(first, separators[0]), ReadOptions()):
        return _others(read, split_line(first, separators[0]), separators[0], header=True)
    for sep in separators:
        fields = split_line(first, sep)
        title = sep == " " and not of_users and not all(map(is_number, fields))
        if not title and _every_line_has(file, sep, len(fields)):
            others = _others(read, fields, sep, header=False)
            if len(fields) == 3:
                return replace(others, user_col="1", item_col="2", time_col="3")
            return others
    return None


def _as_the_log(first: str, read: ReadOptions) -> ReadOptions | None:
    """Return how the dataset's log was read, if a file with this first line has its columns.

    That is if they were named, or given by position; ratings and times may be missing.
    """
    given = {role: getattr(read, f"{role}_col") for role in ROLES}
    seps = find_separators(first, read) if read.sep is None else [read.sep]
    if not seps or (given["user"] is None and given["item"] is None):
        return None
    fields = split_line(first, seps[0])
    positions = list(map(str, range(1, len(fields) + 1)))
    there = {NO_COLUMN, *(positions if read.header is False else fields)}
    lacking = {role for role, name in given.items() if name is not None and name not in there}
    if lacking & {"user", "item"}:
        return None
    found: dict[str, Any] = {f"{role}_col": None for role in lacking}
    return replace(read, sep=seps[0], **found, **_events(read, fields))


def _events(read: ReadOptions, fields: list[str]) -> dict[str, Any]:
    """Return how kinds and counts of events are read from a file with these columns, if at all."""
    numbered = read.header is False
    named = read.event_col in fields or (numbered and read.event_col not in (None, FOUND))
    there = read.reads_events and (named or bool(recognise(fields, "event")))
    counted = read.weight_col in fields or numbered
    return {
        "event_col": (read.event_col if named else FOUND) if there else None,
        "event_kinds": read.event_kinds if there else None,
        "event_weights": read.event_weights if there else None,
        "weight_col": read.weight_col if counted else None,
    }


def _others(read: ReadOptions, fields: list[str], sep: str, *, header: bool) -> ReadOptions:
    """Return the log's options for a file with columns of its own: what does not name any."""
    timed = bool(recognise(fields, "time")) if header else len(fields) > 2
    return ReadOptions(
        header=header,
        sep=sep,
        time_format=read.time_format if timed else None,
        missing=read.missing,
        encoding=read.encoding,
        **(_events(read, fields) if header else {}),
    )


def _has_rows(file: InputFile) -> bool:
    """Tell whether a text file has anything besides a header."""
    lines = _text_lines(file)
    first = next(lines, "")
    return next(lines, None) is not None if _is_header(first) else bool(first)


def _is_header(line: str) -> bool:
    separators = find_separators(line, ReadOptions())
    return bool(separators) and is_header(split_line(line, separators[0]), ReadOptions())


def _every_line_has(file: InputFile, sep: str, fields: int) -> bool:
    return all(
        (line.count(sep) + 1 if '"' not in line else len(split_line(line, sep))) == fields
        for line in _text_lines(file)
    )


def _text_lines(file: InputFile) -> Iterator[str]:
    r"""Yield the non-empty lines, which end in ``\n`` or ``\r\n``."""
    file.refuse_binary()
    with file.stream() as stream:
        for number, line in enumerate(stream):
            text = line.decode("utf-8-sig" if number == 0 else "utf-8", "surrogateescape")
            if text := text.rstrip("\r\n"):
                yield text


def _lines(content: bytes, label: str, before: int = 0) -> list[str]:
    r"""Return the non-empty lines, ended by ``\n`` or ``\r\n``; `before`: lines before these."""
    try:
        text = content.decode("utf-8" if before else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = before + content[: error.start].count(b"\n") + 1
        raise DataError(f"{label}:{line}: not UTF-8 text", "convert the file to UTF-8") from error
    return [line for line in (raw.removesuffix("\r") for raw in text.split("\n")) if line]
