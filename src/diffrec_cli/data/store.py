"""Prepared datasets under their names, in the state directory.

On disk::

    datasets/NAME/            dataset.json and its arrays, see Dataset
    datasets/.replaced-NAME/  what NAME was, while another dataset takes its place
    datasets/.lock            held while names change

Not every system can exchange two directories in one step. So the old one is moved aside until the
new one is in place. After a kill in between, the next reader moves it back.
"""

from __future__ import annotations

import difflib
import json
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.dataset_record import RECORD, read_summary
from diffrec_cli.errors import (
    CorruptError,
    LockedError,
    NotFoundError,
    StorageError,
    UsageError,
)
from diffrec_cli.files import (
    delete_directory,
    dump_json,
    locked,
    publish_directory,
    put_in_place,
    sync_tree,
    write_atomically,
)
from diffrec_cli.paths import LONGEST_NAME, check_name, datasets_dir, is_name, may_be_in_name
from diffrec_cli.system_errors import reading, writing


def name_from_path(path: Path) -> str:
    """Return a valid dataset name made from a file's name.

    Examples
    --------
    >>> name_from_path(Path("logs/My ratings (2024).csv.gz"))
    'My-ratings-2024'
    >>> name_from_path(Path("оценки.csv"))
    'оценки'
    """
    stem = path.name
    while Path(stem).suffix.lower() in _LOG_SUFFIXES:
        stem = Path(stem).stem
    composed = unicodedata.normalize("NFC", stem)
    spaced = "".join(letter if may_be_in_name(letter) else " " for letter in composed)
    cleaned = "-".join(spaced.split()).strip("-._")[:100]
    while cleaned and len(cleaned.encode()) > LONGEST_NAME:
        cleaned = cleaned[:-1]
    return cleaned if is_name(cleaned) else "log"


_LOG_SUFFIXES = {".csv", ".tsv", ".txt", ".dat", ".gz", ".inter", ".parquet", ".data"}
_REPLACED_PREFIX = ".replaced-"
_LOCK_TIMEOUT = 10.0  # seconds; the lock is held for a few renames and deletions


def save(dataset: Dataset, *, overwrite: bool = False) -> tuple[Path, bool]:
    """Publish `dataset` under its name.

    Returns
    -------
    Its directory, and whether it had the same content already.

    Raises
    ------
    UsageError
        Other content has that name and `overwrite` is not set.
    StorageError
        The directory cannot be written or the disk is full.
    """
    final = datasets_dir() / check_name(dataset.name, "dataset")
    _recover()
    if _has(final, dataset, overwrite):
        _renew(final, dataset)
        return final, True
    with writing(final), publish_directory(datasets_dir()) as directory:
        dataset.save(directory)
        sync_tree(directory)
        with locked(datasets_dir(), _LOCK_TIMEOUT):
            _settle(final)
            reused = _has(final, dataset, overwrite)  # another process may have been faster
            if not reused:
                _replace(final, directory)
    return final, reused


def _has(final: Path, dataset: Dataset, overwrite: bool) -> bool:
    """Tell whether a name has this content; raise if it has another that is not to be replaced."""
    with reading(final):
        if not final.exists():
            return False
    if _holds(final, dataset):
        return True
    if not overwrite:
        raise UsageError(
            f"dataset {dataset.name!r} exists with other content",
            "--overwrite replaces it; or give this one another name "
            "(`prepare --name`, `fit --dataset`)",
        )
    return False


def load(name: str) -> Dataset:
    """Load the dataset of that name; raise :class:`NotFoundError` if there is none."""
    while True:
        directory = find(name)
        number = _number(directory)
        try:
            dataset = Dataset.load(directory)
        except CorruptError:
            if number == _number(directory):  # else it was replaced or removed meanwhile
                raise
        else:
            if number == _number(directory):  # else it may be half of each
                return dataset


def _number(directory: Path) -> int | None:
    """Return what tells a directory from others of its name; None if it is not there."""
    with suppress(FileNotFoundError):
        return directory.stat().st_ino
    return None


def find(name: str) -> Path:
    """Return the directory of the dataset of that name.

    Raises
    ------
    NotFoundError
        There is none; the fix names one with a similar name.
    """
    directory = datasets_dir() / check_name(name, "dataset")
    for _ in range(2):  # if it is being replaced, recovering waits for that
        _recover()
        with reading(directory):
            if directory.is_dir():
                return directory
    raise NotFoundError(f"no dataset {name!r}", hint(name))


def hint(name: str) -> str:
    """Return the fix for an unknown dataset, with a similar name."""
    similar = difflib.get_close_matches(name, names(), n=1)
    meant = f"did you mean {similar[0]!r}? " if similar else ""
    return f"{meant}see `diffrec data ls`, or make it with `diffrec prepare` from a log"


def names() -> list[str]:
    """Return the names of all prepared datasets."""
    with reading(datasets_dir()):
        if not datasets_dir().is_dir():
            return []
        _recover()
        # A dataset moved aside exists as well: it, or its replacement.
        directories = (path for path in datasets_dir().iterdir() if path.is_dir())
        found = {path.name.removeprefix(_REPLACED_PREFIX) for path in directories}
    return sorted(name for name in found if is_name(name))


def summaries() -> list[dict[str, Any]]:
    """Return the record of every prepared dataset; a damaged one has the key ``error``."""
    records = []
    for name in names():
        try:
            record = read_summary(datasets_dir() / name)
        except StorageError as error:
            if _number(datasets_dir() / name) is None:  # just removed
                continue
            record = {"error": error.what}
        records.append({**record, "dataset": name})
    return records


def remove(name: str) -> None:
    """Delete the dataset of that name; models fitted on it keep their own copy."""
    directory = find(name)
    with writing(directory), locked(datasets_dir(), _LOCK_TIMEOUT):
        _settle(directory)  # else old content could get the name again
        delete_directory(directory, datasets_dir())


@contextmanager
def changing() -> Iterator[None]:
    """Lock the store while names or contents change."""
    with writing(datasets_dir()), locked(datasets_dir(), _LOCK_TIMEOUT):
        yield


def _holds(directory: Path, dataset: Dataset) -> bool:
    try:
        return bool(read_summary(directory)["content_hash"] == dataset.content_hash)
    except StorageError:
        return False


def _renew(directory: Path, dataset: Dataset) -> None:
    """Say in the record where the same content came from this time, if it can be written."""
    record, said = read_summary(directory), json.loads(dump_json(dataset.source))
    if (record["source"], record["dropped"]) == (said, dataset.summary()["dropped"]):
        return
    with (
        suppress(StorageError, LockedError),
        writing(directory),
        locked(datasets_dir(), _LOCK_TIMEOUT),
    ):
        if _holds(directory, dataset):  # still
            write_atomically(directory / RECORD, dataset.record(directory))


# Replacing: a kill at any moment leaves one whole dataset -------------------------------------


def _replace(final: Path, new: Path) -> None:
    """Put `new` in the place of `final`, which is moved aside meanwhile."""
    old = _replaced(final)
    try:
        if final.exists():
            final.replace(old)
        put_in_place(new, final)
    except BaseException:  # not even an interrupt may leave the name empty
        if old.exists() and not final.exists():
            old.replace(final)
        raise
    if old.exists():
        delete_directory(old, datasets_dir())


def _recover() -> None:
    """Finish replacements that were killed."""
    if not any(datasets_dir().glob(f"{_REPLACED_PREFIX}*")):
        return
    # In a read-only directory, datasets under their names can still be read.
    with suppress(OSError), locked(datasets_dir(), _LOCK_TIMEOUT):
        for old in datasets_dir().glob(f"{_REPLACED_PREFIX}*"):
            _settle(old.with_name(old.name.removeprefix(_REPLACED_PREFIX)))


def _settle(final: Path) -> None:
    """Move the old dataset back, or delete it if its name is taken."""
    old = _replaced(final)
    if not old.exists():
        return
    if final.exists():
        delete_directory(old, datasets_dir())
    else:
        old.replace(final)


def _replaced(final: Path) -> Path:
    return final.with_name(f"{_REPLACED_PREFIX}{final.name}")
