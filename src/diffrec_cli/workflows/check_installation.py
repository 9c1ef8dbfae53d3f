"""A check of versions, devices, disk, stored models and datasets, and of what is left over."""

from __future__ import annotations

import itertools
import platform
import shutil
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from diffrec_cli import __version__
from diffrec_cli.data import store as datasets
from diffrec_cli.errors import DeviceError, LockedError, NotFoundError, StorageError
from diffrec_cli.files import directory_size, publish_directory
from diffrec_cli.paths import config_file, datasets_dir, home, models_dir
from diffrec_cli.registry import versions as registry
from diffrec_cli.transactions import finish_interrupted
from diffrec_cli.workflows.leftovers import OLD_DAYS, Old, all_of, old_ones
from diffrec_cli.workflows.progress import Listener, Note, silent

_PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "pandas", "pyarrow", "safetensors", "typer")

_ENOUGH = 2**30  # bytes of free disk


@dataclass(frozen=True)
class Check:
    """One line of the report: what was checked, whether it is well, what was found."""

    name: str
    ok: bool
    found: str


@dataclass(frozen=True)
class Diagnosis:
    """All checks, in the order of the report, and what is old.

    Parameters
    ----------
    checks
        One line each.
    old
        What work left long ago and nobody uses.
    """

    checks: list[Check]
    old: list[Old]

    @property
    def ok(self) -> bool:
        """Whether every check is well."""
        return all(check.ok for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "ok": self.ok,
            "checks": [asdict(check) for check in self.checks],
            "old": [asdict(one) for one in self.old],
        }


def doctor(*, fix: bool = False, listener: Listener = silent) -> Diagnosis:
    """Check everything that diffrec needs; a `forget` that was killed is finished before.

    Parameters
    ----------
    fix
        Remove what work left long ago, see :mod:`~diffrec_cli.workflows.leftovers`; else nothing
        is changed.
    listener
        Gets what is removed.
    """
    interrupted = _interrupted()
    old = {kind: old_ones(kind, remove=fix) for kind in OLD_DAYS}
    for one in itertools.chain(*old.values()):
        if one.removed:
            listener(
                Note(f"removed {one.path}: {_mib(one.bytes)}, unchanged for {one.days:.0f} days")
            )
    checks = [
        Check("diffrec", ok=True, found=__version__),
        Check("python", ok=True, found=f"{platform.python_version()} on {platform.platform()}"),
        *(_package(name) for name in _PACKAGES),
        *_devices(),
        _home(),
        *interrupted,
        Check("config file", ok=True, found=_config()),
        _models(),
        _datasets(),
        *(_leftovers(kind, found) for kind, found in old.items()),
    ]
    return Diagnosis(checks, [one for found in old.values() for one in found])


def _package(name: str) -> Check:
    try:
        return Check(name, ok=True, found=version(name))
    except PackageNotFoundError:
        return Check(name, ok=False, found="not installed: reinstall diffrec-cli")


def _devices() -> list[Check]:
    try:
        import torch

        from diffrec_cli.training.devices import choose_device, device_name, fast_bf16
    except DeviceError:
        raise
    except Exception as error:  # a broken torch is reported, too
        return [Check("torch", ok=False, found=f"cannot be imported: {error}")]
    device = choose_device("auto")
    bf16 = "fast bf16" if fast_bf16(device) else "no fast bf16"
    checks = [Check("device", ok=True, found=f"{device_name(device)}, {bf16}")]
    if device != "cpu" or torch.version.cuda is None:
        return checks
    found = f"torch was built for CUDA {torch.version.cuda} but finds no device"
    return [*checks, Check("cuda", ok=True, found=found)]


def _interrupted() -> list[Check]:
    """Finish a `forget` that was killed; return why it cannot be."""
    try:
        finish_interrupted(home())
    except LockedError:  # it is being finished
        return []
    except StorageError as error:
        return [Check("forget", ok=False, found=f"cannot be finished: {error.what}; {error.fix}")]
    return []


def _home() -> Check:
    root = home()
    existing = next(path for path in (root, *root.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    try:
        with publish_directory(existing) as own:
            links = _has_links(own)
    except OSError as error:
        return Check("home", ok=False, found=f"{root}: cannot be written ({error.strerror})")
    found = f"{root}: {_size(root)} used, {free / 2**30:.1f} GiB free"
    if not links:
        found += "; no links here, so versions of models cannot share files"
    if free < _ENOUGH:
        found += f", too little: free {_ENOUGH / 2**30:.0f} GiB or more"
    return Check("home", ok=free >= _ENOUGH, found=found)


def _has_links(directory: Path) -> bool:
    """Tell whether the file system lets a file have several names; write to a directory."""
    file = directory / "file"
    file.write_bytes(b"")
    try:
        (directory / "link").hardlink_to(file)
    except OSError:
        return False
    return True


def _config() -> str:
    path = config_file()
    return str(path) if path.exists() else f"none ({path})"


def _models() -> Check:
    try:
        listed = registry.list_models()
    except StorageError as error:
        return Check("models", ok=False, found=error.what)
    damaged = [f"{m.reference}: {problem}" for m in listed if (problem := _model_problem(m))]
    found = f"{len(listed)} in {models_dir()}, {_size(models_dir())}"
    return Check("models", ok=not damaged, found="; ".join([found, *damaged]))


def _datasets() -> Check:
    try:
        records = datasets.summaries()
    except StorageError as error:
        return Check("datasets", ok=False, found=error.what)
    damaged = [f"{r['dataset']}: {p}" for r in records if (p := _dataset_problem(r))]
    found = f"{len(records)} in {datasets_dir()}, {_size(datasets_dir())}"
    return Check("datasets", ok=not damaged, found="; ".join([found, *damaged]))


def _model_problem(model: registry.ListedModel) -> str | None:
    """Check every file of a model; return what is wrong."""
    if model.error:
        return model.error
    try:
        registry.verify(model.reference).require_ok()
    except NotFoundError:
        return None  # just removed
    except StorageError as error:
        return error.what
    return None


def _dataset_problem(record: dict[str, Any]) -> str | None:
    """Load a dataset and compare its content with its hash; return what is wrong."""
    if "error" in record:
        return str(record["error"])
    try:
        dataset = datasets.load(record["dataset"])
    except NotFoundError:
        return None  # just removed
    except StorageError as error:
        return error.what
    return None if dataset.content_hash == record["content_hash"] else "changed since it was stored"


def _leftovers(kind: str, old: list[Old]) -> Check:
    """Tell how much there is of a kind, and what of it was old."""
    found = f"{len(all_of(kind))} left"
    if not old:
        return Check(kind, ok=True, found=found)
    size = _mib(sum(one.bytes for one in old))
    unchanged = f"{len(old)} unchanged for {OLD_DAYS[kind]} days or more ({size})"
    if old[0].removed:
        return Check(kind, ok=True, found=f"{found}; removed {unchanged}")
    fix = "`diffrec doctor --fix` removes them"
    return Check(kind, ok=True, found=f"{found}; {unchanged}: {fix}")


def _size(directory: Path) -> str:
    return _mib(directory_size(directory) if directory.is_dir() else 0)


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
