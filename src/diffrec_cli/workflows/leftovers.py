"""What work left behind in the home, and is old: nobody has used it for long, or does now.

Interrupted fits can be resumed, and comparisons and searches go on where they were, for 30 days
after their last change. What a killed write left goes with the next one, and is told after a day.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from diffrec_cli.files import INCOMING_PREFIX, publish_directory
from diffrec_cli.holds import alone
from diffrec_cli.paths import (
    TRIALS,
    comparisons_dir,
    datasets_dir,
    home,
    models_dir,
    runs_dir,
    tuning_dir,
)
from diffrec_cli.system_errors import writing

RUNS, COMPARISONS, TUNING, WRITES = "runs", "comparisons", "tuning", "interrupted writes"
#: Days without a change after which a kind of left-over is old.
OLD_DAYS = {RUNS: 30, COMPARISONS: 30, TUNING: 30, WRITES: 1}

_DAY = 86_400.0  # seconds
_LOCKS = ("lock", ".held", ".begin")  # ends of names: these files change without any work


@dataclass(frozen=True)
class Leftover:
    """Files of one piece of work.

    Parameters
    ----------
    kind
        One of :data:`OLD_DAYS`.
    paths
        A directory, or the main file with those that go with it.
    lock
        What is locked or held while the work goes on; it need not exist.
    """

    kind: str
    paths: tuple[Path, ...]
    lock: Path

    @property
    def bytes(self) -> int:
        """Their size."""
        return sum(path.stat().st_size for path in self._files())

    @property
    def days(self) -> float:
        """Days since the last change."""
        changed = [path for path in self._files() if not path.name.endswith(_LOCKS)]
        last = max(path.stat().st_mtime for path in changed or self.paths)
        return (time.time() - last) / _DAY

    @property
    def old(self) -> bool:
        """Whether it has not been changed for long."""
        return self.days >= OLD_DAYS[self.kind]

    def _files(self) -> Iterator[Path]:
        for path in self.paths:
            yield from [path] if path.is_file() else filter(Path.is_file, path.rglob("*"))


@dataclass(frozen=True)
class Old:
    """A left-over that is old and that nobody uses.

    Parameters
    ----------
    kind
        One of :data:`OLD_DAYS`.
    path
        Its directory or main file.
    bytes
        Its size.
    days
        Days since its last change.
    removed
        Whether it was removed.
    """

    kind: str
    path: str
    bytes: int
    days: float
    removed: bool


def all_of(kind: str) -> list[Leftover]:
    """Return everything of a kind, old or not."""
    if kind == RUNS:
        return [Leftover(kind, (path,), path / "lock") for path in _inside(runs_dir())]
    if kind == COMPARISONS:
        return [Leftover(kind, (path,), path / TRIALS) for path in _inside(comparisons_dir())]
    if kind == TUNING:
        journals = (path for path in _inside(tuning_dir()) if path.suffix == ".journal")
        return [
            Leftover(kind, (path, *_with(path)), path.with_name(f"{path.name}.held"))
            for path in journals
        ]
    parents = (home(), models_dir(), datasets_dir())
    paths = (path for parent in parents for path in sorted(parent.glob(f"{INCOMING_PREFIX}*")))
    return [Leftover(kind, (path,), path) for path in paths]


def old_ones(kind: str, *, remove: bool) -> list[Old]:
    """Return what of a kind is old and not in use; remove it if that is wanted."""
    return [old for one in all_of(kind) if (old := _as_old(one, remove)) is not None]


def _as_old(one: Leftover, remove: bool) -> Old | None:
    """Describe a left-over if it is old and not in use, and remove it if that is wanted."""
    try:
        with alone(one.lock) as free:
            if not (free and one.old):
                return None
            found = Old(one.kind, str(one.paths[0]), one.bytes, one.days, remove)
            if remove:
                _remove(one)
            return found
    except FileNotFoundError:  # another process removes it
        return None


def _remove(one: Leftover) -> None:
    """Move it away whole, then delete it; a kill leaves it to the next sweep."""
    with writing(one.paths[0]), publish_directory(home()) as grave:
        for path in one.paths:
            path.replace(grave / path.name)


def _inside(directory: Path) -> list[Path]:
    return sorted(path for path in directory.glob("*") if not path.name.startswith("."))


def _with(journal: Path) -> list[Path]:
    return sorted(journal.parent.glob(f"{journal.name}.*"))
