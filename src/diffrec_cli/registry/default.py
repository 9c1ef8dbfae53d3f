"""Which model is the default: what ``default.json`` says, else the newest model.

The file may name a version that is about to appear, and the default until then. So the one step in
which a version appears also makes it the default. It is written while the registry is locked.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from diffrec_cli.errors import StorageError, UsageError
from diffrec_cli.files import dump_json, read_record, write_atomically
from diffrec_cli.paths import models_dir
from diffrec_cli.registry.artifact import Artifact
from diffrec_cli.registry.references import (
    DEFAULT,
    Key,
    all_keys,
    check_model_name,
    directory_of,
    versions_of,
)

_KIND = "default-model"
_SCHEMA = 1


def default_key() -> Key | None:
    """Return the default, else the newest model, else None."""
    return pointed() or max(all_keys(), key=_created, default=None)


def pointed() -> Key | None:
    """Return the model in the file that exists; None if there is none."""
    try:
        record = read_record(models_dir() / DEFAULT, kind=_KIND, schema_version=_SCHEMA)
        keys = [_key(values) for values in (record, record.get("until_then")) if values]
    except (StorageError, UsageError, KeyError, TypeError, ValueError):
        return None
    return next((key for key in keys if key[1] in versions_of(key[0])), None)


def settle(coming: Key | None) -> None:
    """Make a version that is about to appear the default, or see that it does not become it."""
    if coming is not None:
        point(coming, until_then=default_key())
    elif (models_dir() / DEFAULT).exists() and (now := pointed()) is not None:
        point(now)


def point(key: Key, until_then: Key | None = None) -> None:
    """Write which model is the default, and which one is until that exists."""
    record = {"kind": _KIND, "schema_version": _SCHEMA, **_values(key)}
    if until_then is not None:
        record["until_then"] = _values(until_then)
    write_atomically(models_dir() / DEFAULT, dump_json(record))


def point_to_none() -> None:
    """Remove the file: the newest model is the default from now on."""
    (models_dir() / DEFAULT).unlink()


def _key(values: Mapping[str, Any]) -> Key:
    return check_model_name(str(values["name"])), int(values["version"])


def _values(key: Key) -> dict[str, Any]:
    return {"name": key[0], "version": key[1]}


def _created(key: Key) -> tuple[str, Key]:
    """Return a key that orders by time of publication; damaged versions are first.

    So is one that says to be of the future, as an imported one may: it would stay the newest.
    """
    try:
        created = Artifact.open(directory_of(key)).record.created
    except StorageError:
        return "", key
    return created if created <= datetime.now(UTC).isoformat() else "", key
