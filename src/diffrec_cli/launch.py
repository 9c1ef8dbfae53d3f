"""How ``torchrun`` started this process; needs no torch."""

from __future__ import annotations

import os

from diffrec_cli.errors import UsageError

_MARK = "TORCHELASTIC_RUN_ID"


def launched() -> tuple[int, int]:
    """Return the number of this process and how many there are; (0, 1) without ``torchrun``.

    Clusters set RANK for programs of other kinds, too, so torchrun's own mark is asked for.

    Raises
    ------
    UsageError
        The mark is there, but a variable that goes with it is no number. So say all here.
    """
    return _number("RANK", 0), _number("WORLD_SIZE", 1)


def cores() -> int:
    """Return how many threads of this process can compute at once: processes share the cores."""
    return max(1, (os.cpu_count() or 1) // neighbours()[1])


def neighbours() -> tuple[int, int]:
    """Return the number of this process on its machine, and how many run there."""
    return _number("LOCAL_RANK", 0), _number("LOCAL_WORLD_SIZE", 1)


def _number(name: str, least: int) -> int:
    """Return a number that torchrun sets; without its mark the least that there is."""
    said = os.environ.get(name, str(least)) if _MARK in os.environ else str(least)
    if not said.isdecimal() or int(said) < least:
        raise UsageError(
            f"{name}={said}: no number from {least} on, though {_MARK} is set",
            f"start it with torchrun, or unset {_MARK}",
        )
    return int(said)
