"""Several directories replaced and deleted in one go: a kill leaves all as it was, or all done.

The new directories lie complete in ``HOME/forgetting`` before any old one moves, with a plan of
what takes whose place. That name is the point of no return: whoever comes next finishes the plan.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from diffrec_cli.errors import CorruptError
from diffrec_cli.files import (
    dump_json,
    locked,
    publish_directory,
    put_in_place,
    read_record,
    sync,
    sync_tree,
)
from diffrec_cli.system_errors import writing

_DIRECTORY, _PLAN = "forgetting", "plan.json"
_KIND, _SCHEMA = "plan", 1
_LOCK_TIMEOUT = 10.0  # seconds
_KEEP = "move {} elsewhere and keep it: it may have the only copy of something"


class Transaction:
    """New directories, and old ones to delete, that change at once.

    Parameters
    ----------
    home
        The root; everything is below it.
    directory
        An empty directory for what is new.
    """

    def __init__(self, home: Path, directory: Path) -> None:
        self.home, self.directory = home, directory
        self._put: dict[str, str] = {}
        self._delete: list[str] = []

    def replacement(self, old: Path) -> Path:
        """Return an empty directory; what is written to it takes the place of `old`."""
        name = f"new-{len(self._put)}"
        self._put[name] = old.relative_to(self.home).as_posix()
        new = self.directory / name
        new.mkdir()
        return new

    def delete(self, old: Path) -> None:
        """Delete a directory or a file."""
        self._delete.append(old.relative_to(self.home).as_posix())

    def commit(self) -> None:
        """Do all of it."""
        numbers = {new: _number(self.home / old) for new, old in self._put.items()}
        plan = {"put": self._put, "numbers": numbers, "delete": self._delete}
        record = {"kind": _KIND, "schema_version": _SCHEMA, **plan}
        (self.directory / _PLAN).write_bytes(dump_json(record))
        sync_tree(self.directory)
        put_in_place(self.directory, self.home / _DIRECTORY)
        _finish(self.home)


@contextmanager
def transaction(home: Path) -> Iterator[Transaction]:
    """Give a transaction, with the root locked; without a commit nothing changes."""
    with writing(home), locked(home, _LOCK_TIMEOUT):
        if (home / _DIRECTORY).exists():
            _finish(home)
        with publish_directory(home) as directory:
            yield Transaction(home, directory)


def finish_interrupted(home: Path) -> None:
    """Finish a transaction that was killed after its point of no return."""
    with writing(home):
        if (home / _DIRECTORY).exists():
            with locked(home, _LOCK_TIMEOUT):
                if (home / _DIRECTORY).exists():
                    _finish(home)


def _finish(home: Path) -> None:
    """Carry the plan out; what is done already is not done again."""
    directory = home / _DIRECTORY
    if (directory / _PLAN).exists():
        put, numbers, delete = _plan(directory / _PLAN)
        for name, old in put.items():
            moved = directory / f"old-{name}"
            _exchange(directory / name, home / old, moved, numbers.get(name))
        for number, old in enumerate(delete):
            if (home / old).exists():
                (home / old).replace(directory / f"old-{number}")
                sync((home / old).parent)
        (directory / _PLAN).unlink()
        sync(directory)
    shutil.rmtree(directory)
    sync(home)


def _exchange(new: Path, final: Path, old: Path, number: int | None) -> None:
    """Put `new` in the place of `final`, which becomes `old`.

    What another process removed, or replaced by newer content, since the plan was made stays so.
    """
    if not new.exists() or not (final.exists() or old.exists()):
        return
    if final.exists():
        if number not in (None, _number(final)):
            return
        final.replace(old)
    put_in_place(new, final)


def _number(directory: Path) -> int:
    """Return what tells a directory from others of its name."""
    return directory.stat().st_ino


def _plan(path: Path) -> tuple[Mapping[str, str], Mapping[str, int], Sequence[str]]:
    try:
        record = read_record(path, kind=_KIND, schema_version=_SCHEMA)
    except CorruptError as error:
        raise CorruptError(error.what, _KEEP.format(path.parent)) from error
    put, numbers, delete = record.get("put"), record.get("numbers", {}), record.get("delete")
    if not (isinstance(put, dict) and isinstance(numbers, dict) and isinstance(delete, list)):
        raise CorruptError(
            f"{path}: {json.dumps(record)[:60]} is no plan", _KEEP.format(path.parent)
        )
    return put, numbers, delete
