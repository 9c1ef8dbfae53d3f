"""Models by name, each with versions 1, 2, and so on.

On disk::

    models/NAME/VERSION/      model.json  weights.safetensors  epochs.jsonl  data/
    models/default.json       the default model (:mod:`~diffrec_cli.registry.default`)
    models/.lock              held while names or versions change

A version is written to a temporary directory and then renamed, so readers need no lock. They hold
its record, which keeps it from being pruned (:mod:`~diffrec_cli.registry.pruning`). The name and
version are those of the directory, not of the record, which makes renaming one step. Equal files of
versions are one file of several names (:mod:`~diffrec_cli.registry.sharing`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffrec_cli.errors import (
    CorruptError,
    LockedError,
    NotFoundError,
    StorageError,
    UsageError,
)
from diffrec_cli.files import (
    Freed,
    check_user_file,
    delete_directory,
    directory_size,
    dump_json,
    locked,
    publish_directory,
    put_in_place,
    sync,
    sync_tree,
)
from diffrec_cli.holds import hold
from diffrec_cli.paths import models_dir
from diffrec_cli.registry import archive
from diffrec_cli.registry.artifact import RECORD, Artifact, write_files
from diffrec_cli.registry.default import default_key, point, point_to_none, pointed, settle
from diffrec_cli.registry.record import ModelRecord, package_versions
from diffrec_cli.registry.references import (
    Key,
    all_keys,
    check_model_name,
    directory_of,
    locate,
    parse,
    reference_to,
    require_versions,
    versions_of,
)
from diffrec_cli.registry.sharing import StoredFiles
from diffrec_cli.registry.verification import Verification, check, check_content
from diffrec_cli.system_errors import writing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from diffrec_cli.data.dataset import Dataset

LOCK_TIMEOUT = 10.0  # seconds; the lock is held only during renames


@dataclass(frozen=True)
class ListedModel:
    """One line of the list of models."""

    name: str
    """Name in the registry."""
    version: int
    """Version under that name."""
    path: Path
    """Its directory."""
    size: int
    """Bytes of all its files."""
    own: int
    """Bytes of those that nothing else has: what its removal frees."""
    default: bool
    """Whether it is the default."""
    record: ModelRecord | None
    """Its record; None if that is damaged."""
    error: str | None
    """What is wrong with the record, if anything."""

    @property
    def reference(self) -> str:
        """``NAME@VERSION``."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True)
class Sighting:
    """A version as it lies on the disk: another one if its files were replaced, as by ``forget``.

    Parameters
    ----------
    key
        Name and version.
    written, file
        Time and number of the file of its record.
    """

    key: Key
    written: int
    file: int

    @property
    def reference(self) -> str:
        """``NAME@VERSION``."""
        return reference_to(self.key)


def publish(
    record: ModelRecord,
    weights: Mapping[str, NDArray[Any]],
    dataset: Dataset,
    epoch_log: Iterable[Mapping[str, Any]],
    *,
    make_default: bool = True,
    after: int | None = None,
    require: Callable[[], None] | None = None,
    timeout: float = LOCK_TIMEOUT,
) -> Artifact:
    """Store a model as the next version of its name.

    Parameters
    ----------
    record
        What the fit knows, see :class:`ModelRecord`.
    weights
        The arrays of the model.
    dataset
        The dataset that it was fitted on, of which the model keeps a copy.
    epoch_log
        One entry for each epoch.
    make_default
        Whether it becomes the default.
    after
        The version that must still be the latest; ``None`` checks nothing.
    require
        Called while the registry is locked; what it raises prevents the change.
    timeout
        Seconds to wait for the lock.

    Returns
    -------
    The stored model, with its version.

    Raises
    ------
    UsageError
        The name is not allowed.
    LockedError
        Another process has locked the registry, or has stored a version since `after`.
    StorageError
        The registry cannot be written, or the disk is full.
    """
    check_model_name(record.name)
    with _staging() as directory:
        files = write_files(directory, weights, dataset, epoch_log)
        filled = dataclasses.replace(
            record,
            created=datetime.now(UTC).isoformat(),
            dataset={**dataset.summary(), "content_hash": dataset.content_hash},
            packages=record.packages or package_versions(),
            files=files,
        )
        return _install(
            directory,
            filled,
            make_default=make_default,
            after=after,
            require=require,
            timeout=timeout,
        )


def latest_version(name: str) -> int:
    """Return the highest version under a name, 0 if there is none."""
    return max(versions_of(name), default=0)


def is_default(artifact: Artifact) -> bool:
    """Tell whether a model is the default."""
    return default_key() == (artifact.record.name, artifact.record.version)


def resolve(reference: str | None = None) -> Artifact:
    """Return the model that a reference means.

    Parameters
    ----------
    reference
        ``NAME`` or ``NAME@latest`` (the highest version), ``NAME@3``, or None: the default.

    Raises
    ------
    UsageError
        It is not a reference.
    NotFoundError
        There is no such model; the fix suggests similar names.
    CorruptError, NewerSchemaError
        Its record cannot be used.
    """
    while True:
        key = _meant(reference)
        held = hold(directory_of(key) / RECORD)
        try:
            return dataclasses.replace(_open(key), hold=held)
        except CorruptError:
            if directory_of(key).exists():  # else it was just removed
                raise


def sighted(reference: str | None) -> Sighting | None:
    """Return what a reference means now, without opening it; ``None`` if that is gone.

    Without a reference it is the default that someone made one: when that is removed, no other
    model takes its place here, as it does in :func:`resolve`.
    """
    try:
        key = pointed() if reference is None else locate(reference)
        if key is None:
            return None
        record = (directory_of(key) / RECORD).stat()
    except (NotFoundError, FileNotFoundError, NotADirectoryError):
        return None
    return Sighting(key, record.st_mtime_ns, record.st_ino)


def artifacts() -> list[Artifact]:
    """Return every version of every model; raise :class:`CorruptError` if one is damaged."""
    return [_open(key) for key in all_keys()]


def list_models() -> list[ListedModel]:
    """Return all versions of all models; a damaged one has an error instead of a record."""
    default = default_key()
    listed = [_listed(key, is_default=key == default) for key in all_keys()]
    return [model for model in listed if model is not None]


def covered_by(reference: str) -> list[str]:
    """Return the versions that a reference covers: all of ``NAME``, one of ``NAME@3``."""
    name, selector = parse(reference)
    if selector is not None:
        return [reference_to(locate(reference))]
    return [reference_to((name, version)) for version in require_versions(name)]


def remove(reference: str, *, timeout: float = LOCK_TIMEOUT) -> list[str]:
    """Delete the versions of :func:`covered_by`, damaged or not, and return their references."""
    with changing(timeout):
        removed = covered_by(reference)
        keys = [locate(reference) for reference in removed]
        if pointed() in keys:
            point_to_none()
        for key in keys:
            delete_directory(directory_of(key), models_dir())
        with suppress(OSError):  # other versions are left
            directory_of(keys[0]).parent.rmdir()
    return removed


def rename(old_name: str, new_name: str, *, timeout: float = LOCK_TIMEOUT) -> None:
    """Rename a model with all its versions.

    Raises
    ------
    NotFoundError
        There is no model of the old name.
    UsageError
        The new name is taken or not allowed.
    """
    check_model_name(old_name)
    check_model_name(new_name)
    with changing(timeout):
        require_versions(old_name)
        if versions_of(new_name):
            raise UsageError(
                f"model {new_name!r} exists", f"choose another name, or remove {new_name!r} first"
            )
        default = pointed()
        target = models_dir() / new_name
        with suppress(FileNotFoundError):
            target.rmdir()  # a killed process may have left an empty one
        if default is not None and default[0] == old_name:
            point((new_name, default[1]), until_then=default)
        (models_dir() / old_name).replace(target)
        sync(models_dir())


def set_default(reference: str, *, timeout: float = LOCK_TIMEOUT) -> Artifact:
    """Make a model the default, and return it."""
    with changing(timeout):
        artifact = resolve(reference)
        point((artifact.record.name, artifact.record.version))
    return artifact


def verify(reference: str | None = None) -> Verification:
    """Recompute the hash of every file of a model, and load it.

    Raises
    ------
    CorruptError
        The record is damaged; the result tells of problems with other files.
    """
    return check(resolve(reference))


def export(reference: str | None, out: Path, *, overwrite: bool = False) -> Path:
    """Write a model to one file.

    Parameters
    ----------
    reference
        As for :func:`resolve`.
    out
        The file, or an existing directory for a file ``NAME-VERSION.tar``.
    overwrite
        Whether an existing file may be replaced.

    Returns
    -------
    The file.

    Raises
    ------
    UsageError
        The file exists, or cannot be written.
    CorruptError
        The model is damaged.
    """
    artifact = resolve(reference)
    record = artifact.record
    with writing(out):
        final = out / f"{record.name}-{record.version}.tar" if out.is_dir() else out
    check_user_file(final, overwrite=overwrite)
    check_content(artifact).require_ok()
    archive.pack(artifact, final, overwrite=overwrite)
    return final


def import_(path: Path, name: str | None = None, *, timeout: float = LOCK_TIMEOUT) -> Artifact:
    """Store an exported model as the next version of its name.

    Parameters
    ----------
    path
        A file that :func:`export` wrote.
    name
        Another name for the model.
    timeout
        Seconds to wait for the lock.

    Returns
    -------
    The stored model; it does not become the default.

    Raises
    ------
    UsageError
        There is no such file, or the name is not allowed.
    DataError
        The archive is damaged, or not an export; nothing was stored.
    NewerSchemaError
        It was written by a newer diffrec.
    """
    if name is not None:
        check_model_name(name)
    if not path.is_file():
        raise UsageError(f"{path}: no such file", "give a file that `diffrec models export` wrote")
    with _staging() as directory:
        record = archive.unpack(path, directory)
        named = dataclasses.replace(record, name=check_model_name(name or record.name))
        return _install(directory, named, make_default=False, timeout=timeout)


# Writing -------------------------------------------------------------------------------------


@contextmanager
def _staging() -> Iterator[Path]:
    """Give an empty directory beside the models; it is removed unless it was installed."""
    with writing(models_dir()), publish_directory(models_dir()) as directory:
        yield directory


def _install(
    directory: Path,
    record: ModelRecord,
    *,
    make_default: bool,
    after: int | None = None,
    require: Callable[[], None] | None = None,
    timeout: float,
) -> Artifact:
    """Rename a complete directory of :func:`_staging` to the next version."""
    stored = StoredFiles.of_versions()
    stored.add_prepared(record)
    stored.share(directory, record.files)
    sync_tree(directory)  # before the lock, since this takes long
    with changing(timeout):
        if require is not None:
            require()
        latest = latest_version(record.name)
        if after is not None and latest != after:
            raise LockedError(
                f"{record.name}@{latest} was stored in the meantime by another process",
                "run the same command again: it then begins with that version",
            )
        version = latest + 1
        numbered = dataclasses.replace(record, version=version).to_dict()
        (directory / RECORD).write_bytes(dump_json(numbered))
        sync(directory / RECORD)
        sync(directory)
        key = (record.name, version)
        directory_of(key).parent.mkdir(exist_ok=True)
        settle(key if make_default else None)
        put_in_place(directory, directory_of(key))
        sync(models_dir())
    return _open(key)


@contextmanager
def changing(timeout: float = LOCK_TIMEOUT) -> Iterator[None]:
    """Lock the registry while names, versions or the default change."""
    with writing(models_dir()), locked(models_dir(), timeout):
        yield


# Single versions ------------------------------------------------------------------------------


def _meant(reference: str | None) -> Key:
    """Return the existing version that a reference means; ``None``: the default."""
    if reference is not None:
        return locate(reference)
    key = default_key()
    if key is None:
        raise NotFoundError("there is no model yet", "make one with `diffrec fit`")
    return key


def _open(key: Key) -> Artifact:
    artifact = Artifact.open(directory_of(key))
    record = dataclasses.replace(artifact.record, name=key[0], version=key[1])
    return dataclasses.replace(artifact, record=record)


def _listed(key: Key, *, is_default: bool) -> ListedModel | None:
    """Describe one version; None if it was removed in the meantime."""
    record, error = None, None
    try:
        record = _open(key).record
    except StorageError as problem:
        error = problem.what
    path, size, own = directory_of(key), 0, 0
    if not path.exists():
        return None
    with suppress(OSError):  # a file was removed or cannot be read
        size, own = directory_size(path), Freed().by(path)
    return ListedModel(*key, path, size, own, is_default, record, error)
