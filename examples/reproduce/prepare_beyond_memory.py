"""Prepare a log of three times the memory that is allowed: the same dataset as in memory.

``python prepare_beyond_memory.py ROWS MEGABYTES`` makes a log with text ids, ratings and times,
prepares it as it is and under ``ulimit -v``, and prints sizes, peaks, seconds, and whether hashes,
dropped rows and files are equal. Linux only.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

USERS, ITEMS, BLOCK = 200_000, 50_000, 500_000


def main(rows: int, megabytes: int) -> None:
    """Make the log, prepare it twice, compare."""
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory, "log.csv")
        _write(log, rows)
        size = log.stat().st_size / 1e6
        print(f"log: {rows:,} rows, {size:,.0f} MB, {size / megabytes:.2f} times {megabytes} MB")
        whole = _prepare(log, Path(directory, "whole"), None)
        sorted_on_disk = _prepare(log, Path(directory, "sorted"), megabytes)
        for what in ("content_hash", "dropped", "arrays"):
            print(f"{what}: {'equal' if whole[what] == sorted_on_disk[what] else 'DIFFERENT'}")
        if whole["content_hash"] != sorted_on_disk["content_hash"]:
            raise SystemExit(1)


def _write(path: Path, rows: int) -> None:
    draw = np.random.default_rng(0)
    with path.open("w") as stream:
        stream.write("user,item,rating,timestamp\n")
        for start in range(0, rows, BLOCK):
            count = min(BLOCK, rows - start)
            columns = (
                (USERS * draw.random(count) ** 1.5).astype(int),
                (ITEMS * draw.random(count) ** 2).astype(int),
                draw.integers(1, 6, count),
                1_500_000_000 + draw.integers(0, 10**8, count),
            )
            line = "user-{:09d},item-{:08d},{},{}\n".format
            stream.writelines(map(line, *(column.tolist() for column in columns)))


def _prepare(log: Path, home: Path, megabytes: int | None) -> dict[str, object]:
    """Prepare the log in a process of its own, print what it took, and return the record."""
    limit = "unlimited" if megabytes is None else str(megabytes * 1_000_000 // 1024)
    command = f'ulimit -v {limit}; exec "$0" -m diffrec_cli prepare "$1"'
    started = time.perf_counter()
    process = subprocess.Popen(
        ["bash", "-c", command, sys.executable, str(log)],
        env={**os.environ, "DIFFREC_HOME": str(home)},
        stdout=subprocess.DEVNULL,
    )
    peaks = {"VmPeak": 0, "VmHWM": 0}  # of the address space, and of what is resident
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text()
        for name, kilobytes in re.findall(r"(VmPeak|VmHWM):\s+(\d+)", status):
            peaks[name] = max(peaks[name], int(kilobytes))
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(process.returncode)
    address_space, resident = (kilobytes * 1024 / 1e6 for kilobytes in peaks.values())
    print(
        f"ulimit -v {limit}: {time.perf_counter() - started:.0f} s, peak {address_space:,.0f} MB"
        f" of address space, {resident:,.0f} MB resident"
    )
    return json.loads((home / "datasets" / "log" / "dataset.json").read_bytes())


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
