"""The record of a stored model, ``model.json``."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from diffrec_cli.config.options import ALL, TRAIN, TRAINED_ON
from diffrec_cli.errors import CorruptError, UsageError
from diffrec_cli.paths import check_name
from diffrec_cli.shapes import NUMBER, fits

KIND = "model"
SCHEMA_VERSION = 1

_PACKAGES = ("diffrec-cli", "torch", "numpy", "scipy", "scikit-learn", "safetensors")
# Parts begin with a letter or digit: no path is absolute or hidden, or leads out of the directory.
_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9][A-Za-z0-9._-]{0,99}){0,3}")

#: What lists, verification and reports read of a model's dataset.
_DATASET = {
    **dict.fromkeys(("dataset", "content_hash"), str),
    **dict.fromkeys(("users?", "items?", "interactions?"), int),
}
_METRICS = {"*": (*NUMBER, None)}
#: What is known of a training, in a record.
_TRAINING = {
    **dict.fromkeys(("seed", "epoch", "epochs"), int),
    **dict.fromkeys(("stopped", "device", "precision", "trained_on"), str),
    **dict.fromkeys(("refit", "complete"), bool),
    "seconds": NUMBER,
    "valid": _METRICS,
    "warm_start": {
        "model?": str,
        "epochs?": int,
        "epochs_anew?": int,
        "seconds?": NUMBER,
        "valid?": _METRICS,
    },
}


@dataclass(frozen=True)
class FileEntry:
    """Hash and size of a stored file."""

    sha256: str
    """Hash of its content, in hexadecimal."""
    bytes: int
    """Its size."""


@dataclass(frozen=True)
class TrainingFacts:
    """How a model was trained."""

    seed: int
    """Seed of initial weights, batches, noise and dropout."""
    epoch: int
    """Epoch whose weights were kept, from 1."""
    epochs: int
    """Number of epochs run."""
    stopped: str
    """Why training ended: patience, epochs, time, diverged, interrupted or closed form."""
    seconds: float
    """Wall time."""
    device: str
    """Name of the device."""
    precision: str
    """``fp32`` or ``bf16``."""
    refit: bool = False
    """Whether it was trained again after selection, on more than the train part."""
    trained_on: str = TRAIN
    """What it was trained on in the end: ``train``, ``train+valid`` or ``all``."""
    complete: bool = True
    """False if training was interrupted."""
    valid: Mapping[str, float | None] = field(default_factory=dict)
    """Valid metrics of the kept epoch, unrounded; None if no user could be evaluated."""
    warm_start: Mapping[str, Any] = field(default_factory=dict)
    """The model that training went on from: its reference, epochs, seconds and valid metrics, and
    how many items and users were new, or gone. Empty: training began anew."""


@dataclass(frozen=True)
class ModelRecord:
    """All metadata of a model.

    Publishing fills in ``version``, ``created``, ``dataset``, ``files``, and empty ``packages``.
    """

    name: str
    """Name in the registry."""
    variant: str
    """Name of the model, see :func:`~diffrec_cli.catalogue.names`."""
    config: Mapping[str, Any]
    """Settings, from :meth:`diffrec_cli.config.FitConfig.to_dict`."""
    training: TrainingFacts
    """How it was trained."""
    parameters: int
    """Number of trained parameters."""
    choice: Mapping[str, Any] = field(default_factory=dict)
    """What else was tried, and how it did on valid, if ``auto`` chose the model."""
    version: int = 0
    """Version under its name, from 1; 0 before publication."""
    created: str = ""
    """Time of publication, UTC, ISO 8601."""
    dataset: Mapping[str, Any] = field(default_factory=dict)
    """Summary of the dataset, and its ``content_hash``."""
    packages: Mapping[str, str] = field(default_factory=dict)
    """Versions of packages that the model depends on."""
    files: Mapping[str, FileEntry] = field(default_factory=dict)
    """The other files of the model, by path relative to the record."""

    @property
    def reference(self) -> str:
        """``NAME@VERSION``."""
        return f"{self.name}@{self.version}"

    def to_dict(self) -> dict[str, Any]:
        """Return nested plain values for JSON; numbers that are not finite become None."""
        head = {"kind": KIND, "schema_version": SCHEMA_VERSION}
        plain: dict[str, Any] = finite({**head, **dataclasses.asdict(self)})
        return plain

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> ModelRecord:
        """Read and check the result of :meth:`to_dict`; unknown keys are dropped.

        Raises
        ------
        CorruptError
            A field is missing or of the wrong type, or a path leads out of the directory.
        """
        try:
            return _rebuild(values)
        except (KeyError, TypeError, AttributeError, ValueError, UsageError) as error:
            raise CorruptError(
                f"the model record is damaged ({error.__class__.__name__}: {error})",
                "import the model again from an export, or remove it",
            ) from error


def finite(value: Any) -> Any:
    """Return `value` for JSON: NumPy scalars as plain numbers, NaN and infinity as None."""
    if type(value).__module__ == "numpy":  # a scalar; this needs no import of numpy
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that a model depends on, without importing them."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _rebuild(values: Mapping[str, Any]) -> ModelRecord:
    return ModelRecord(
        name=check_name(_typed(values["name"], str), "model"),
        variant=_typed(values["variant"], str),
        config=_typed(values["config"], dict),
        training=_training(_typed(values["training"], dict)),
        parameters=_count(values["parameters"]),
        choice=_typed(values.get("choice", {}), dict),  # records had none before ``auto``
        version=_count(values["version"]),
        created=_typed(values["created"], str),
        dataset=_shaped("dataset", _typed(values["dataset"], dict), _DATASET),
        packages=_typed(values["packages"], dict),
        files={_path(p): _entry(e) for p, e in _typed(values["files"], dict).items()},
    )


def _training(values: Mapping[str, Any]) -> TrainingFacts:
    # Before there was train+valid, and a warm start:
    earlier = {"trained_on": ALL if values["refit"] else TRAIN, "warm_start": {}}
    known = _shaped("training", {**earlier, **values}, _TRAINING)
    facts = TrainingFacts(**{f.name: known[f.name] for f in dataclasses.fields(TrainingFacts)})
    if facts.trained_on not in TRAINED_ON:
        raise ValueError(f"{facts.trained_on!r} is nothing to train on")
    return facts


def _shaped(what: str, values: dict[str, Any], shape: Mapping[str, Any]) -> dict[str, Any]:
    """Return a part of a record; raise unless it has everything as its shape says."""
    if wrong := [name for name, one in shape.items() if not fits(values, {name: one})]:
        raise TypeError(f"{what}: {', '.join(wrong)}")
    return values


def _entry(values: Mapping[str, Any]) -> FileEntry:
    return FileEntry(_typed(values["sha256"], str), _count(values["bytes"]))


def _path(path: str) -> str:
    if not _PATH.fullmatch(path):
        raise ValueError(f"{path!r} cannot be a file of a model")
    return path


def _count(value: Any) -> int:
    number: int = _typed(value, int)
    if number < 0:
        raise ValueError(f"{number} is below 0")
    return number


def _typed(value: Any, kind: type) -> Any:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{type(value).__name__} where {kind.__name__} belongs")
    return value
