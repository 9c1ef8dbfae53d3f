"""The registry's models: listed, shown, removed, pruned, renamed, carried elsewhere, verified."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffrec_cli.registry import pruning
from diffrec_cli.registry import versions as registry
from diffrec_cli.registry.pruning import Pruned
from diffrec_cli.registry.verification import Verification
from diffrec_cli.registry.versions import ListedModel


@dataclass(frozen=True)
class Removed:
    """Model versions that were removed.

    Parameters
    ----------
    models
        Their references.
    new_default
        The default model, if it is another one now.
    """

    models: Sequence[str]
    new_default: str | None


def list_models() -> list[ListedModel]:
    """Return every version of every model; a damaged one carries its error."""
    return registry.list_models()


def show_model(model: str | None = None) -> dict[str, Any]:
    """Return everything that is recorded about a model, and its path."""
    artifact = registry.resolve(model)
    return {**artifact.record.to_dict(), "path": str(artifact.path)}


def remove_model(model: str, *, confirm: Callable[[Sequence[str]], None]) -> Removed:
    """Remove a version of a model, or with a name alone all of them.

    Parameters
    ----------
    model
        Reference.
    confirm
        Is called with the references that will be removed; what it raises prevents it.
    """
    before = _default()
    confirm(registry.covered_by(model))
    removed = registry.remove(model)
    after = _default()
    return Removed(removed, after if after != before else None)


def prune_model(
    model: str,
    keep: int,
    older_than: str | None = None,
    *,
    dry_run: bool = False,
    confirm: Callable[[Pruned], None] = lambda found: None,
) -> Pruned:
    """Remove old versions of a model, but not the default, or what a process reads.

    Parameters
    ----------
    model
        Its name.
    keep
        Number of newest versions that stay.
    older_than
        Also keep what is younger: ``30d``, ``12h``, ``4w``.
    dry_run
        Only say what would be removed.
    confirm
        Is called with what will be removed, if anything; what it raises prevents it.

    Raises
    ------
    UsageError
        `keep` is below 1, or `older_than` is no span of time.
    NotFoundError
        There is no such model.
    """
    from diffrec_cli.data.splitting.window import seconds_of

    age = None if older_than is None else seconds_of(older_than, "--older-than")
    found = pruning.prunable(model, keep, age)
    if dry_run:
        return found
    if found.removed:
        confirm(found)
    return pruning.prune(model, keep, age, only={one.model for one in found.removed})


def rename_model(old: str, new: str) -> None:
    """Give a model, with all its versions, another name."""
    registry.rename(old, new)


def default_model(model: str | None = None) -> str:
    """Make a model the default if one is given; return the default's reference."""
    if model is not None:
        registry.set_default(model)
    return registry.resolve(None).record.reference


def export_model(model: str | None, out: Path, *, overwrite: bool = False) -> Path:
    """Write a model into one file, or into a file in a directory; return its path."""
    return registry.export(model, out, overwrite=overwrite)


def import_model(archive: Path, name: str | None = None) -> str:
    """Take a model from a file that :func:`export_model` wrote; return its reference."""
    return registry.import_(archive, name).record.reference


def verify_model(model: str | None = None) -> Verification:
    """Check every file of a model against its recorded hash."""
    return registry.verify(model)


def _default() -> str | None:
    return next((model.reference for model in registry.list_models() if model.default), None)
