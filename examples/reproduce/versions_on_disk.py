"""How much disk the nightly versions of one shop's model use.

``python versions_on_disk.py [--versions 365] [--variant popularity]`` makes a sample log, stores a
version a night in three ways, and prints what that uses on the disk: all files and directories, in
whole blocks, as ``du`` counts.

- ``same log``: fitted again on the same log.
- ``growing log``: fitted on a log with some more rows each night.
- ``update``: fitted once; the same rows come by ``diffrec update``.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from diffrec_cli import workflows

USERS, ITEMS, ROWS = 2_000, 1_000, 100_000
FIRST = 65_000  # rows of the first night; the others come by and by

Night = Callable[[Path, list[str], int], object]


def main() -> None:
    """Store the versions and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--versions", type=int, default=365)
    parser.add_argument("--variant", default="popularity")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        rows = _rows_in_time(root)
        whole = FIRST + (ROWS - FIRST) // options.versions * options.versions
        print("| night | versions | a version | models | home | seconds a night |")
        print("| --- | ---: | ---: | ---: | ---: | ---: |")
        for name, night in _nights(options.variant, options.versions).items():
            os.environ["DIFFREC_HOME"] = str(root / name)
            started = time.perf_counter()
            for number in range(options.versions):
                night(root, rows[: whole + 1], number)
            seconds = (time.perf_counter() - started) / options.versions
            models = root / name / "models"
            figures = (_used(models / "shop" / "1"), _used(models), _used(root / name))
            cells = " | ".join(f"{bytes_ / 2**20:.1f} MiB" for bytes_ in figures)
            print(f"| {name} | {options.versions} | {cells} | {seconds:.2f} |")


def _rows_in_time(root: Path) -> list[str]:
    """Return the lines of a sample log, header first, in the order of time."""
    log, _ = workflows.sample(root / "all", users=USERS, items=ITEMS, interactions=ROWS)
    header, *rows = log.read_text().splitlines(keepends=True)
    return [header, *sorted(rows, key=lambda row: int(row.rsplit(",", 1)[1]))]


def _nights(variant: str, versions: int) -> dict[str, Night]:
    """Return what happens in a night, by name."""
    more = (ROWS - FIRST) // versions
    kept = {"name": "shop", "dataset_name": "shop", "variant": variant, "device": "cpu"}

    def fit(root: Path, rows: list[str]) -> None:
        log = root / "shop.csv"
        log.write_text("".join(rows))
        workflows.fit(log, items=root / "all-items.csv", overwrite=True, **kept)

    def same(root: Path, rows: list[str], night: int) -> None:
        fit(root, rows[: FIRST + 1])

    def growing(root: Path, rows: list[str], night: int) -> None:
        fit(root, rows[: FIRST + 1 + night * more])

    def update(root: Path, rows: list[str], night: int) -> None:
        if night == 0:
            return fit(root, rows[: FIRST + 1])
        begin = FIRST + 1 + (night - 1) * more
        events = root / "events.csv"
        events.write_text("".join([rows[0], *rows[begin : begin + more]]))
        workflows.update("shop", events)
        return None

    return {"same log": same, "growing log": growing, "update": update}


def _used(directory: Path) -> int:
    """Return the bytes of the blocks of all files and directories, each file once."""
    found = (path.lstat() for path in [directory, *directory.rglob("*")])
    return sum({(one.st_dev, one.st_ino): one.st_blocks * 512 for one in found}.values())


if __name__ == "__main__":
    main()
