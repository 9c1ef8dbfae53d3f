"""How ``torchrun`` started this process; needs no torch."""

from __future__ import annotations

import os

_MARK = "TORCHELASTIC_RUN_ID"


def launched() -> tuple[int, int]:
    """Return the number of this process and how many there are; (0, 1) without ``torchrun``.

    Clusters set RANK for programs of other kinds, too, so torchrun's own mark is asked for.
    """
    if _MARK not in os.environ:
        return 0, 1
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def cores() -> int:
    """Return how many threads of this process can compute at once: processes share the cores."""
    return max(1, (os.cpu_count() or 1) // neighbours()[1])


def neighbours() -> tuple[int, int]:
    """Return the number of this process on its machine, and how many run there."""
    return int(os.environ.get("LOCAL_RANK", "0")), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
