"""Old versions of a model are removed, but not the newest, the default, or what is in use."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from diffrec_cli.errors import UsageError
from diffrec_cli.files import Freed, publish_directory, sync
from diffrec_cli.holds import alone
from diffrec_cli.paths import models_dir
from diffrec_cli.registry.artifact import RECORD
from diffrec_cli.registry.references import check_model_name, require_versions
from diffrec_cli.registry.versions import LOCK_TIMEOUT, ListedModel, changing, list_models
from diffrec_cli.system_errors import writing

IN_USE = "in use: another process reads it"


@dataclass(frozen=True)
class Removal:
    """A version that was removed, or would be."""

    model: str
    """Its reference."""
    created: str
    """When it was stored."""
    freed_bytes: int
    """Bytes that this frees, after the removals before it."""


@dataclass(frozen=True)
class Kept:
    """A version that stays."""

    model: str
    """Its reference."""
    why: str
    """Why it stays."""


@dataclass(frozen=True)
class Pruned:
    """What a pruning removed and kept, or would."""

    name: str
    """Name of the model."""
    removed: tuple[Removal, ...]
    """Versions that are gone, oldest first."""
    kept: tuple[Kept, ...]
    """Versions that stay."""
    dry_run: bool
    """Whether nothing was changed."""

    @property
    def freed_bytes(self) -> int:
        """Bytes that all removals free."""
        return sum(one.freed_bytes for one in self.removed)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "name": self.name,
            "removed": [asdict(one) for one in self.removed],
            "kept": [asdict(one) for one in self.kept],
            "freed_bytes": self.freed_bytes,
            "dry_run": self.dry_run,
        }


def prune(
    name: str,
    keep: int,
    older_than: float | None = None,
    *,
    only: Collection[str] | None = None,
    timeout: float = LOCK_TIMEOUT,
) -> Pruned:
    """Remove old versions of a model.

    Parameters
    ----------
    name
        Name of the model.
    keep
        Number of newest versions that stay; damaged ones stay too, and do not count.
    older_than
        Age in seconds: younger versions stay.
    only
        References: others stay. ``None``: any may go.
    timeout
        Seconds to wait for the registry's lock.

    Raises
    ------
    UsageError
        Nothing would be kept.
    NotFoundError
        There is no such model.
    LockedError, StorageError
        The registry is locked, or cannot be written.
    """
    # The lock is held for renames alone: what is moved to the grave is deleted after it.
    with (
        writing(models_dir()),
        publish_directory(models_dir()) as grave,
        changing(timeout),
    ):
        old, kept = _sorted_out(name, keep, older_than)
        asked = [model for model in old if only is None or model.reference in only]
        later = [Kept(one.reference, "old only now") for one in old if one not in asked]
        pruned = _pruned(name, asked, [*kept, *later], grave)
        sync(models_dir() / name)
    return pruned


def prunable(name: str, keep: int, older_than: float | None = None) -> Pruned:
    """Return what :func:`prune` would do now; change nothing."""
    return _pruned(name, *_sorted_out(name, keep, older_than), None)


def _sorted_out(
    name: str, keep: int, older_than: float | None
) -> tuple[list[ListedModel], list[Kept]]:
    """Return the versions that may go, and why the others stay; oldest first."""
    if keep < 1:
        raise UsageError(f"--keep {keep}: at least 1", "`diffrec models rm NAME` removes all")
    require_versions(check_model_name(name))
    listed = [model for model in list_models() if model.name == name]
    newest = [model for model in listed if model.record is not None][-keep:]
    reasons = [(model, _why_kept(model, newest, older_than)) for model in listed]
    old = [model for model, why in reasons if why is None]
    return old, [Kept(model.reference, why) for model, why in reasons if why is not None]


def _pruned(name: str, old: list[ListedModel], kept: list[Kept], grave: Path | None) -> Pruned:
    """Move what nobody reads to the grave, if there is one, and say what was done."""
    removed, in_use, freed = list[Removal](), list[Kept](), Freed()
    for model in old:
        with alone(model.path / RECORD) as free:
            if not free:
                in_use.append(Kept(model.reference, IN_USE))
                continue
            created = "" if model.record is None else model.record.created
            removed.append(Removal(model.reference, created, freed.by(model.path)))
            if grave is not None:
                model.path.replace(grave / str(model.version))
    return Pruned(name, tuple(removed), (*in_use, *kept), dry_run=grave is None)


def _why_kept(
    model: ListedModel, newest: Collection[ListedModel], older_than: float | None
) -> str | None:
    """Return why a version stays, whoever reads it; None if it need not."""
    if model.default:
        return "the default"
    if model.record is None:
        return "damaged: remove it with `diffrec models rm`"
    if model in newest:
        return f"of the newest {len(newest)}"
    age = _age(model.record.created)
    if older_than is not None and (age is None or age < older_than):
        return "not that old" if age is not None else "of unknown age"
    return None


def _age(created: str) -> float | None:
    """Return the seconds since a time of publication; None if that is unreadable."""
    try:
        moment = datetime.fromisoformat(created)
    except ValueError:
        return None
    return (datetime.now(UTC) - moment.astimezone(UTC)).total_seconds()
