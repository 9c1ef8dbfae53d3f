"""Directories of files that are split already, as LightGCN, RecBole and others publish them."""

from __future__ import annotations

import re
from pathlib import Path

from diffrec_cli.data.dataset import PARTS

_WORDS = {
    "train": ("train", "training"),
    "valid": ("valid", "validation", "val", "dev"),
    "test": ("test", "testing"),
}


def split_files(directory: str | Path) -> dict[str, Path]:
    """Return the files of a directory by part: train, valid, test; none if it has no such files.

    They have such a word in their name: ``train.txt``, ``ml-100k.valid.inter``. Train and
    test have to be there, each once; valid may be missing.
    """
    found: dict[str, list[Path]] = {part: [] for part in PARTS}
    for path in sorted(Path(directory).iterdir()):
        words = re.split(r"[._-]", path.name.lower())
        for part in PARTS:
            if path.is_file() and any(word in words for word in _WORDS[part]):
                found[part].append(path)
    counts = [len(found[part]) for part in PARTS]
    if counts not in ([1, 1, 1], [1, 0, 1]):
        return {}
    return {part: files[0] for part, files in found.items() if files}
