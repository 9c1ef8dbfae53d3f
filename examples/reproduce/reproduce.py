"""Reproduce the figures of this directory: prepare, run, rerun, table, choices.

    python reproduce.py prepare ML_1M_CLEAN ML_1M_NOISY ML_100K.inter   # once
    python reproduce.py run ours released                 # studies, into results.csv
    python reproduce.py run sweep.csv                     # rows of a file, into trials.csv
    python reproduce.py rerun results.csv 7               # one row again, beside what was kept
    python reproduce.py table                             # means and standard deviations
    python reproduce.py choices                           # what auto chose, and its regret

Rows that a file already holds are not run again. Rows of a study carry test figures; trials, by
which settings are chosen, have validation figures alone.
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import studies
from tables import print_choices, print_tables

HERE = Path(__file__).parent
RESULTS, TRIALS = HERE / "results.csv", HERE / "trials.csv"
#: What ``auto`` tried for the rows of the study of that name.
CHOICES = HERE / "choices.csv"
VALID = "valid_recall@20"
TEST = ("recall@10", "recall@20", "ndcg@10", "ndcg@20")
#: Test figures of a model that reads train and valid: logs with an order alone have them.
FULL = ("full_recall@20", "full_ndcg@20")
OUTCOME = ("device", "precision", "epoch", "epochs", "seconds", "parameters", VALID)

SAMPLES: dict[str, dict[str, int]] = {
    "dense": {},
    "sparse": {"users": 5000, "items": 2000, "interactions": 50_000},
    "sparsest": {"users": 10_000, "items": 2000, "interactions": 60_000},
    "sample-20k": {"users": 1000, "items": 600, "interactions": 20_000},
    "sample-200k": {"users": 5000, "items": 2000, "interactions": 200_000},
    "sample-2m": {"users": 30_000, "items": 8000, "interactions": 2_000_000},
}

Row = dict[str, str]


def main() -> None:
    """Parse the command line and do what it says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("prepare", help="store the datasets that the studies read")
    command.add_argument("clean", help="directory of the authors' clean ML-1M lists")
    command.add_argument("noisy", help="directory of the authors' noisy ML-1M lists")
    command.add_argument("small", nargs="?", help="MovieLens-100k's log, which some trials read")
    command = commands.add_parser("run", help="run studies, or the rows of a CSV file")
    command.add_argument("what", nargs="+", help=f"{', '.join(studies.STUDIES)}, or FILE.csv")
    command.add_argument("--jobs", type=int, default=1, help="rows at a time")
    command.add_argument("--minutes", type=float, default=1e9, help="start no row after this time")
    command.add_argument("--out", type=Path, help="append the outcomes to this file instead")
    _add_hardware(command)
    command = commands.add_parser("rerun", help="run one row of a file again")
    command.add_argument("file", type=Path)
    command.add_argument("line", type=int, help="its line in the file, the header being line 1")
    _add_hardware(command)
    command = commands.add_parser("table", help="print the tables of results.csv")
    command.add_argument("studies", nargs="*", help="only these")
    commands.add_parser("choices", help="print what auto chose, and its regret")
    _dispatch(parser.parse_args())


def _add_hardware(command: argparse.ArgumentParser) -> None:
    command.add_argument("--device", default="auto")
    command.add_argument("--precision", default="auto")


def _dispatch(args: argparse.Namespace) -> None:
    if args.command == "prepare":
        prepare(args.clean, args.noisy, args.small)
    elif args.command == "run":
        run(args)
    elif args.command == "rerun":
        rerun(args)
    elif args.command == "choices":
        print_choices(read_rows(RESULTS), read_rows(CHOICES))
    else:
        print_tables(read_rows(RESULTS), args.studies)


def prepare(clean: str, noisy: str, small: str | None) -> None:
    """Store what studies and trials read: lists, noisier lists, the tail of train, sample logs."""
    from diffrec_cli import workflows
    from diffrec_cli.config import SplitOptions
    from diffrec_cli.data.sources.sample import SampleOptions, write_sample

    print(workflows.prepare([clean], name="ml1m").line)
    print(workflows.prepare([noisy], name="ml1m-noisy").line)
    for percent in studies.NOISE_PERCENT:
        split = SplitOptions(setting="noisy", noise="random", noise_ratio=percent / 100)
        print(workflows.prepare([clean], name=f"ml1m-random{percent}", split=split).line)
    with tempfile.TemporaryDirectory() as directory:
        for name, lists in (("ml1m-tail", clean), ("ml1m-noisy-tail", noisy)):
            tail = write_tail(Path(lists), Path(directory) / name)
            print(workflows.prepare([tail], name=name).line)
        for name, options in SAMPLES.items():
            log, _ = write_sample(Path(directory) / f"{name}.csv", SampleOptions(**options))
            print(workflows.prepare([log], name=name).line)
    if small is not None:
        print(workflows.prepare([small], name="ml100k").line)


def write_tail(lists: Path, directory: Path) -> Path:
    """Write lists whose valid part is the newest eighth of each user's train part."""
    train = np.load(lists / "train_list.npy")
    first = np.searchsorted(train[:, 0], train[:, 0])
    length = np.bincount(train[:, 0])[train[:, 0]]
    held_out = np.arange(len(train)) - first >= length - np.maximum(1, length // 8)
    held_out &= length > 1
    kept, tail = train[~held_out], train[held_out]
    tail = tail[np.isin(tail[:, 1], kept[:, 1])]
    directory.mkdir()
    for name, rows in (("train", kept), ("valid", tail), ("test", tail[:0])):
        np.save(directory / f"{name}_list.npy", rows)
    return directory


def run(args: argparse.Namespace) -> None:
    """Run what is not there yet, several rows at a time, and append the outcomes as they come."""
    for what in args.what:
        from_file = what.endswith(".csv")
        out = args.out or (TRIALS if from_file else RESULTS)
        rows = read_rows(Path(what)) if from_file else studies.STUDIES[what]()
        known = {_key(row) for row in read_rows(out)}
        todo = [row for row in rows if _key(row) not in known]
        print(f"{what}: {len(todo)} of {len(rows)} rows to run", flush=True)
        for found in _outcomes(todo, args, test=not from_file):
            append_row(out, found.row)
            for tried in found.tried:
                append_row(CHOICES, tried)
            print(" ".join(value for value in found.row.values() if value), flush=True)


def rerun(args: argparse.Namespace) -> None:
    """Run one row again and print its figures beside those in the file."""
    row = read_rows(args.file)[args.line - 2]
    again = measure(row, args.device, args.precision, test=TEST[0] in row).row
    for name, kept in row.items():
        print(f"{name:16} {kept:>24} {again.get(name, ''):>24}")


def _outcomes(rows: list[Row], args: argparse.Namespace, *, test: bool) -> Iterator[Measured]:
    deadline = time.monotonic() + 60 * args.minutes
    threads = max(1, (os.cpu_count() or 1) // args.jobs)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # for the processes started below
    with ProcessPoolExecutor(args.jobs, get_context("spawn")) as pool:
        waiting = {
            pool.submit(_measure_until, deadline, row, args.device, args.precision, test=test)
            for row in rows
        }
        for done in as_completed(waiting):
            if (found := done.result()) is not None:
                yield found


def _measure_until(deadline: float, *args: Any, **options: Any) -> Measured | None:
    return None if time.monotonic() > deadline else measure(*args, **options)


@dataclass(frozen=True)
class Measured:
    """A row with its outcome, and for the variant ``auto`` a row for each model that it tried."""

    row: Row
    tried: list[Row]


def measure(row: Row, device: str, precision: str, *, test: bool) -> Measured:
    """Fit the model of a row; return the row with its outcome.

    Parameters
    ----------
    row
        ``data``, ``variant``, ``preset``, ``settings`` (``key=value``, apart by blanks), ``seed``.
        The settings ``refit`` and ``max_seconds`` are options of a fit.
    device, precision
        As in ``diffrec fit``.
    test
        Whether to measure the test part too.
    """
    from diffrec_cli import workflows
    from diffrec_cli.registry import versions

    values = dict(setting.split("=", 1) for setting in row["settings"].split())
    refit, seconds = values.pop("refit", None), values.pop("max_seconds", None)
    fitted = workflows.fit(
        row["data"],
        variant=row["variant"],
        preset=row["preset"],
        values={**values, "seed": int(row["seed"])},
        name=f"trial-{os.getpid()}",
        device=device,
        precision=precision,
        max_seconds=None if seconds is None else float(seconds),
        refit=refit,
        default=False,
    )
    try:
        facts = fitted.to_dict()
        outcome = {name: str(facts[name]) for name in OUTCOME if name in facts}
        outcome["seconds"] = f"{facts['seconds']:.0f}"
        outcome[VALID] = f"{facts['valid']['recall@20']:.5f}"
        if test:
            first, *full = workflows.evaluate([fitted.model], device=device).results
            outcome |= {name: f"{first.evaluation.means[name]:.5f}" for name in TEST}
            for result in full:
                means = result.evaluation.means
                outcome |= {name: f"{means[name.removeprefix('full_')]:.5f}" for name in FULL}
        measured = {name: row[name] for name in studies.COLUMNS} | outcome
        return Measured(measured, _tried(row, facts["choice"]))
    finally:
        versions.remove(fitted.model)


def _tried(row: Row, choice: Mapping[str, Any]) -> list[Row]:
    """Return a row for each model that was tried, in the order of the rule, and that was not."""
    rows = [
        {
            "model": one["model"],
            VALID: f"{one['valid_recall@20']:.5f}",
            "seconds": f"{one['seconds']:.0f}",
            "stopped": one["stopped"],
            "verdict": _verdict(one, choice["chosen"]),
        }
        for one in choice.get("tried", [])
    ]
    rows += [{"model": one["model"], "verdict": "failed"} for one in choice.get("failed", [])]
    rows += [{"model": name, "verdict": "not tried"} for name in choice.get("not_tried", [])]
    return [{"data": row["data"], "seed": row["seed"], **one} for one in rows]


def _verdict(one: Mapping[str, Any], chosen: str) -> str:
    if one["model"] == chosen:
        return "chosen"
    return "ahead" if one["ahead"] else "behind" if one["behind"] else "tied"


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a CSV file; none if it does not exist."""
    if not path.exists():
        return []
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def append_row(path: Path, row: Row) -> None:
    """Append a row to a CSV file, which gets a header if it is new; cells may be empty."""
    columns = list(row)
    if not (new := not path.exists()):
        with path.open(newline="") as stream:
            columns = next(csv.reader(stream))
    with path.open("a", newline="") as stream:
        writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)


def _key(row: Row) -> tuple[str, ...]:
    return tuple(row[name] for name in studies.COLUMNS)


if __name__ == "__main__":
    main()
