"""Homes and files that are not to be used, odd names: ``python -m tests.drills.permissions``.

Root may do everything, so as root these are tried as another user, who may only read what root may,
and by a root without any rights over files of others.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.drills.shop import READING, WRITING, Ending, Shop, copied, row, shop
from tests.drills.table import Row, show

NOBODY, _UNLISTED = 65_534, 54_321
_LONG = "n" * 300
_FIT = "--device cpu --set dims=16 --epochs 2"

#: Inputs that are no files, and names that are too long.
_ODD_PATHS = tuple(
    f"{command}"
    for path in ("OUT", "OUT/socket", "OUT/loop", f"OUT/{_LONG}", f"OUT/{'d/' * 2500}x")
    for command in (
        f"prepare {path} --name odd",
        f"fit {path} {_FIT}",
        f"recommend --history {path}",
        f"recommend --users {path}",
        f"update shop {path}",
        f"models import {path}",
        f"models export shop {path}.tar",
        f"recommend --user u0001 -o {path}.csv",
        f"report shop -o {path}.html",
        f"data sample {path}.csv",
        f"export shop --vectors {path}.d",
    )
)
_READ_OR_COPY = (*READING, *(c for c in WRITING if not c.startswith("data sample")))
_ODD_HOMES = ("~nosuchuser/x", os.fsdecode(b"/tmp/\xff-home"), f"/tmp/{_LONG}", "/dev/null")


def _as_other(user: int) -> tuple[str, ...]:
    """Return the words that run a command as a user who may read everything and write nothing."""
    may = "-all,+dac_read_search"
    caps = (f"--inh-caps={may}", f"--ambient-caps={may}", f"--bounding-set={may}")
    return ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *caps)


_WITHOUT_RIGHTS = ("setpriv", "--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all")


def _hidden(path: Path) -> None:
    """Give a path to another user, and let nobody read or write it."""
    os.chown(path, NOBODY, NOBODY)
    path.chmod(0)


def _wrong_code(ending: Ending, codes: Sequence[int]) -> str | None:
    if ending.code in codes:
        return None
    return f"`{ending.command}` ended with {ending.code}, not {codes}: {ending.err[-200:]}"


def drill() -> list[Row]:
    """Try odd paths and homes, then a home and a folder that are not to be written."""
    rows = []
    with shop() as one:
        (one.out / "loop").symlink_to(one.out / "loop")
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(one.out / "socket"))
            endings = [one.run(command) for command in _ODD_PATHS]
        rows.append(row("odd paths", endings, filter(None, [one.harm()])))
        endings = [
            one.run(command, variables={"DIFFREC_HOME": home})
            for home in _ODD_HOMES
            for command in (*READING[::3], *WRITING[::3])
        ]
        rows.append(row("odd homes", endings, filter(None, [one.harm()])))
    return [*rows, *_forbidden()]


def _forbidden() -> list[Row]:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        print("permissions are tried by root, as another user: skipped", file=sys.stderr)
        return []
    with shop() as one:
        return [_nothing_written(one), _no_home(one), *_hidden_files(one), _hidden_home(one)]


def _nothing_written(one: Shop) -> Row:
    endings = [one.run(command, prefix=_as_other(NOBODY)) for command in WRITING]
    below_home = ("prepare", "fit", "update", "models import", "compare", "tune")
    wrong = [_wrong_code(e, (6,) if e.command.startswith(below_home) else (2,)) for e in endings]
    return row("nothing may be written", endings, filter(None, [*wrong, one.harm()]))


def _no_home(one: Shop) -> Row:
    """Try a user whom the list of users does not have."""
    prefix = ("env", "-u", "HOME", "-u", "USER", "-u", "LOGNAME", *_as_other(_UNLISTED))
    wanted = {str(one.home): (0, 2, 6), "": (2,)}
    tried = [
        (one.run(command, prefix=prefix, variables={"DIFFREC_HOME": home}), codes)
        for home, codes in wanted.items()
        for command in (*READING, *WRITING)
    ]
    wrong = (_wrong_code(ending, codes) for ending, codes in tried)
    return row("a user who is not listed", [e for e, _ in tried], filter(None, wrong))


def _hidden_files(one: Shop) -> Iterator[Row]:
    """Hide each kind of stored file in turn."""
    for name in ("dataset.json", "train_items.npy", "users.parquet", "weights.safetensors"):
        with TemporaryDirectory(prefix="drill-") as directory:
            tried = copied(one, Path(directory))
            for path in tried.home.rglob(name):
                _hidden(path)
            endings = [tried.run(command, prefix=_WITHOUT_RIGHTS) for command in _READ_OR_COPY]
        yield row(f"{name} is hidden", endings)


def _hidden_home(one: Shop) -> Row:
    with TemporaryDirectory(prefix="drill-") as directory:
        tried = copied(one, Path(directory))
        _hidden(tried.home)
        endings = [tried.run(command, prefix=_WITHOUT_RIGHTS) for command in _READ_OR_COPY]
    return row("a home of mode 0", endings, filter(None, (_wrong_code(e, (6,)) for e in endings)))


def main() -> int:
    return show(drill())


if __name__ == "__main__":
    sys.exit(main())
