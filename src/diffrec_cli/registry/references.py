"""References to models: ``NAME``, ``NAME@latest`` and ``NAME@3``, and their directories.

Names and versions are those of directories, so damaged records do not matter here.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from diffrec_cli.errors import NotFoundError, StorageError, UsageError
from diffrec_cli.paths import check_name, models_dir

LATEST = "latest"
DEFAULT = "default.json"  # beside the models, so no model may have this name

_VERSION = re.compile(r"[1-9][0-9]{0,8}")

Key = tuple[str, int]  # name and version


def check_model_name(name: str) -> str:
    """Return `name` if it can be the name of a model, else raise :class:`UsageError`."""
    if name == DEFAULT:
        raise UsageError(f"{name!r} is reserved", "choose another name")
    return check_name(name, "model")


def parse(reference: str) -> tuple[str, str | None]:
    """Split a reference into the name and the part after ``@``, if any."""
    name, at, selector = reference.partition("@")
    if at and selector != LATEST and not _VERSION.fullmatch(selector):
        raise UsageError(
            f"{reference!r} is not a model reference",
            "write NAME, NAME@latest or NAME@3 (versions count from 1)",
        )
    return check_model_name(name), selector if at else None


def locate(reference: str) -> Key:
    """Return the existing version that a reference means."""
    name, selector = parse(reference)
    versions = require_versions(name)
    if selector is None or selector == LATEST:
        return name, versions[-1]
    if int(selector) not in versions:
        raise NotFoundError(
            f"model {name!r} has no version {selector}",
            f"it has: {', '.join(map(str, versions))}",
        )
    return name, int(selector)


def require_versions(name: str) -> list[int]:
    """Return the versions of a model; raise :class:`NotFoundError` if there is none."""
    versions = versions_of(name)
    if versions:
        return versions
    close = difflib.get_close_matches(name, sorted({known for known, _ in all_keys()}))
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    raise NotFoundError(f"no model {name!r}", f"{hint}see `diffrec models ls`")


def all_keys() -> list[Key]:
    """Return every version of every model, by name and number."""
    return [
        (n, v) for n in sorted(_directories(models_dir())) if _is_name(n) for v in versions_of(n)
    ]


def versions_of(name: str) -> list[int]:
    """Return the versions under a name, lowest first."""
    return sorted(int(n) for n in _directories(models_dir() / name) if _VERSION.fullmatch(n))


def _directories(parent: Path) -> list[str]:
    try:
        return [path.name for path in parent.iterdir() if path.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StorageError(
            f"cannot read {parent}: {error.strerror}",
            "check the permissions, or set DIFFREC_HOME to another directory",
        ) from error


def _is_name(name: str) -> bool:
    try:
        return bool(check_model_name(name))
    except UsageError:
        return False


def directory_of(key: Key) -> Path:
    """Return the directory of a version, which need not exist."""
    return models_dir() / key[0] / str(key[1])


def reference_to(key: Key) -> str:
    """Return the reference of this version."""
    return f"{key[0]}@{key[1]}"
