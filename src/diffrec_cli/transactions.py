"""Several directories replaced and deleted in one go: a kill leaves all as it was, or all done.

The new directories lie complete in ``HOME/forgetting`` before any old one moves, with a plan of
what takes whose place. That name is the point of no return: whoever comes next finishes the plan.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
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
        self._content: dict[str, tuple[str, str]] = {}
        self._delete: list[str] = []

    def replacement(self, old: Path, record: str, content_hash: str) -> Path:
        """Return an empty directory; what is written to it takes the place of `old`.

        Parameters
        ----------
        old
            What is to be replaced.
        record
            The JSON file below `old` with a ``content_hash``.
        content_hash
            That hash: what has another by then is newer, and stays.
        """
        name = f"new-{len(self._put)}"
        self._put[name] = old.relative_to(self.home).as_posix()
        self._content[name] = record, content_hash
        new = self.directory / name
        new.mkdir()
        return new

    def delete(self, old: Path) -> None:
        """Delete a directory or a file."""
        self._delete.append(old.relative_to(self.home).as_posix())

    def commit(self) -> None:
        """Do all of it."""
        plan = {"put": self._put, "content": self._content, "delete": self._delete}
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
        put, content, delete = _plan(directory / _PLAN)
        for name, old in put.items():
            if not _is_newer(home / old, *content.get(name, ())):
                _exchange(directory / name, home / old, directory / f"old-{name}")
        for number, old in enumerate(delete):
            if (home / old).exists():
                (home / old).replace(directory / f"old-{number}")
                sync((home / old).parent)
        (directory / _PLAN).unlink()
        sync(directory)
    shutil.rmtree(directory)
    sync(home)


def _is_newer(final: Path, record: str = "", content_hash: str = "") -> bool:
    """Tell whether other content has that name than when the plan was made."""
    with suppress(OSError, ValueError, LookupError, TypeError):
        return bool(json.loads((final / record).read_bytes())["content_hash"] != content_hash)
    return False


def _exchange(new: Path, final: Path, old: Path) -> None:
    """Put `new` in the place of `final`, which becomes `old`, unless another process removed it."""
    if not new.exists() or not (final.exists() or old.exists()):
        return
    if final.exists():
        final.replace(old)
    put_in_place(new, final)


def _plan(path: Path) -> tuple[Mapping[str, str], Mapping[str, Sequence[str]], Sequence[str]]:
    try:
        record = read_record(path, kind=_KIND, schema_version=_SCHEMA)
    except CorruptError as error:
        raise CorruptError(error.what, _KEEP.format(path.parent)) from error
    put, content, delete = record.get("put"), record.get("content", {}), record.get("delete")
    if not (isinstance(put, dict) and isinstance(content, dict) and isinstance(delete, list)):
        raise CorruptError(
            f"{path}: {json.dumps(record)[:60]} is no plan", _KEEP.format(path.parent)
        )
    return put, content, delete
