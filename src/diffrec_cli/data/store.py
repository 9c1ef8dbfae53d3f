"""Prepared datasets under their names, in the state directory."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from diffrec_cli.data.dataset import Dataset
from diffrec_cli.errors import DiffrecError, NotFoundError, StorageError, UsageError
from diffrec_cli.files import incoming, storage_errors, sweep_incoming, sync_tree
from diffrec_cli.paths import check_name, datasets_dir, is_name


def name_from_path(path: Path) -> str:
    """Return a valid dataset name made from a file's name.

    Examples
    --------
    >>> name_from_path(Path("logs/My ratings (2024).csv.gz"))
    'My-ratings-2024'
    """
    stem = path.name
    while Path(stem).suffix.lower() in _LOG_SUFFIXES:
        stem = Path(stem).stem
    cleaned = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:100]
    return cleaned or "log"


_LOG_SUFFIXES = {".csv", ".tsv", ".txt", ".dat", ".gz", ".inter", ".parquet", ".data"}


def save(dataset: Dataset, *, overwrite: bool = False) -> tuple[Path, bool]:
    """Publish `dataset` under its name.

    Returns
    -------
    Its directory, and whether the same content already stood there and was reused.

    Raises
    ------
    UsageError
        Other content has that name and `overwrite` is not set.
    StorageError
        The directory cannot be written or the disk is full.
    """
    final = datasets_dir() / check_name(dataset.name, "dataset")
    if final.exists():
        if _holds(final, dataset):
            return final, True
        if not overwrite:
            raise UsageError(
                f"dataset {dataset.name!r} exists with other content",
                "give another --name, or --overwrite to replace it",
            )
    with storage_errors(final):
        sweep_incoming(final.parent) if final.parent.exists() else None
        temporary = incoming(final.parent)
        try:
            dataset.save(temporary)
            sync_tree(temporary)
            _swap(temporary, final)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return final, False


def load(name: str) -> Dataset:
    """Load the dataset of that name; raise :class:`NotFoundError` if there is none."""
    return Dataset.load(find(name))


def find(name: str) -> Path:
    """Return the directory of the dataset of that name."""
    directory = datasets_dir() / check_name(name, "dataset")
    if not directory.is_dir():
        raise NotFoundError(
            f"no dataset {name!r}", "see `diffrec data ls`, or make it with `diffrec prepare`"
        )
    return directory


def names() -> list[str]:
    """Return the names of all prepared datasets."""
    if not datasets_dir().is_dir():
        return []
    return sorted(path.name for path in datasets_dir().iterdir() if is_name(path.name))


def summaries() -> list[dict[str, Any]]:
    """Return the record of every prepared dataset; a damaged one has the key ``error``."""
    records = []
    for name in names():
        try:
            record = Dataset.read_summary(datasets_dir() / name)
        except DiffrecError as error:
            record = {"error": error.what}
        records.append({**record, "dataset": name})
    return records


def remove(name: str) -> None:
    """Delete the dataset of that name; models fitted on it keep their own copy."""
    directory = find(name)
    with storage_errors(directory):
        shutil.rmtree(directory)


def _holds(directory: Path, dataset: Dataset) -> bool:
    try:
        return bool(Dataset.read_summary(directory)["content_hash"] == dataset.content_hash)
    except StorageError:
        return False


def _swap(temporary: Path, final: Path) -> None:
    """Put `temporary` in the place of `final`, moving an old one out of the way first."""
    if not final.exists():
        temporary.replace(final)
        return
    old = incoming(final.parent)
    try:
        final.replace(old / "old")
        try:
            temporary.replace(final)
        except BaseException:  # an interrupt too must not leave the name empty
            (old / "old").replace(final)
            raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
