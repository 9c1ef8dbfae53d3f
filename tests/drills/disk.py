"""A disk that is full at 40 places of each writing command: ``python -m tests.drills.disk``.

The shop lies on a disk in memory of its own, which root may mount. It is made so small that a given
number of pages is left; the command runs; then the disk is made wide again, and all is looked at.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.drills.shop import WRITING, Ending, Shop, copied, row, shop
from tests.drills.table import Row, show

SIZES = 40
_PAGE = 4096
_WIDE = 2 << 30  # bytes; doctor wants 1 GiB
#: Pages left at the last try: all commands here write less.
_MOST_PAGES = 60
_USERS_OWN = ("shop.tar", "made.csv", "lists.csv", "lists.parquet", "shop.html", "costs.png")


@contextmanager
def mounted() -> Iterator[Path | None]:
    """Mount a small disk in memory; give None to those who may not."""
    with TemporaryDirectory(prefix="drill-disk-") as directory:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={_WIDE},mode=755", "none", directory]
        if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
            yield None
            return
        try:
            yield Path(directory)
        finally:
            subprocess.run(["umount", directory], check=True)


def _left(sizes: int) -> list[int]:
    """Return so many numbers of free pages, denser where little is left."""
    return [round(_MOST_PAGES * (n / (sizes - 1)) ** 1.5) for n in range(sizes)]


def _resize(disk: Path, size: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)


def _tried(shop: Shop, disk: Path, command: str, pages: int) -> tuple[Ending, list[str]]:
    """Run a command on a disk that is nearly full; return what is wrong afterwards."""
    for name in _USERS_OWN:
        (shop.out / name).write_bytes(b"before")
    versions = _versions(shop)
    found = os.statvfs(disk)
    _resize(disk, (found.f_blocks - found.f_bfree + pages) * _PAGE)
    try:
        ending = shop.run(command)
    finally:
        _resize(disk, _WIDE)
    harm = [found for found in [shop.left_over()] if found]
    if ending.code:
        torn = [n for n in _USERS_OWN if (shop.out / n).read_bytes() != b"before"]
        harm += [f"`{command}` ended with {ending.code} and changed {name}" for name in torn]
        if _versions(shop) != versions:
            harm.append(f"`{command}` stored a version and ended with {ending.code}: {ending.err}")
    shutil.rmtree(shop.out / "vectors", ignore_errors=True)
    return ending, harm


def _versions(shop: Shop) -> list[Path]:
    return sorted((shop.home / "models").glob("*/[0-9]*"))


def drill(sizes: int = SIZES) -> list[Row]:
    """Try each writing command with as many sizes of the room that is left."""
    rows = []
    with mounted() as disk, shop() as original:
        if disk is None:
            print("only root may mount a disk: skipped", file=sys.stderr)
            return []
        for command in WRITING:
            root = disk / "shop"
            root.mkdir()
            one = copied(original, root)
            tried = [_tried(one, disk, command, pages) for pages in _left(sizes)]
            harm = [found for _, wrong in tried for found in wrong]
            harm += [found for found in [one.harm()] if found]
            rows.append(row(f"full disk: {command[:40]}", [e for e, _ in tried], harm))
            shutil.rmtree(root)
    return rows


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # no disk stays mounted
    return show(drill())


if __name__ == "__main__":
    sys.exit(main())
