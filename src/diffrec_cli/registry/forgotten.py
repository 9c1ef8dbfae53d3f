"""Which stored data lost users: nothing that was read from them before is published after.

A model may take long to make. If a user is forgotten meanwhile, the histories that were read still
have them. So `forget` keeps the hashes of the data that it replaces, which tell nothing of users.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from diffrec_cli.errors import CorruptError, LockedError
from diffrec_cli.files import dump_json, read_record, write_atomically
from diffrec_cli.paths import home

_FILE, _KIND, _SCHEMA = "forgotten.json", "forgotten", 1


class Watch:
    """Tells which data lost users since this was made; make it before they are read."""

    def __init__(self) -> None:
        self._known = len(_hashes())

    def require_whole(self, content_hash: str) -> None:
        """Raise a :class:`LockedError` if data of this hash lost users meanwhile."""
        if content_hash in _hashes()[self._known :]:
            raise LockedError(
                "another process took users out of these data meanwhile",
                "run the same command again: it then begins without them",
            )


def add(hashes: Iterable[str]) -> None:
    """Note data that are about to lose users; the registry is locked."""
    noted = [*_hashes(), *dict.fromkeys(hashes)]
    record = {"kind": _KIND, "schema_version": _SCHEMA, "hashes": noted}
    write_atomically(home() / _FILE, dump_json(record))


def _hashes() -> list[str]:
    with suppress(CorruptError):  # there is none yet
        return list(read_record(home() / _FILE, kind=_KIND, schema_version=_SCHEMA)["hashes"])
    return []
