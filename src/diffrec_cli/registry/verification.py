"""Checks that a stored model agrees with its record and can be loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from diffrec_cli.errors import CorruptError, DiffrecError, NewerSchemaError
from diffrec_cli.files import sha256_file
from diffrec_cli.registry.artifact import DATA, EPOCHS, RECORD, WEIGHTS, Artifact
from diffrec_cli.system_errors import reading


@dataclass(frozen=True)
class FileCheck:
    """The result for one file."""

    path: str
    """Relative to the model's directory."""
    problem: str | None
    """What is wrong; None if nothing is."""


@dataclass(frozen=True)
class Verification:
    """The result for a model."""

    reference: str
    """``NAME@VERSION``."""
    checks: tuple[FileCheck, ...]
    """All files that exist or should."""

    @property
    def sound(self) -> bool:
        """Whether no file has a problem."""
        return all(check.problem is None for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        files = [
            {"path": c.path, "ok": c.problem is None, "found": c.problem or "as written"}
            for c in self.checks
        ]
        return {"model": self.reference, "sound": self.sound, "files": files}

    def require_ok(self) -> None:
        """Raise a :class:`CorruptError` that names the first bad file, if there is one."""
        for check in self.checks:
            if check.problem is not None:
                raise CorruptError(
                    f"{self.reference}: {check.path}: {check.problem}",
                    "import the model again from an export, or remove it and fit again",
                )


def check_content(artifact: Artifact) -> Verification:
    """Compare all files with their sizes and hashes in the record, and look for others."""
    checks = [FileCheck(path, _content_problem(artifact, path)) for path in _paths(artifact)]
    artifact.require_there()
    return Verification(artifact.record.reference, tuple(checks))


def check(artifact: Artifact) -> Verification:
    """Do as :func:`check_content`, and load the files if they are unchanged."""
    content = check_content(artifact)
    if not content.sound:
        return content
    checks = [FileCheck(c.path, _loading_problem(artifact, c.path)) for c in content.checks]
    return Verification(content.reference, tuple(checks))


def _paths(artifact: Artifact) -> list[str]:
    present = {
        path.relative_to(artifact.path).as_posix()
        for path in artifact.path.rglob("*")
        if not path.is_dir()
    }
    return sorted(present | set(artifact.record.files) | set(_LOADERS))


def _content_problem(artifact: Artifact, path: str) -> str | None:
    if path == RECORD:
        return None  # it was already read, and has no hash
    entry, file = artifact.record.files.get(path), artifact.path / path
    if entry is None:
        return "does not belong to the model" if file.exists() else "missing"
    if not file.is_file():
        return "missing"
    if (size := file.stat().st_size) != entry.bytes:
        return f"{size:,} bytes instead of {entry.bytes:,}"
    with artifact.there(), reading(file):
        return None if sha256_file(file) == entry.sha256 else "its content has changed"


def _loading_problem(artifact: Artifact, path: str) -> str | None:
    try:
        with reading(artifact.path / path):
            _LOADERS.get(path, _nothing)(artifact)
    except (CorruptError, NewerSchemaError) as error:
        return error.what
    except DiffrecError:
        raise
    # A parser may raise anything on a file that someone else made.
    except Exception as error:
        return f"cannot be loaded ({error.__class__.__name__}: {error})"
    return None


def _nothing(artifact: Artifact) -> None:
    """Check nothing more."""


def _dataset(artifact: Artifact) -> None:
    if artifact.dataset().content_hash != artifact.record.dataset.get("content_hash"):
        raise CorruptError("not the dataset that the model was fitted on", "import it again")


_LOADERS: dict[str, Callable[[Artifact], Any]] = {
    RECORD: Artifact.config,
    WEIGHTS: Artifact.weights,
    EPOCHS: Artifact.epoch_log,
    f"{DATA}/dataset.json": _dataset,
}
