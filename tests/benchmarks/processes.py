"""What whole commands take: start-up, preparing large logs, and the memory of ``fit``."""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from tests.benchmarks.measure import run_process
from tests.benchmarks.sizes import AMAZON, Size

DIFFREC = (sys.executable, "-m", "diffrec_cli")
MB = 2**20

Row = dict[str, object]


def startup(rounds: int) -> Iterator[Row]:
    """Measure ``--help`` and one user's list from a model of ML-1M's size."""
    with tempfile.TemporaryDirectory() as home:
        env = {"DIFFREC_HOME": home}
        _sample(Path(home), env, Size("ml-1m", 5_949, 2_810, 571_531))
        for variant in ("base", "l"):
            run_process([*DIFFREC, "fit", "log", "--variant", variant, "--epochs", "1"], env)
        commands = {"--help": ["--help"]} | {
            f"recommend, {variant}": ["recommend", "--model", f"log-{variant}", "--user", "u0042"]
            for variant in ("base", "l")
        }
        for name, arguments in commands.items():
            times = [run_process([*DIFFREC, *arguments], env)[0] for _ in range(rounds + 1)][1:]
            yield {"command": name, "seconds": statistics.median(times), "least": min(times)}


def prepare(rows: list[int]) -> Iterator[Row]:
    """Measure ``prepare`` on logs of several lengths."""
    with tempfile.TemporaryDirectory() as directory:
        env = {"DIFFREC_HOME": directory}
        log = Path(directory) / "log.csv"
        write_log(log, 1000)
        _, start = run_process([*DIFFREC, "prepare", str(log), "--name", "little"], env)
        for n in rows:
            write_log(log, n)
            name = f"log{n}"
            seconds, memory = run_process([*DIFFREC, "prepare", str(log), "--name", name], env)
            yield {
                "rows": n,
                "seconds": seconds,
                "million rows a second": n / seconds / 1e6,
                "peak MB": memory / MB,
                "bytes a row, above those of 1000 rows": (memory - start) / n,
            }
            run_process([*DIFFREC, "data", "rm", name, "--yes"], env)


def memory() -> Iterator[Row]:
    """Measure the peak memory of an epoch at the size of Amazon-book, with its validation."""
    with tempfile.TemporaryDirectory() as home:
        env = {"DIFFREC_HOME": home}
        _sample(Path(home), env, Size("amazon-book", AMAZON.users, AMAZON.items, 3_142_438))
        for variant, more in (
            ("base", ["--set", "dims=1000"]),
            ("base+smoothing", []),
            ("t+masking", []),
            ("l", []),
        ):
            command = [*DIFFREC, "fit", "log", "--variant", variant, "--epochs", "1", *more]
            seconds, peak = run_process(command, env)
            yield {"fit": f"{variant} {' '.join(more)}", "seconds": seconds, "peak MB": peak / MB}


def _sample(home: Path, env: dict[str, str], size: Size) -> None:
    """Prepare a sample log, all of it, as dataset ``log``."""
    log = home / "log.csv"
    counts = {"users": size.users, "items": size.items, "interactions": size.interactions}
    options = [text for name, n in counts.items() for text in (f"--{name}", str(n))]
    run_process([*DIFFREC, "data", "sample", str(log), *options], env)
    run_process([*DIFFREC, "prepare", str(log), "--name", "log", "--min-rating", "1"], env)


def write_log(path: Path, n: int) -> None:
    """Write n random rows, 50 a user and 1000 an item on average, in no order of time."""
    rng = np.random.default_rng(1)
    table = pa.table(
        {
            "user_id": rng.integers(0, max(10, n // 50), n),
            "item_id": (max(10, n // 1000) * rng.random(n) ** 2).astype(np.int64),
            "rating": rng.integers(1, 6, n),
            "timestamp": 1_500_000_000 + rng.integers(0, 6 * 10**7, n),
        }
    )
    pyarrow.csv.write_csv(table, path)
