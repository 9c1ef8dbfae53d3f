"""Kill ``diffrec forget`` at random moments: no trace of the user is left, or nothing has changed.

``python forget_drill.py KILLS`` makes a home with three logs and several versions of five models,
kills each command after a random part of its time, lets the next command finish what was begun, and
searches all files. Prints how it went.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

USER = "u0042"
MODELS = ("ease", "popularity", "userknn", "graph", "popularity")
DIFFREC = (sys.executable, "-m", "diffrec_cli", "-q")


def main(kills: int) -> None:
    """Run the drill."""
    with tempfile.TemporaryDirectory() as directory:
        whole, home = Path(directory, "whole"), Path(directory, "home")
        _fill(whole, Path(directory))
        shutil.copytree(whole, home)
        seconds = _forget(home, None)
        before, outcomes = _contents(whole), Counter[str]()
        chance = random.Random(1)
        for _ in range(kills):
            shutil.rmtree(home)
            shutil.copytree(whole, home)
            _forget(home, chance.uniform(0.3, 1.1) * seconds)
            _run(home, "data", "ls")  # any command
            outcomes[_outcome(home, before)] += 1
        print(f"{kills} kills within {seconds:.1f} s: {dict(outcomes)}")
        if outcomes["half done"]:
            raise SystemExit(1)


def _fill(home: Path, directory: Path) -> None:
    sizes = ("--users", "300", "--items", "150", "--interactions", "9000")
    for seed in ("1", "2", "3"):
        log = directory / f"log{seed}.csv"
        _run(home, "data", "sample", str(log), *sizes, "--seed", seed)
        for model in MODELS:
            _run(home, "fit", str(log), "--variant", model)


def _run(home: Path, *arguments: str) -> None:
    environment = {**os.environ, "DIFFREC_HOME": str(home)}
    subprocess.run([*DIFFREC, *arguments], check=True, env=environment, stdout=subprocess.DEVNULL)


def _forget(home: Path, after: float | None) -> float:
    """Run the command, and kill it after some seconds; return how long it took."""
    environment = {**os.environ, "DIFFREC_HOME": str(home)}
    command = [*DIFFREC, "forget", "--user", USER, "--yes"]
    started = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
    return time.perf_counter() - started


def _outcome(home: Path, before: dict[str, bytes]) -> str:
    if not _traces(home):
        return "no trace"
    return "nothing changed" if _contents(home) == before else "half done"


def _traces(home: Path) -> list[Path]:
    """Return the files that have the id, in a table of users or as bytes."""
    found = []
    for path in home.rglob("*"):
        if path.name == "users.parquet":
            found += [path] if USER in pq.read_table(path)["id"].to_pylist() else []
        elif path.is_file() and USER.encode() in path.read_bytes():
            found.append(path)
    return found


def _contents(home: Path) -> dict[str, bytes]:
    """Return all files but locks, and what is being written and has no name yet."""
    return {
        str(path.relative_to(home)): path.read_bytes()
        for path in sorted(home.rglob("*"))
        if path.is_file() and path.suffix != ".lock" and path.name != ".lock"
        and not any(part.startswith(".incoming-") for part in path.relative_to(home).parts)
    }  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]))
