"""Directories of files that are split already, as LightGCN, RecBole and others publish them."""

from __future__ import annotations

import re
from pathlib import Path

from diffrec_cli.data.dataset_record import PARTS
from diffrec_cli.errors import DataError

_WORDS = {
    "train": ("train", "training"),
    "valid": ("valid", "validation", "val", "dev"),
    "test": ("test", "testing"),
}


def split_files(directory: str | Path) -> dict[str, Path]:
    """Return the files of a directory by part: train, valid, test; none if it has no such files.

    They have such a word in their name: ``train.txt``, ``ml-100k.valid.inter``. Train and test have
    to be there; valid may be missing. Hidden files do not count.

    Raises
    ------
    DataError
        There are two files of one part, or no test beside train and valid: joined, they would be
        split anew.
    """
    found: dict[str, list[Path]] = {part: [] for part in PARTS}
    for path in sorted(Path(directory).iterdir()):
        words = re.split(r"[._-]", path.name.lower())
        if not path.name.startswith((".", "_")) and (part := _part(words)):
            found[part].append(path)
    counts = [len(found[part]) for part in PARTS]
    if counts in ([1, 1, 1], [1, 0, 1]) and all(
        files[0].is_file() for files in found.values() if files
    ):
        return {part: files[0] for part, files in found.items() if files}
    if sum(count > 0 for count in counts) > 1:
        names = ", ".join(path.name for files in found.values() for path in files)
        raise DataError(
            f"{directory}: not one file each of train and test, and valid if there is one: {names}",
            "leave one of each, or give the files one by one to have them split anew",
        )
    return {}


def _part(words: list[str]) -> str | None:
    """Return the part whose word comes first."""
    return next((part for word in words for part in PARTS if word in _WORDS[part]), None)
