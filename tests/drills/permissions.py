"""Homes and files that are not to be used, odd names: ``python -m tests.drills.permissions``.

Root may do everything, so as root these are tried as another user, who may only read what root may.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Sequence

from tests.drills.shop import READING, WRITING, Ending, Shop, row, shop
from tests.drills.table import Row, show

NOBODY = 65_534
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
_ODD_HOMES = ("~nosuchuser/x", os.fsdecode(b"/tmp/\xff-home"), f"/tmp/{_LONG}", "/dev/null")


def _as_other(may_read: bool) -> tuple[str, ...]:
    """Return the words that run a command as a user who may not write, or not even look."""
    may = "-all,+dac_read_search" if may_read else "-all"
    caps = (f"--inh-caps={may}", f"--ambient-caps={may}", f"--bounding-set={may}")
    return ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *caps)


def _own(shop: Shop, user: int) -> None:
    for path in (shop.root, *shop.root.rglob("*")):
        os.chown(path, user, user, follow_symlinks=False)


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
    rows = []
    other = _as_other(may_read=True)
    with shop() as one:
        endings = [one.run(command, prefix=other) for command in WRITING]
        below_home = ("prepare", "fit", "update", "models import", "compare", "tune")
        wrong = [
            _wrong_code(e, (6,) if e.command.startswith(below_home) else (2,)) for e in endings
        ]
        rows.append(row("nothing may be written", endings, filter(None, [*wrong, one.harm()])))
    return rows


def main() -> int:
    return show(drill())


if __name__ == "__main__":
    sys.exit(main())
