"""Forgetting users: out of datasets, models' histories, runs and comparisons, in one go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffrec_cli.data import store
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.dataset_record import RECORD, read_summary
from diffrec_cli.errors import DataError, LockedError, NotFoundError
from diffrec_cli.files import sweep_incoming
from diffrec_cli.models.user_arrays import without_users
from diffrec_cli.paths import comparisons_dir, datasets_dir, home, models_dir
from diffrec_cli.registry import forgotten
from diffrec_cli.registry import versions as registry
from diffrec_cli.registry.artifact import DATA, Artifact, entries, rewrite
from diffrec_cli.registry.sharing import StoredFiles
from diffrec_cli.transactions import Transaction, transaction
from diffrec_cli.workflows.fitting.run_directories import require_free, runs_but_on
from diffrec_cli.workflows.progress import Listener, Note, silent
from diffrec_cli.workflows.serving.user_histories import some


@dataclass(frozen=True)
class Forgotten:
    """What users were taken out of, or would be.

    Parameters
    ----------
    users
        Their ids.
    interactions
        Number of their interactions, in all datasets and models.
    datasets, models
        Names of datasets, and references of model versions.
    deleted
        Number of interrupted fits, and of comparisons, of these data: they are deleted whole.
    trained
        Models whose weights were trained with them: those stay as they are.
    files
        Logs that these data came from, which are not touched.
    dry_run
        Whether nothing was changed.
    """

    users: tuple[str, ...]
    interactions: int
    datasets: tuple[str, ...]
    models: tuple[str, ...]
    deleted: int
    trained: tuple[str, ...]
    files: tuple[str, ...]
    dry_run: bool

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "users": list(self.users),
            "interactions": self.interactions,
            "datasets": list(self.datasets),
            "models": list(self.models),
            "deleted": self.deleted,
            "trained": list(self.trained),
            "files": list(self.files),
            "dry_run": self.dry_run,
        }


def forget(
    users: Sequence[str],
    *,
    dry_run: bool = False,
    confirm: Callable[[Forgotten], None] = lambda found: None,
    listener: Listener = silent,
) -> Forgotten:
    """Take users out of all that is stored, or out of nothing if it is interrupted.

    Datasets and all versions of all models lose the users and their histories, and models that keep
    arrays of users lose their rows. Interrupted fits and comparisons of these data are deleted.
    Weights that were trained with the users stay: only a new fit is without them.

    Parameters
    ----------
    users
        Ids, as written in the logs.
    dry_run
        Only say what would be changed.
    confirm
        Called with what was found; what it raises prevents the change.
    listener
        Gets what is left to do.

    Raises
    ------
    NotFoundError
        Nothing stored has one of them.
    DataError
        A dataset would be left with fewer than two users.
    LockedError
        A fit of these data is running, or something changed them meanwhile.
    """
    ids = tuple(dict.fromkeys(users))
    with transaction(home()) as change:
        traces = _Traces.of(ids)
        found = traces.summary(dry_run)
        if not dry_run:
            confirm(found)
            for directory in (datasets_dir(), models_dir()):
                sweep_incoming(directory)
            traces.remove(change)
    _tell_what_is_left(found, listener)
    return found


@dataclass(frozen=True)
class _Traces:
    """Everything stored that has one of some users."""

    ids: tuple[str, ...]
    datasets: dict[Path, Dataset]
    models: list[Artifact]
    histories: dict[Path, Dataset]
    others: frozenset[str]
    """Hashes of stored data without the users."""

    @staticmethod
    def of(ids: tuple[str, ...]) -> _Traces:
        """Search datasets and models."""
        datasets = {store.find(name): store.load(name) for name in store.names()}
        histories = {one.path: (one, one.dataset()) for one in registry.artifacts()}
        having = {path: both for path, both in histories.items() if _has(both[1], ids)}
        return _Traces(
            ids,
            {path: dataset for path, dataset in datasets.items() if _has(dataset, ids)},
            [one for one, _ in having.values()],
            {path: dataset for path, (_, dataset) in having.items()},
            frozenset(
                dataset.content_hash
                for dataset in (*datasets.values(), *(one for _, one in histories.values()))
                if not _has(dataset, ids)
            ),
        )

    @property
    def everything(self) -> list[Dataset]:
        """All datasets, and the copies of models."""
        return [*self.datasets.values(), *self.histories.values()]

    def summary(self, dry_run: bool) -> Forgotten:
        """Return what there is of the users; raise if one of them is nowhere."""
        nowhere = [i for i in self.ids if not any(_has(one, [i]) for one in self.everything)]
        if nowhere:
            raise NotFoundError(
                f"unknown user {some(nowhere)}: no dataset or model has them",
                "ids are as written in the log",
            )
        trained = (
            one.record.reference
            for one in self.models
            if self._of(self.histories[one.path], one.record.training.trained_on)
        )
        files = (file for dataset in self.everything for file in _files(dataset))
        return Forgotten(
            users=self.ids,
            interactions=sum(self._of(dataset, "all") for dataset in self.everything),
            datasets=tuple(dataset.name for dataset in self.datasets.values()),
            models=tuple(one.record.reference for one in self.models),
            deleted=len(self._derived()),
            trained=tuple(trained),
            files=tuple(dict.fromkeys(files)),
            dry_run=dry_run,
        )

    def _of(self, dataset: Dataset, history: str) -> int:
        """Return how many interactions of the users a history has."""
        return dataset.history(history).take(_places(dataset, self.ids)).size

    def _derived(self) -> list[Path]:
        """Return fits, interrupted or at work, and comparisons of these data.

        Backtests compare on data that nothing else has, and what a fit reads may be replaced
        meanwhile: what is not known to be without the users is taken for theirs.
        """
        without = {one[:16] for one in self.others}
        compared = (path for path in comparisons_dir().glob("*") if path.name not in without)
        return [*runs_but_on(self.others), *sorted(compared)]

    def remove(self, change: Transaction) -> None:
        """Take the users out; other processes wait for the moment in which things change."""
        stored = StoredFiles()  # what versions shared, they share again
        for path, dataset in self.datasets.items():
            new = change.replacement(path, RECORD, dataset.content_hash)
            _without(dataset, self.ids).save(new)
            stored.share(new, entries(new))
        for one in self.models:
            dataset = self.histories[one.path]
            new = change.replacement(one.path, f"{DATA}/{RECORD}", dataset.content_hash)
            arrays = without_users(one.config(), one.weights(), _places(dataset, self.ids))
            stored.add(one.path, one.record.files)
            stored.share(new, rewrite(one, new, _without(dataset, self.ids), arrays))
        for path in self._derived():
            require_free(path)
            change.delete(path)
        with store.changing(), registry.changing():
            for path, dataset in self.datasets.items():
                _require_same(path, dataset)
            for path, dataset in self.histories.items():
                _require_same(path / DATA, dataset)
            forgotten.add(dataset.content_hash for dataset in self.everything)
            change.commit()


def _has(dataset: Dataset, ids: Sequence[str]) -> bool:
    return bool(len(_places(dataset, ids)))


def _places(dataset: Dataset, ids: Sequence[str]) -> Any:
    """Return the indices of those of the users whom a dataset has."""
    places = dataset.user_ids.indices(ids)
    return places[places >= 0]


def _without(dataset: Dataset, ids: Sequence[str]) -> Dataset:
    left = dataset.without_users(_places(dataset, ids))
    if left.n_users < 2:
        raise DataError(
            f"{dataset.name}: {left.n_users} users would be left, and a recommender needs two",
            "remove it instead: diffrec data rm, diffrec models rm",
        )
    return left


def _require_same(path: Path, dataset: Dataset) -> None:
    if not path.exists() or read_summary(path)["content_hash"] != dataset.content_hash:
        raise LockedError(f"{path} was changed by another process", "run the same command again")


def _files(dataset: Dataset) -> list[str]:
    """Return the logs that a dataset came from, and those of its updates."""
    updates = [one["file"] for one in dataset.source.get("updates", [])]
    return [str(file) for file in [*dataset.source.get("files", []), *updates] if file != "-"]


def _tell_what_is_left(found: Forgotten, listener: Listener) -> None:
    if found.trained:
        listener(
            Note(
                f"trained with them: {', '.join(found.trained)}; weights stay as they are, so fit"
                " these models anew and remove the old versions (diffrec models rm NAME@VERSION)"
            )
        )
    if found.files:
        listener(Note(f"not touched, and prepare would bring them back: {', '.join(found.files)}"))
    listener(Note("not touched: lists, exports and reports that were written elsewhere"))
