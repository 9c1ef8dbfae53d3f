"""Rows of a log on disk, in runs that are sorted by user: an external sort by user."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.data.idmap import IdMap
from diffrec_cli.data.reading.log import Log
from diffrec_cli.data.splitting.grouping import stable_order
from diffrec_cli.system_errors import writing

_COLUMNS = ("user", "item", "rating", "time")


@dataclass(frozen=True, slots=True)
class Group:
    """All rows of some users, and whatever else is known of the log.

    Parameters
    ----------
    first
        Code of the first user; the others' codes follow.
    log
        The rows of each user in their order; its users are numbered from 0.
    """

    first: int
    log: Log

    @property
    def users(self) -> slice:
        """The codes of these users in the whole log."""
        return slice(self.first, self.first + len(self.log.user_ids))


def append_to(path: Path, values: NDArray[Any]) -> None:
    """Write values at the end of a file; NumPy's own writer hides the error of a full disk.

    Raises
    ------
    StorageError
        The disk is full, or fails.
    """
    with writing(path), path.open("ab") as stream:
        stream.write(np.ascontiguousarray(values).data)


class Runs:
    """Rows in files, a file a column, appended run by run.

    Parameters
    ----------
    directory
        Where the files are; it is made.
    most_rows
        Rows that are in memory at a time. A user with more rows is an exception.
    """

    def __init__(self, directory: Path, most_rows: int) -> None:
        directory.mkdir()
        self._directory, self._most_rows = directory, most_rows
        self._lengths: list[int] = []
        self._kinds: dict[str, list[np.dtype[Any]]] = {}
        self._rows_of_user = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return sum(self._lengths)

    def append(self, log: Log, first_user: int = 0) -> None:
        """Write rows as the next run, sorted by user; `first_user` is the code of user 0.

        Raises
        ------
        StorageError
            The disk is full, or fails.
        """
        order = stable_order(log.user)
        self._lengths.append(len(log))
        self._count(np.bincount(log.user), first_user)
        for name in _COLUMNS:
            values = getattr(log, name)
            if values is not None:
                values = values[order] + np.int32(first_user) if name == "user" else values[order]
                self._kinds.setdefault(name, []).append(values.dtype)
                append_to(self._file(name), values)

    def groups(self, head: Log) -> Iterator[Group]:
        """Yield the rows of all users, some users at a time, in the order of their codes.

        Parameters
        ----------
        head
            What is known of the log besides its rows, with all ids.
        """
        yield from self._groups(head, self._bounds(len(head.user_ids)))

    def first_users(self, head: Log, rows: int) -> Log:
        """Return the rows of the first users, so many or a few more in all."""
        users = int(np.searchsorted(self._before(len(head.user_ids)), rows))
        return next(self._groups(head, [0, min(users, len(head.user_ids))])).log

    def _groups(self, head: Log, bounds: list[int]) -> Iterator[Group]:
        """Yield the rows of the users between each two of these codes."""
        ends = self._ends(bounds)  # (runs, bounds)
        starts = np.cumsum([0, *self._lengths])[:-1]
        for place, (first, end) in enumerate(pairwise(bounds)):
            slices = list(zip(starts + ends[:, place], starts + ends[:, place + 1], strict=True))
            columns = {name: self._column(name, slices) for name in self._kinds}
            log = replace(
                head,
                user=columns["user"] - np.int32(first),
                item=columns["item"],
                rating=columns.get("rating"),
                time=columns.get("time"),
                user_ids=IdMap(head.user_ids.array.slice(first, end - first)),
            )
            yield Group(first, log)

    def remove(self) -> None:
        """Delete the files."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def _file(self, name: str) -> Path:
        return self._directory / name

    def _count(self, counts: NDArray[np.int64], first_user: int) -> None:
        missing = first_user + len(counts) - len(self._rows_of_user)
        if missing > 0:
            self._rows_of_user = np.append(self._rows_of_user, np.zeros(missing, np.int64))
        self._rows_of_user[first_user : first_user + len(counts)] += counts

    def _before(self, n_users: int) -> NDArray[np.int64]:
        """Return the number of rows before each user, and in all, (users + 1,)."""
        counts = np.zeros(n_users, np.int64)
        counts[: len(self._rows_of_user)] = self._rows_of_user
        return np.concatenate([[0], np.cumsum(counts)])

    def _bounds(self, n_users: int) -> list[int]:
        """Return the first user of each group, and the number of users."""
        before, bounds = self._before(n_users), [0]
        while bounds[-1] < n_users:
            most = before[bounds[-1]] + self._most_rows
            last = int(np.searchsorted(before, most, side="right")) - 1
            bounds.append(max(last, bounds[-1] + 1))
        return bounds

    def _ends(self, bounds: list[int]) -> NDArray[np.int64]:
        """Return how many rows of each run are before these users, (runs, bounds)."""
        found, start = np.zeros((len(self._lengths), len(bounds)), np.int64), 0
        for run, length in enumerate(self._lengths):
            users = self._slice("user", np.dtype(np.int32), start, start + length)
            found[run] = np.searchsorted(users, bounds)
            start += length
        return found

    def _column(self, name: str, slices: list[tuple[int, int]]) -> Any:
        kinds = self._kinds[name]
        parts = [
            self._slice(name, kind, start, end)
            for kind, (start, end) in zip(kinds, slices, strict=True)
            if end > start
        ]
        # Whole numbers of one run, and fractions of another, are fractions.
        return np.concatenate([np.zeros(0, np.result_type(*kinds)), *parts])

    # Read by blocks, not mapped: a limit of the address space counts what is mapped.
    def _slice(self, name: str, kind: np.dtype[Any], start: int, end: int) -> NDArray[Any]:
        size = kind.itemsize
        return np.fromfile(self._file(name), kind, end - start, offset=start * size)
