"""What the kinds of events are worth, and where new items land: the tables of shops.

``python shops.py events`` fits models on made-up logs of views, carts and purchases, of which valid
and test count purchases, with all events alike, weighted, and purchases alone.
``python shops.py new-items LOG ITEMS`` hides a tenth of the items from the fit, lets them come as
new ones by their table, and measures the last fifth of each user's history: overall, and among new
items. Both print rows of CSV.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from diffrec_cli import workflows
from diffrec_cli.config import ReadOptions, SplitOptions
from diffrec_cli.data.sequences import Sequences
from diffrec_cli.evaluation.metrics import per_user
from diffrec_cli.models.backend import NumpyBackend
from diffrec_cli.models.scorer import NEW, Scorer, build_scorer
from diffrec_cli.ranking.batches import rank
from diffrec_cli.registry import versions as registry

MODELS = ("ease", "graph-t", "t+smoothing+graph", "t+masking+graph")
HISTORIES = {
    "all alike": ReadOptions(event_col="event"),
    "view .2, cart .5": ReadOptions(event_weights="view=.2,cart=.5"),
    "view .05, cart .2": ReadOptions(event_weights="view=.05,cart=.2"),
    "purchases alone": ReadOptions(event_kinds="purchase"),
}
SIZES = {"users": 1500, "items": 800, "interactions": 60_000}
K = 20


def events(directory: Path) -> Iterator[dict[str, object]]:
    """Yield valid and test figures of each history, model and log."""
    for seed in (1, 2):
        log, _ = workflows.sample(directory / f"shop-{seed}", events=True, seed=seed, **SIZES)
        for name, read in HISTORIES.items():
            for model in MODELS:
                fitted = workflows.fit(
                    log,
                    variant=model,
                    read=read,
                    split=SplitOptions(target="purchase"),
                    overwrite=True,
                    device="cpu",
                )
                result, *_ = workflows.evaluate([fitted.model]).results
                users = len(result.evaluation.users)
                valid = fitted.training.valid
                test = result.evaluation.means
                yield {"log": seed, "history": name, "model": model, "users": users} | {
                    f"{part} {metric}": round(float(found[metric]), 4)
                    for part, found in (("valid", valid), ("test", test))
                    for metric in ("recall@20", "ndcg@20")
                }


def new_items(directory: Path, log: Path, table: Path) -> Iterator[dict[str, object]]:
    """Yield Recall@20 with new items among all, without them, and among themselves."""
    past, last = _cut(log)
    items = _read(table)
    items.to_csv(directory / "items.csv", index=False)
    for seed in (1, 2, 3):
        random = np.random.default_rng(seed)
        hidden = random.choice(items.iloc[:, 0], round(len(items) / 10), replace=False)
        past[~past.item.isin(hidden)].to_csv(directory / "past.csv", index=False)
        for model in MODELS:
            fitted = workflows.fit(
                directory / "past.csv",
                variant=model,
                items=directory / "items.csv",
                read=ReadOptions(item_id_col=items.columns[0]),
                split=SplitOptions(ratios=(9, 1, 0)),
                overwrite=True,
                device="cpu",
            )
            updated = workflows.update(fitted.model, items=directory / "items.csv")
            yield {"seed": seed, "model": model} | _measured(updated.model, last, seed)


def _read(path: Path) -> pd.DataFrame:
    """Read a table of texts; the suffixes of RecBole's columns are left out."""
    sep = "\t" if path.suffix in (".inter", ".item") else ","
    frame = pd.read_csv(path, sep=sep, dtype=str, keep_default_na=False)
    return frame.rename(columns=lambda name: name.partition(":")[0])


def _cut(log: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what is liked before and in the last fifth of each user's history."""
    frame = _read(log).set_axis(["user", "item", "rating", "time"], axis=1)
    frame = frame[frame.rating.astype(float) >= 4]
    frame = frame.assign(time=frame.time.astype(float)).sort_values("time", kind="stable")
    frame = frame.drop_duplicates(["user", "item"])[["user", "item", "time"]]
    place, length = frame.groupby("user").cumcount(), frame.groupby("user").item.transform("size")
    test = place >= length - np.maximum(1, np.floor(0.2 * length + 0.5))
    return frame[~test], frame[test]


def _measured(model: str, last: pd.DataFrame, seed: int) -> dict[str, object]:
    artifact = registry.resolve(model)
    dataset, config, weights = artifact.dataset(), artifact.config(), artifact.weights()
    scorer = build_scorer(config, weights, NumpyBackend())
    trained = {name: array for name, array in weights.items() if not name.startswith(NEW)}
    new = np.arange(scorer.n_items) >= build_scorer(config, trained, NumpyBackend()).n_items
    users = dataset.user_ids.indices(last.user.tolist())
    items = dataset.item_ids.indices(last.item.tolist())
    known = np.flatnonzero((users >= 0) & (items >= 0))
    known = known[np.argsort(users[known], kind="stable")]
    truth = Sequences.from_rows(users[known], items[known], dataset.n_users)
    of_new = truth.keep(new[truth.items])

    def recall(scorer: Scorer, to_find: Sequences, only: np.ndarray | None = None) -> float:
        who = np.flatnonzero(to_find.lengths)
        history = dataset.known.take(who)
        excluded = None if only is None else ~only
        lists = rank(
            scorer, history, K, users=who, seen=history, temporal=config.temporal, excluded=excluded
        )
        found = [
            per_user(one.items, to_find.take(who[one.start :][: len(one.items)]), [K], ["recall"])
            for one in lists
        ]
        return round(float(np.concatenate([one[f"recall@{K}"] for one in found]).mean()), 4)

    popular = _Same(dataset.popularity.astype(np.float32))
    chance = _Same(np.random.default_rng(seed).random(len(new)).astype(np.float32))
    return {
        "new items": int(new.sum()),
        "all": recall(scorer, truth),
        "without new": recall(scorer, truth, ~new),
        "popularity": recall(popular, truth),
        "random": recall(chance, truth),
        "new among all": recall(scorer, of_new),
        "among new": recall(scorer, of_new, new),
        "random among new": recall(chance, of_new, new),
        "place": "last" if float(np.asarray(weights[f"{NEW}place"])[1]) < -10 else "among",
    }


class _Same:
    """The same scores for everyone."""

    backend = NumpyBackend()

    def __init__(self, scores: np.ndarray) -> None:
        self.of_items, self.n_items = scores, len(scores)

    def scores(self, rows: object) -> np.ndarray:
        return np.tile(self.of_items, (len(rows), 1))  # type: ignore[arg-type]


def main() -> None:
    """Print the rows of one of the tables."""
    with tempfile.TemporaryDirectory() as directory:
        here = Path(directory)
        what, *files = sys.argv[1:]
        rows = events(here) if what == "events" else new_items(here, *map(Path, files))
        for number, row in enumerate(rows):
            if number == 0:
                print(*row, sep=",")
            print(*(f'"{v}"' if "," in str(v) else v for v in row.values()), sep=",", flush=True)


if __name__ == "__main__":
    main()
