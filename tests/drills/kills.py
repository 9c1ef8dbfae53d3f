"""Kills of every writing command: before operations that change files, and at random moments.

After each, models and datasets are whole, what was there before is there, and the same command
does what it would have done.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.drills.forked import Fork
from tests.drills.shop import FAST_FIT, REFUSED, Ending, Shop, copied, shop
from tests.drills.table import Row, show

COMMANDS = (
    "prepare LOG --name other --min-rating 3",
    "prepare LOG --name log --min-rating 3 --overwrite",
    f"fit log -v base --name shop {FAST_FIT}",
    "fit log -v graph --name shop --set parts=filter,ridge",
    "fit log --warm-start shop@1 --device cpu",
    "update shop NEW",
    "forget --user u0001 --yes",
    "models import ARCHIVE",
    "models export shop OUT/shop.tar",
    "models mv shop store",
    "models default shop@1",
    "models rm shop@1 --yes",
    "models prune shop --keep 1 --yes",
    "data sample OUT/made.csv --users 120 --items 60 --interactions 2400",
    "data rm log --yes",
    "recommend --all-users -o OUT/lists.csv",
    "recommend --all-users -o OUT/lists.parquet",
    "report shop -o OUT/shop.html --overwrite",
    "export shop@1 --vectors OUT/vectors",
)
#: Of a command's operations so many are tried, spread over all, and so many moments.
OPERATIONS, MOMENTS = 18, 4
#: These take something away.
_REMOVE = ("models rm", "models mv", "models prune", "data rm", "forget")
_CHANGES = {"os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir", "os.truncate"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def main() -> int:
    """Run the drill."""
    return show(drill())


def drill() -> Iterator[Row]:
    """Yield a row for each command."""
    with shop() as original:
        ending = original.run("fit log -v pop --name shop --no-default")
        if ending.code:
            raise RuntimeError(ending.err)
        for command in COMMANDS:
            yield _row(original, command)


def _row(original: Shop, command: str) -> Row:
    total, seconds, wanted = _undisturbed(original, command)
    step = max(1, total // OPERATIONS)
    tries = list(range(1, total + 1, step))
    chance = random.Random(command)
    moments = [chance.uniform(0, seconds) for _ in range(MOMENTS)]
    killed = finished = 0
    faults = []
    for operation, moment in [*((n, None) for n in tries), *((0, m) for m in moments)]:
        with TemporaryDirectory(prefix="drill-") as directory:
            tried = copied(original, Path(directory))
            fork = Fork(tried, command, partial(die_at, operation, tried.root))
            if moment is not None:
                time.sleep(moment)
                os.kill(fork.pid, signal.SIGKILL)
            ending = fork.ended()
            killed += ending.code == -signal.SIGKILL
            finished += ending.code == 0
            harm = _harm(original, tried, command, ending, wanted)
            if harm is not None:
                where = f"operation {operation} of {total}" if moment is None else f"{moment:.2f} s"
                faults.append(f"killed at {where}: {harm}")
    return Row(command, len(tries) + len(moments), finished, 0, killed, tuple(faults))


def _undisturbed(original: Shop, command: str) -> tuple[int, float, tuple[str, ...]]:
    """Return how many operations a command has, its time, and what it leaves."""
    with TemporaryDirectory(prefix="drill-") as directory:
        tried = copied(original, Path(directory))
        count = tried.root / "count"
        started = time.perf_counter()
        ending = Fork(tried, command, lambda: _count_into(count, tried.root)).ended()
        seconds = time.perf_counter() - started
        if ending.code:
            raise RuntimeError(f"{command}: {ending.err}")
        total = len(count.read_bytes())
        count.unlink()
        return total, seconds, _left(tried)


def _count_into(count: Path, root: Path) -> None:
    """Add a byte to a file for each operation, also in processes that are forked."""
    descriptor = os.open(count, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    _at_each_operation(root, lambda: os.write(descriptor, b"."))


def die_at(operation: int, root: Path) -> None:
    """Kill this process just before its n-th operation that changes files below a directory."""
    numbers = itertools.count(1)

    def die() -> None:
        if next(numbers) == operation:
            os.kill(os.getpid(), signal.SIGKILL)

    _at_each_operation(root, die)


def _at_each_operation(root: Path, call: Callable[[], object]) -> None:
    inside = str(root)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        changes = event in _CHANGES or (event == "open" and int(str(arguments[2])) & _WRITES)
        if changes and inside in str(arguments[0]) + str(arguments[1:2]):
            call()

    sys.addaudithook(hook)


def _harm(
    original: Shop, tried: Shop, command: str, ending: Ending, wanted: tuple[str, ...]
) -> str | None:
    if ending.code not in (0, -signal.SIGKILL):
        return f"ended with {ending.code}: {ending.err[-300:]}"
    for check in ("models verify", "doctor"):
        checked = Fork(tried, check).ended()
        if checked.code and not _nothing_left(command, checked):
            return f"afterwards `{check}` ends with {checked.code}: {checked.out}{checked.err}"
    lost = set(_left(original)) - set(_left(tried))
    if lost and not command.startswith((*_REMOVE, "prepare", "models default", "report")):
        return f"lost: {', '.join(sorted(lost))}"
    again = Fork(tried, command).ended()
    if again.code and again.code not in REFUSED:
        return f"the same command again ends with {again.code}: {again.err[-300:]}"
    if hidden := [path.name for path in tried.out.iterdir() if path.name.startswith(".")]:
        return f"after the same command again the user's folder has {', '.join(hidden)}"
    if missing := set(wanted) - set(_left(tried)):
        return f"after the same command again there is no {', '.join(sorted(missing))}"
    return None


def _nothing_left(command: str, checked: Ending) -> bool:
    """Tell whether a check only says that there are no models any more."""
    return command.startswith(("models rm", "models mv")) and checked.code == 4


def _left(tried: Shop) -> tuple[str, ...]:
    """Return models, datasets, and complete files of the user."""
    models = sorted(
        str(p.parent.relative_to(tried.home)) for p in tried.home.glob("models/*/*/model.json")
    )
    datasets = sorted(p.parent.name for p in tried.home.glob("datasets/*/dataset.json"))
    files = sorted(p.name for p in tried.out.iterdir() if not p.name.startswith("."))
    return (*models, *datasets, *files)


if __name__ == "__main__":
    sys.exit(main())
