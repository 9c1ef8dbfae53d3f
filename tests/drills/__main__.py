"""All drills, or those that are named, as one table: ``python -m tests.drills [NAME...]``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence

from tests.drills.table import Row, show

NAMES = (
    "kills",
    "concurrency",
    "disk",
    "permissions",
    "limits",
    "streams",
    "terminal",
    "races",
    "archives",
)


def rows(names: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of each drill."""
    for name in names:
        yield from importlib.import_module(f"tests.drills.{name}").drill()


if __name__ == "__main__":
    sys.exit(show(rows(sys.argv[1:] or NAMES)))
