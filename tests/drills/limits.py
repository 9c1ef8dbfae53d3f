"""Little memory, few files, small files, few processes: ``python -m drills.limits``.

Below :data:`FLOOR` Python itself cannot start: such tries are not made. Root is exempt from limits
on processes, so those are tried as another user, and not at all by one who is not root.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable, Iterable, Iterator

from drills.shop import READING, WRITING, Ending, Shop, row, shop
from drills.table import Row, show

#: Bytes of address space that Python needs to start and to say what is wrong.
FLOOR = 100_000_000
MEMORY = range(100_000_000, 1_700_000_000, 100_000_000)
FILES = (8, 10, 12, 16, 20, 24, 32, 48, 64)
FILE_BYTES = (0, 1, 100, 1_000, 4_000, 10_000, 20_000, 100_000)
PROCESSES = (0, 1, 2)
NOBODY = 65_534


def limited(kind: int, value: int) -> Callable[[], None]:
    """Return what sets a limit in a process that begins."""
    return lambda: resource.setrlimit(kind, (value, value))


def _tries(shop: Shop, kind: int, values: Iterable[int], **options: object) -> Iterator[Ending]:
    for number, value in enumerate(values):
        commands = (*READING, *WRITING)
        for command in commands[number % 3 :: 3]:
            yield shop.run(command, limited(kind, value), **options)


def drill() -> list[Row]:
    """Try a third of the commands under each limit."""
    rows = []
    for kind, limit, values in (
        ("memory (ulimit -v)", resource.RLIMIT_AS, MEMORY),
        ("open files (ulimit -n)", resource.RLIMIT_NOFILE, FILES),
        ("size of files (ulimit -f)", resource.RLIMIT_FSIZE, FILE_BYTES),
    ):
        with shop() as one:
            endings = list(_tries(one, limit, values))
            rows.append(row(kind, endings, filter(None, [one.harm()])))
    return [*rows, *_processes()]


def _processes() -> list[Row]:
    if os.geteuid() != 0:
        print("limits on processes are tried by root, as another user: skipped", file=sys.stderr)
        return []
    with shop() as one:
        for path in (one.root, *one.root.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        other = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        endings = list(_tries(one, resource.RLIMIT_NPROC, PROCESSES, **other))
        return [row("processes (ulimit -u)", endings, filter(None, [one.harm()]))]


def main() -> int:
    return show(drill())


if __name__ == "__main__":
    sys.exit(main())
