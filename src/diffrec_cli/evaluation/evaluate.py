"""Full-ranking evaluation of a scorer on a split of a dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.config import TemporalConfig
from diffrec_cli.config.options import TRAIN, TRAIN_AND_VALID
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.sequences import Sequences
from diffrec_cli.errors import DataError
from diffrec_cli.evaluation.metrics import PER_USER, coverage, novelty, per_user
from diffrec_cli.evaluation.segments import ACTIVITY, POPULARITY, Group, item_thirds, user_thirds
from diffrec_cli.models.scorer import Scorer
from diffrec_cli.ranking.batches import Ranked, catalogue_size, rank

HISTORIES = (TRAIN, TRAIN_AND_VALID)


@dataclass(frozen=True)
class Evaluation:
    """Metrics of one scorer on one split.

    Parameters
    ----------
    users
        (U,) indices of the evaluated users: those with interactions in the split.
    values
        (U,) values for each metric (``recall@20``, ...).
    coverage
        For each cut-off (``coverage@20``), the share of items that are in any list.
    groups
        Results by groups of users and of items, if asked for.
    """

    users: NDArray[np.int64]
    values: dict[str, NDArray[np.float64]]
    coverage: dict[str, float]
    groups: tuple[Group, ...] = ()

    @property
    def means(self) -> dict[str, float]:
        """Mean of every metric over the evaluated users, and the coverage; unrounded."""
        return {name: float(v.mean()) for name, v in self.values.items()} | self.coverage


def evaluate(
    scorer: Scorer,
    dataset: Dataset,
    split: str,
    *,
    ks: Sequence[int] = (10, 20),
    metrics: Sequence[str] = ("recall", "ndcg"),
    history: str = TRAIN,
    temporal: TemporalConfig | None = None,
    precision: str = "fp32",
    grouped: bool = False,
    include_seen: bool | None = None,
    users: NDArray[np.int64] | None = None,
    ranked: Callable[..., Iterator[Ranked]] = rank,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Rank the items that are new to each user, and compare with their items in `split`.

    Parameters
    ----------
    scorer
        The model.
    dataset, split
        ``valid`` masks train; ``test`` masks train and valid (paper, section 4.1.2).
    ks, metrics
        Cut-offs, and some of :data:`~.metrics.METRICS`.
    history
        Input of the model: ``train`` (the paper's protocol), or ``train+valid``.
    temporal
        Weights of the input, for the temporal variants.
    precision
        As in :func:`~diffrec_cli.ranking.batches.rank`.
    grouped
        Whether to measure by groups of users and of items too.
    include_seen
        Whether lists have all items, and those of the history are found too; ``None``: if the log's
        repeats are kept.
    users
        (U,) users to evaluate, ascending, each with interactions in the split; ``None``: all.
    ranked
        What makes the lists, with the parameters of :func:`~diffrec_cli.ranking.batches.rank`.
    on_progress
        Called with the users done and all users.

    Raises
    ------
    DataError
        No user has interactions in this split.
    """
    include_seen = dataset.keeps_repeats if include_seen is None else include_seen
    truth = dataset.to_find(split, include_seen=include_seen)
    if users is None:
        users = np.flatnonzero(truth.lengths > 0)
    if len(users) == 0:
        raise DataError(
            f"dataset {dataset.name!r}: no user has {split} interactions",
            "prepare it with other --ratios, or from a log with more interactions a user",
        )
    seen = None if include_seen else dataset.before(split).closed.take(users)
    known = input_history(dataset, split, history)
    names = [name for name in metrics if name in PER_USER]
    values: dict[str, list[NDArray[np.float64]]] = {}
    n_items = catalogue_size(scorer)
    longest = min(max(ks), n_items)
    shown = {k: np.zeros(n_items, np.int64) for k in ks}
    popularity = np.bincount(dataset.train.items, minlength=n_items)
    thirds = item_thirds(dataset.train, n_items)
    of_items: list[dict[str, list[NDArray[np.float64]]]] = [{} for _ in POPULARITY]
    batches = ranked(
        scorer,
        known.take(users),
        longest,
        users=users,
        seen=seen,
        temporal=temporal,
        precision=precision,
    )
    for lists in batches:
        batch = users[lists.start : lists.start + len(lists.items)]
        relevant = truth.take(batch)
        for name, value in per_user(lists.items, relevant, ks, names).items():
            values.setdefault(name, []).append(value)
        for third, found in enumerate(of_items if grouped else ()):
            part = relevant.keep(thirds[relevant.items] == third)
            for name, value in per_user(lists.items, part, ks, names).items():
                found.setdefault(name, []).append(value)
        for k in ks if "novelty" in metrics else ():
            surprise = novelty(lists.items[:, :k], popularity, len(dataset.train))
            values.setdefault(f"novelty@{k}", []).append(surprise)
        for k, counts in shown.items():
            top = lists.items[:, :k]
            np.add.at(counts, top[top >= 0], 1)
        on_progress(lists.start + len(batch), len(users))
    covered = {f"coverage@{k}": coverage(n) for k, n in shown.items() if "coverage" in metrics}
    figures = {name: np.concatenate(parts) for name, parts in values.items()}
    if not grouped:
        return Evaluation(users, figures, covered)
    groups = [
        *_by_users(dataset.train, users, figures),
        *_by_items(popularity, thirds, [_joined(found) for found in of_items]),
    ]
    return Evaluation(users, figures, covered, tuple(groups))


def _joined(parts: dict[str, list[NDArray[np.float64]]]) -> dict[str, NDArray[np.float64]]:
    return {name: np.concatenate(values) for name, values in parts.items()}


def _by_users(
    train: Sequences, users: NDArray[np.int64], figures: dict[str, NDArray[np.float64]]
) -> Iterator[Group]:
    third, activity = user_thirds(train, users), train.lengths[users]
    for number, name in enumerate(ACTIVITY):
        mine = third == number
        if mine.any():
            means = {metric: float(values[mine].mean()) for metric, values in figures.items()}
            yield _group("users", name, activity[mine], int(mine.sum()), means)


def _by_items(
    counts: NDArray[np.int64],
    thirds: NDArray[np.int64],
    figures: list[dict[str, NDArray[np.float64]]],
) -> Iterator[Group]:
    for number, name in enumerate(POPULARITY):
        mine = thirds == number
        values = figures[number]
        relevant = np.isfinite(next(iter(values.values()), np.empty(0)))  # users with such items
        if mine.any() and relevant.any():
            means = {metric: float(value[relevant].mean()) for metric, value in values.items()}
            yield _group("items", name, counts[mine], int(relevant.sum()), means)


def _group(
    of: str, name: str, activity: NDArray[np.int64], users: int, means: dict[str, float]
) -> Group:
    least, most = int(activity.min()), int(activity.max())
    return Group(of, name, len(activity), least, most, users, means)


def input_history(dataset: Dataset, split: str, history: str) -> Sequences:
    """Return the history of each user that a model reads when evaluated on `split`."""
    return dataset.history(TRAIN if split == "valid" else history)
