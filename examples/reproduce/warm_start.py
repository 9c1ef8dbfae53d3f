"""Warm starts, night after night, beside fits anew: next-day Recall@20, and the time of a fit.

The first night a model is fitted anew. Every next night one more day is known: the log is read
anew, and a model is fitted anew and by ``--warm-start`` from the model of the night before. Both
are measured on the next day, by users who are known then and items that are new to them. Rows are
appended to ``warm_start.csv``; those that are there are not run again.

    python warm_start.py half ratings.dat.gz --first 2000-11-24 --days 30
    python warm_start.py half ratings.dat.gz --first 2000-11-24 --days 8 --trials

``--trials`` prints valid figures of other shares of the earlier weights and of the epochs of a fit
anew, and no test figures.
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
READ = {"half": ReadOptions(sep="::", header=False)}
TRIALS = ((1.0, 1 / 6), (0.8, 1 / 6), (0.7, 1 / 6), (0.6, 1 / 6), (0.5, 1 / 6), (0.7, 1 / 8))
METRIC = "recall@20"
ANEW, WARM = "anew", "warm"


class Nights:
    """The nights of a log, with one model fitted anew and one chain of warm starts.

    Parameters
    ----------
    log, path, variant
        Name and file of the log, and the model.
    test
        Whether to measure on the next day, too.
    """

    def __init__(self, log: str, path: str, variant: str, *, test: bool) -> None:
        self.log, self.path, self.variant, self.test = log, path, variant, test
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
        if tuple(str(values[key]) for key in KEY) in self.known:
            return
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
        if self.test:
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
        tested = [row for row in of if row["test"]]
        users = [int(row["users"]) for row in tested]
        test = np.average([float(r["test"]) for r in tested], weights=users) if tested else np.nan
        print(f"{log:<8}{variant:<12}{how:<6}{share:>6}{epochs_share:>8}{len(of):>7}"
              f"{valid:>8.4f}{test:>8.4f}{epochs:>7.1f}{seconds:>8.1f}")  # fmt: skip


def differences() -> None:
    """Print how far warm starts are from fits anew on the next days, with an interval."""
    rows = [row for row in csv.DictReader(RESULTS.open()) if row["test"]]
    for log, variant in sorted({(row["log"], row["variant"]) for row in rows}):
        of = [row for row in rows if (row["log"], row["variant"]) == (log, variant)]
        anew = {row["day"]: row for row in of if row["how"] == ANEW}
        pairs = [(row, anew[row["day"]]) for row in of if row["how"] == WARM]
        found = np.array([[float(row["test"]) for row in pair] for pair in pairs])
        weights = np.array([int(row["users"]) for row, _ in pairs], float)

        def change(nights: np.ndarray, found=found, weights=weights) -> float:
            warm, fresh = (found[nights] * weights[nights, None]).sum(axis=0)
            return 100 * (warm / fresh - 1)

        chance = np.random.default_rng(1)
        n = len(pairs)
        drawn = [change(chance.integers(0, n, n)) for _ in range(10_000)]
        low, high = np.percentile(drawn, [2.5, 97.5])
        print(f"{log} {variant}: {change(np.arange(n)):+.1f} % on the next day, of {n} nights with"
              f" {int(weights.sum()):,} users; 95 %: {low:+.1f} to {high:+.1f}")  # fmt: skip


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
    nights = Nights(given.log, given.path, given.variant, test=not given.trials)
    for chosen in TRIALS if given.trials else [(warm_start.SHARE, warm_start.EPOCHS_SHARE)]:
        warm_start.SHARE, warm_start.EPOCHS_SHARE = chosen
        chain(nights, given.first, given.days)
    summary()


if __name__ == "__main__":
    main()
