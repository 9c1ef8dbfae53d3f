"""Warm starts, night after night, beside fits anew: next-day Recall@20, and the time of a fit.

The first night a model is fitted anew. Every next night one more day is known: the log is read
anew, and a model is fitted anew and by ``--warm-start`` from the model of the night before. Both
are measured on the next day, by users who are known then and items that are new to them. Rows are
appended to ``warm_start.csv``; those that are there are not run again.

    python warm_start.py half-before ratings.dat.gz --first 2000-11-05 --days 18 --trials
    python warm_start.py half ratings.dat.gz --first 2000-11-24 --days 30

``--trials`` has several shares of the earlier weights and of the epochs of a fit anew, for nights
before those that are reported: their next days are what settings may be chosen by.
"""

from __future__ import annotations

import argparse
import csv
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from diffrec_cli import workflows
from diffrec_cli.config import ReadOptions, SplitOptions
from diffrec_cli.workflows.fitting import warm_start
from diffrec_cli.workflows.prepare_data import prepare

RESULTS = Path(__file__).with_suffix(".csv")
KEY = ["log", "variant", "share", "epochs_share", "day", "how"]
FIELDS = [*KEY, "users", "valid", "test", "epochs", "seconds"]
#: Logs without a header.
_NO_HEADER = ReadOptions(sep="::", header=False)
READ = {"half": _NO_HEADER, "half-before": _NO_HEADER}
TRIALS = ((0.7, 1 / 6), (0.5, 1 / 6), (0.3, 1 / 6), (0.85, 1 / 6), (1.0, 1 / 6), (0.5, 1 / 4))
METRIC = "recall@20"
ANEW, WARM = "anew", "warm"


class Nights:
    """The nights of a log, with one model fitted anew and one chain of warm starts.

    Parameters
    ----------
    log, path, variant
        Name and file of the log, and the model.
    """

    def __init__(self, log: str, path: str, variant: str) -> None:
        self.log, self.path, self.variant = log, path, variant
        rows = list(csv.DictReader(RESULTS.open())) if RESULTS.exists() else []
        self.known = {tuple(row[key] for key in KEY) for row in rows}

    def run(self, day: date, how: str, model: str, before: str) -> None:
        """Fit a night's model and append its row; a model is there if its row is."""
        values: dict[str, Any] = {
            "log": self.log,
            "variant": self.variant,
            "share": f"{warm_start.SHARE:g}" if how == WARM else "",
            "epochs_share": f"{warm_start.EPOCHS_SHARE:.3g}" if how == WARM else "",
            "day": day,
            "how": how,
        }
        key = tuple(str(values[name]) for name in KEY)
        if key in self.known:
            return
        self.known.add(key)
        data = f"{self.log}-{day}"
        split = SplitOptions(test_from=str(day), until=str(day + timedelta(1)))
        dataset = prepare(
            [self.path], name=data, read=READ.get(self.log), split=split, overwrite=True
        ).dataset
        if how == WARM:
            fitted = workflows.fit(data, warm_start=before, name=model)
        else:
            fitted = workflows.fit(data, variant=self.variant, name=model)
        values |= {
            "users": int(np.count_nonzero(dataset.test.lengths)),
            "valid": fitted.training.valid[METRIC],
            "epochs": fitted.training.epochs,
            "seconds": round(fitted.training.seconds, 2),
        }
        found = workflows.evaluate([model], history="train+valid").to_dict()
        values["test"] = found["results"][0]["metrics"][METRIC]
        append(values)
        print(*values.values(), flush=True)


def append(values: dict[str, Any]) -> None:
    """Append a row to the results."""
    new = not RESULTS.exists()
    with RESULTS.open("a", newline="") as stream:
        writer = csv.DictWriter(stream, FIELDS)
        if new:
            writer.writeheader()
        writer.writerow(values)


def chain(nights: Nights, first: date, days: int) -> None:
    """Run all nights, anew and warm."""
    shares = f"{warm_start.SHARE:g}-{warm_start.EPOCHS_SHARE:.3g}"
    for number in range(days + 1):
        day, name = first + timedelta(number), f"{nights.log}-{nights.variant}".replace("+", "-")
        anew = f"{name}-anew-{number}"
        nights.run(day, ANEW, anew, "")
        if number:
            before = f"{name}-{shares}-{number - 1}" if number > 1 else f"{name}-anew-0"
            nights.run(day, WARM, f"{name}-{shares}-{number}", before)


def summary() -> None:
    """Print means over days: of valid, of test by users, of seconds."""
    rows = list(csv.DictReader(RESULTS.open()))
    groups = sorted({tuple(row[key] for key in KEY if key != "day") for row in rows})
    print(f"{'log':<8}{'variant':<12}{'how':<6}{'share':>6}{'epochs':>8}{'nights':>7}"
          f"{'valid':>8}{'test':>8}{'epochs':>7}{'seconds':>8}")  # fmt: skip
    for log, variant, share, epochs_share, how in groups:
        names = log, variant, share, epochs_share, how
        of = [row for row in rows if tuple(row[key] for key in KEY if key != "day") == names]
        warm = {
            r["day"] for r in rows if (r["log"], r["variant"], r["how"]) == (log, variant, WARM)
        }
        of = [row for row in of if row["day"] in warm]
        valid, epochs, seconds = (
            np.mean([float(row[key]) for row in of]) for key in ("valid", "epochs", "seconds")
        )
        users = [int(row["users"]) for row in of]
        test = np.average([float(row["test"]) for row in of], weights=users)
        print(f"{log:<8}{variant:<12}{how:<6}{share:>6}{epochs_share:>8}{len(of):>7}"
              f"{valid:>8.4f}{test:>8.4f}{epochs:>7.1f}{seconds:>8.1f}")  # fmt: skip


def differences() -> None:
    """Print how far warm starts are from fits anew on the next days, with an interval."""
    rows = list(csv.DictReader(RESULTS.open()))
    warm = [row for row in rows if row["how"] == WARM]
    for names in sorted({tuple(row[key] for key in KEY[:4]) for row in warm}):
        anew = {
            row["day"]: row
            for row in rows
            if row["how"] == ANEW and (row["log"], row["variant"]) == names[:2]
        }
        of = [row for row in warm if tuple(row[key] for key in KEY[:4]) == names]
        found = np.array([[float(row["test"]), float(anew[row["day"]]["test"])] for row in of])
        users = np.array([int(row["users"]) for row in of], float)
        drawn = np.random.default_rng(1).integers(0, len(of), (10_000, len(of)))
        changes = [_change(found[nights], users[nights]) for nights in drawn]
        low, high = np.percentile(changes, [2.5, 97.5])
        said = f"{_change(found, users):+.1f} % on the next day, 95 %: {low:+.1f} to {high:+.1f}"
        print(f"{' '.join(names)}: {said} ({len(of)} nights, {int(users.sum()):,} users)")


def _change(found: np.ndarray, users: np.ndarray) -> float:
    """Return the relative difference of means over users, in percent."""
    warm, anew = users @ found
    return float(100 * (warm / anew - 1))


def main() -> None:
    """Run the nights of a log, or print what there is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", nargs="?")
    parser.add_argument("path", nargs="?")
    parser.add_argument("--first", type=date.fromisoformat)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--variant", default="t+masking")
    parser.add_argument("--trials", action="store_true")
    given = parser.parse_args()
    if given.log is None:
        summary()
        differences()
        return
    nights = Nights(given.log, given.path, given.variant)
    for chosen in TRIALS if given.trials else [(warm_start.SHARE, warm_start.EPOCHS_SHARE)]:
        warm_start.SHARE, warm_start.EPOCHS_SHARE = chosen
        chain(nights, given.first, given.days)
    summary()


if __name__ == "__main__":
    main()
