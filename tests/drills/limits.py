"""Little memory, few files, small files, few processes: ``python -m tests.drills.limits``.

Below :data:`FLOOR` Python itself cannot start: such tries are not made. Root is exempt from limits
on processes, so those are tried as another user, and not at all by one who is not root.
"""

from __future__ import annotations

import os
import resource
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from tests.drills.shop import READING, WRITING, Ending, Shop, row, shop
from tests.drills.table import Row, show

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


def few_processes(value: int) -> tuple[str, ...]:
    """Return the words before a command that run it as another user with so many processes.

    That user may read what root may: Python often lies where others may not look.
    """
    may = "-all,+dac_override"
    caps = (f"--inh-caps={may}", f"--ambient-caps={may}", f"--bounding-set={may}")
    user = (f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    return ("setpriv", *user, *caps, "prlimit", f"--nproc={value}")


def _tries(values: Iterable[int], run: Callable[[str, int], Ending]) -> Iterator[Ending]:
    for number, value in enumerate(values):
        commands = (*READING, *WRITING)
        for command in commands[number % 3 :: 3]:
            yield run(command, value)


def drill() -> list[Row]:
    """Try a third of the commands under each limit."""
    rows = []
    for kind, limit, values in (
        ("memory (ulimit -v)", resource.RLIMIT_AS, MEMORY),
        ("open files (ulimit -n)", resource.RLIMIT_NOFILE, FILES),
        ("size of files (ulimit -f)", resource.RLIMIT_FSIZE, FILE_BYTES),
    ):
        with shop() as one:
            endings = list(_tries(values, partial(_limited, one, limit)))
            rows.append(row(kind, endings, filter(None, [one.harm()])))
    return [*rows, *_processes()]


def _limited(shop: Shop, kind: int, command: str, value: int) -> Ending:
    return shop.run(command, limited(kind, value))


def _processes() -> list[Row]:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        print("limits on processes are tried by root, as another user: skipped", file=sys.stderr)
        return []
    with shop() as one:
        for path in (one.root, *one.root.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        endings = list(
            _tries(PROCESSES, lambda words, most: one.run(words, prefix=few_processes(most)))
        )
        return [row("processes (ulimit -u)", endings, filter(None, [one.harm()]))]


def main() -> int:
    return show(drill())


if __name__ == "__main__":
    sys.exit(main())
