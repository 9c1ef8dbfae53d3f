"""Kinds of events and counts of a log: which rows are kept, and how much each counts."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from diffrec_cli.config import ReadOptions
from diffrec_cli.errors import DataError

_NAMED = 20  # kinds that a message names
_MOST = 30_000  # kinds: more than a log has, and few enough for int16


@dataclass(frozen=True, slots=True)
class Events:
    """What kind of event each row of a log is.

    Parameters
    ----------
    kind
        (n,) int16 place in `kinds`.
    kinds
        Names of the kinds, as written.
    """

    kind: NDArray[np.int16]
    kinds: tuple[str, ...]

    @staticmethod
    def of(column: pa.ChunkedArray, where: str) -> Events:
        """Return the kinds in a column of :data:`~.raw_log.ID_TYPE`.

        Raises
        ------
        DataError
            There are more kinds than a log can have.
        """
        unified = column.unify_dictionaries()
        names = unified.chunk(0).dictionary.to_pylist()
        if len(names) > _MOST:
            raise DataError(
                f"{where}: {len(names):,} kinds of events", "give another column as --event-col"
            )
        codes = np.concatenate(
            [np.asarray(chunk.indices.fill_null(-1)) for chunk in unified.chunks]
        )
        return Events(codes.astype(np.int16), tuple(name or "" for name in names)).compact()

    def compact(self) -> Events:
        """Return the same with the kinds that rows have, sorted; '' is that of rows without."""
        names = np.array([*self.kinds, ""])[self.kind]
        kinds, kind = np.unique(names, return_inverse=True)
        return Events(kind.astype(np.int16), tuple(kinds.tolist()))

    def take(self, rows: NDArray[np.int64]) -> Events:
        """Return the kinds of some rows."""
        return Events(self.kind[rows], self.kinds)

    def places(self, names: tuple[str, ...], option: str) -> NDArray[np.int16]:
        """Return the places of kinds by their names.

        Raises
        ------
        DataError
            The log has no such kind.
        """
        for name in names:
            if name not in self.kinds or not (self.kind == self.kinds.index(name)).any():
                raise DataError(
                    f"{option} {name}: no row is of that kind; the log has {self._listed()}",
                    f"did you mean {self._near(name)!r}?"
                    if self._near(name)
                    else "give kinds as the log has them",
                )
        return np.array([self.kinds.index(name) for name in names], np.int16)

    def counts(self) -> dict[str, int]:
        """Return the number of rows of each kind."""
        found = np.bincount(self.kind, minlength=len(self.kinds))
        return dict(zip(self.kinds, found.tolist(), strict=True))

    def _listed(self) -> str:
        shown = ", ".join(f"{kind} {n:,}" for kind, n in list(self.counts().items())[:_NAMED])
        more = f" and {len(self.kinds) - _NAMED:,} more" if len(self.kinds) > _NAMED else ""
        return f"{shown}{more}"

    def _near(self, name: str) -> str:
        return next(iter(difflib.get_close_matches(name, self.kinds, n=1)), "")


def strengths(
    events: Events | None,
    counts: NDArray[np.float32] | None,
    options: ReadOptions,
    rows: int,
    *,
    whole: bool = True,
) -> NDArray[np.float32] | None:
    """Return how much each row counts, (rows,): 0 for those that are left out.

    That is the weight of its kind times log2(1 + count): 1 for a count of 1. ``None``: all rows are
    1.

    Parameters
    ----------
    events
        The kinds, if they are read.
    counts
        (rows,) counts of 0 or more, if there is a column of them.
    options
        The kinds to keep, and their weights.
    rows
        Number of rows.
    whole
        Whether each kind that an option names must be there; a few new events need not have all.

    Raises
    ------
    DataError
        The log has no kind that an option names.
    """
    found = np.ones(rows, np.float32)
    if events is not None:
        of_kind = np.ones(len(events.kinds), np.float32)
        kinds, weights = options.kinds, options.weight_of_kind
        if not whole:
            kinds = tuple(kind for kind in kinds if kind in events.kinds)
            weights = {kind: w for kind, w in weights.items() if kind in events.kinds}
        if options.kinds:
            of_kind[:] = 0
            of_kind[events.places(kinds, "--event-kinds")] = 1
        of_kind[events.places(tuple(weights), "--event-weights")] *= list(weights.values())
        found *= of_kind[events.kind]
    if counts is not None:
        found *= np.log2(1 + counts)
    return found if np.any(found != 1) else None


def in_words(events: Events, strength: NDArray[np.float32] | None) -> str:
    """Return how many rows there are of each kind, and how much each counts.

    Examples
    --------
    >>> events = Events(np.array([0, 1, 1], np.int16), ("buy", "view"))
    >>> in_words(events, np.array([1, 0.2, 0.2], np.float32))
    'events: buy 1, view 2 (of strength 0.2)'
    """
    said = []
    for place, (kind, count) in enumerate(events.counts().items()):
        mine: Any = [1.0] if strength is None else strength[events.kind == place]
        low, high = float(min(mine)), float(max(mine))
        how = "left out" if high == 0 else f"of strength {low:.3g}"
        how = how if low == high else f"{how} to {high:.3g}"
        said.append(f"{kind or '(none)'} {count:,}{'' if low == high == 1 else f' ({how})'}")
    more = f" and {len(said) - _NAMED:,} more kinds" if len(said) > _NAMED else ""
    return f"events: {', '.join(said[:_NAMED])}{more}"
