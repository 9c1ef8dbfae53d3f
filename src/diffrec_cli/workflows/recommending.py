"""Top-K lists from a stored model, for users it knows and for histories it never saw."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from diffrec_cli.config import FitConfig
from diffrec_cli.data.arrow import numbers, strings
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.histories import one_history, read_histories, read_ids
from diffrec_cli.data.sequences import Sequences
from diffrec_cli.errors import NotFoundError, UsageError
from diffrec_cli.evaluation.ranking import Ranked, rank
from diffrec_cli.models.backend import NumpyBackend, TorchBackend
from diffrec_cli.models.baselines.popularity import PopularityScorer
from diffrec_cli.models.scoring import Scorer
from diffrec_cli.registry import store as registry
from diffrec_cli.training.devices import ranking_precision
from diffrec_cli.workflows.events import Listener, Note, Step, silent
from diffrec_cli.workflows.loading import load_scorer

ON_UNKNOWN = ("error", "skip", "popular")

#: Up to so many users NumPy answers before torch would have been imported.
_FEW_USERS = 256
_NUMPY = "the CPU"
_NO_LISTS = Ranked(0, np.zeros((0, 1), np.int64), np.zeros((0, 1), np.float32))
_NAMED = 5  # unknown ids that a message names


@dataclass(frozen=True)
class Recommendations:
    """Lists, made as they are read.

    Parameters
    ----------
    model
        Reference of the model.
    users
        Number of users that will get a list.
    tables
        Arrow tables of whole lists: user, rank (from 1), item, score[, title]. One pass.
    """

    model: str
    users: int
    tables: Iterator[pa.Table]

    def table(self) -> pa.Table:
        """Return all lists as one Arrow table."""
        return pa.concat_tables(self.tables)


@dataclass(frozen=True)
class _Request:
    """Who is asked for.

    Parameters
    ----------
    labels
        Arrow string array of what to call them.
    users
        (users,) who they are in the model's data, -1 for strangers.
    histories
        What the model reads of each.
    unknown
        Of whom nothing is known: they get popular items.
    """

    labels: Any
    users: NDArray[np.int64]
    histories: Sequences
    unknown: NDArray[np.bool_]


def recommend(
    model: str | None = None,
    *,
    users: Sequence[str] = (),
    users_file: str | Path | None = None,
    all_users: bool = False,
    history: str | Path | None = None,
    like: Sequence[str] = (),
    k: int = 20,
    include_seen: bool = False,
    allow: str | Path | None = None,
    block: str | Path | None = None,
    on_unknown: str = "error",
    titles: bool = False,
    device: str = "auto",
    precision: str = "auto",
    listener: Listener = silent,
) -> Recommendations:
    """Ask a model for the best k items of each user.

    Known users enter with everything that is known of them. Exactly k items come for each
    user while enough remain.

    Parameters
    ----------
    model
        Reference; ``None`` is the default model.
    users, users_file, all_users
        Ids of known users; a file of them, one a line (``-`` is stdin); all of them.
    history
        A file of histories of users that the model need not know: ``user,item[,time]`` with a
        header, or one item a line (``-`` is stdin).
    like
        Items of one history, given by hand.
    k
        Length of the lists.
    include_seen
        Also recommend what the user has already.
    allow, block
        Files of item ids, one a line: only these, none of these.
    on_unknown
        For a user that the model does not know: ``error``, ``skip``, or ``popular`` items.
    titles
        Add the items' titles.
    device
        Where to compute; ``auto`` serves few users with NumPy, without loading torch.
    precision
        ``bf16`` finds candidates in bfloat16 and scores them again, where torch serves; ``auto``
        is ``fp32``.
    listener
        Hears of progress, and of ids that are not known.

    Raises
    ------
    NotFoundError
        The model, a user or every item of a history is unknown.
    UsageError
        Options contradict each other, or k is larger than the catalogue.
    """
    precision = ranking_precision(precision)
    given = [bool(users), users_file is not None, all_users, history is not None, bool(like)]
    if sum(given) != 1:
        raise UsageError(
            "give one of --user, --users, --all-users, --history and --like"
            + (", not several" if sum(given) > 1 else ""),
            "for example: diffrec recommend --user 42",
        )
    if on_unknown not in ON_UNKNOWN:
        raise UsageError(f"--on-unknown {on_unknown}: unknown", f"one of: {', '.join(ON_UNKNOWN)}")
    artifact = registry.resolve(model)
    dataset, config = artifact.dataset(), artifact.config()
    _check_k(k, dataset)
    if titles and not dataset.has_titles:
        raise UsageError(
            f"{artifact.record.reference} knows no titles",
            "give the item table when preparing or fitting: --items FILE",
        )
    if history is not None or like:
        request = _histories(dataset, history, like, listener)
    else:
        ids = read_ids(users_file) if users_file is not None else list(users)
        request = _known_users(dataset, None if all_users else ids)
    request = _settled(request, artifact.record.reference, on_unknown, listener)
    excluded = _excluded(dataset, allow, block, k, listener)
    device = _device(device, len(request.labels))
    backend = NumpyBackend() if device == _NUMPY else TorchBackend(device)
    scorer = load_scorer(artifact, config, dataset, backend)
    batches = _lists(request, dataset, config, scorer, k, include_seen, excluded, precision)
    tables = _tables(batches, request, dataset, titles, listener)
    return Recommendations(
        model=artifact.record.reference,
        users=len(request.labels),
        tables=_guarded(tables, device),
    )


def _guarded(tables: Iterator[pa.Table], device: str) -> Iterator[pa.Table]:
    """Yield the tables, naming the device where its memory does not suffice."""
    from diffrec_cli.training.devices import memory_errors

    with memory_errors(device):
        yield from tables


def _check_k(k: int, dataset: Dataset) -> None:
    if k < 1:
        raise UsageError(f"-k {k}: a list needs 1 item or more", "for example -k 20")
    if k > dataset.n_items:
        raise UsageError(
            f"-k {k} is larger than the catalogue of {dataset.n_items} items",
            f"use -k {dataset.n_items} or less",
        )


def _known_users(dataset: Dataset, ids: list[str] | None) -> _Request:
    """Look users up; None means all."""
    if ids is None:
        nobody = np.zeros(dataset.n_users, bool)
        return _Request(dataset.user_ids.array, np.arange(dataset.n_users), dataset.known, nobody)
    indices = dataset.user_ids.indices(ids)
    unknown = indices < 0
    histories = dataset.known.take(np.maximum(indices, 0))
    return _Request(strings(ids), indices, histories.keep(~unknown[histories.rows]), unknown)


def _settled(request: _Request, model: str, on_unknown: str, listener: Listener) -> _Request:
    """Refuse, leave out or keep (for popular items) those of whom nothing is known."""
    if not request.unknown.any():
        return request
    unknown = request.labels.take(numbers(np.flatnonzero(request.unknown))).to_pylist()
    names = _some(unknown)
    if on_unknown == "error":
        raise NotFoundError(
            f"{model}: unknown user {names}",
            "ids are as written in the log; --on-unknown skip or popular goes on without them",
        )
    verb = "skipped" if on_unknown == "skip" else "served what is popular"
    listener(Note(f"unknown users ({len(unknown):,}) {verb}: {names}"))
    if on_unknown == "popular":
        return request
    kept = np.flatnonzero(~request.unknown)
    return _Request(
        request.labels.take(numbers(kept)),
        request.users[kept],
        request.histories.take(kept),
        request.unknown[kept],
    )


def _histories(
    dataset: Dataset, path: str | Path | None, like: Sequence[str], listener: Listener
) -> _Request:
    """Turn histories into rows of known items; what is unknown is named, never just dropped."""
    given = one_history("like", like) if path is None else read_histories(path)
    for note in given.notes:
        listener(Note(note))
    # Each distinct item is looked up once, however often it stands in the histories.
    indices = dataset.item_ids.indices(given.item_ids.array.to_pylist())[given.item]
    unknown = indices < 0
    if unknown.any():
        codes = given.item[unknown]
        appearance = np.sort(np.unique(codes, return_index=True)[1])
        names = _some(given.item_ids.at(codes[appearance]))
        if unknown.all():
            raise NotFoundError(
                f"unknown item {names}: no item of the history is known to the model",
                "item ids are as written in the log",
            )
        listener(Note(f"{int(unknown.sum()):,} items of the history are unknown: {names}"))
    keys = given.user[~unknown] * dataset.n_items + indices[~unknown]
    first = np.sort(np.unique(keys, return_index=True)[1])  # a repeated item counts once
    rows, known = np.divmod(keys[first], dataset.n_items)
    histories = Sequences.from_rows(rows, known, len(given.labels))
    strangers = np.full(len(given.labels), -1)
    return _Request(strings(given.labels), strangers, histories, histories.lengths == 0)


def _excluded(
    dataset: Dataset,
    allow: str | Path | None,
    block: str | Path | None,
    k: int,
    listener: Listener,
) -> NDArray[np.bool_] | None:
    """Return which items nobody may get, (|I|,), or None for no restriction."""
    if allow is None and block is None:
        return None
    excluded = np.zeros(dataset.n_items, bool)
    if allow is not None:
        excluded[:] = True
        excluded[_item_indices(dataset, allow, "--allow", listener)] = False
    if block is not None:
        excluded[_item_indices(dataset, block, "--block", listener)] = True
    remaining = int((~excluded).sum())
    if remaining == 0:
        raise UsageError("--allow and --block leave no item", "check the ids in these files")
    if remaining < k:
        listener(Note(f"--allow and --block leave {remaining:,} items: lists are shorter than {k}"))
    return excluded


def _item_indices(
    dataset: Dataset, path: str | Path, option: str, listener: Listener
) -> NDArray[np.int64]:
    ids = read_ids(path)
    indices = dataset.item_ids.indices(ids)
    if (indices < 0).any():
        names = _some([ids[i] for i in np.flatnonzero(indices < 0)])
        count = int((indices < 0).sum())
        listener(Note(f"{option} {path}: {count:,} items are unknown to the model: {names}"))
    return indices[indices >= 0]


def _some(ids: list[str]) -> str:
    more = f" and {len(ids) - _NAMED:,} more" if len(ids) > _NAMED else ""
    return ", ".join(repr(i) for i in ids[:_NAMED]) + more


def _device(asked: str, users: int) -> str:
    """Return torch's device, or :data:`_NUMPY`."""
    if asked in ("auto", "cpu") and users <= _FEW_USERS:
        return _NUMPY
    from diffrec_cli.training.devices import choose_device

    return choose_device(asked)


def _lists(
    request: _Request,
    dataset: Dataset,
    config: FitConfig,
    scorer: Scorer,
    k: int,
    include_seen: bool,
    excluded: NDArray[np.bool_] | None,
    precision: str,
) -> Iterator[Ranked]:
    """Rank for every user; users of whom nothing is known get what is popular."""
    if request.unknown.any():
        counts = np.bincount(dataset.known.items, minlength=dataset.n_items)
        scorer = _PopularForUnknown(scorer, PopularityScorer({"counts": counts}))
    return rank(
        scorer,
        request.histories,
        k,
        users=request.users,
        seen=None if include_seen else request.histories,
        temporal=config.temporal,
        excluded=excluded,
        precision=precision,
    )


class _PopularForUnknown:
    """A scorer that gives empty histories the popularity of items instead of a model's guess."""

    def __init__(self, scorer: Scorer, popularity: Scorer) -> None:
        self.scorer, self.popularity = scorer, popularity
        self.n_items, self.backend = scorer.n_items, scorer.backend

    def scores(self, rows: Any) -> Any:
        scores = self.scorer.scores(rows)
        empty = np.flatnonzero(np.diff(rows.indptr) == 0)
        if len(empty):
            popular = self.popularity.scores(rows)[empty]
            scores[self.backend.asarray(empty)] = self.backend.asarray(popular)
        return scores


def _tables(
    batches: Iterator[Ranked],
    request: _Request,
    dataset: Dataset,
    titles: bool,
    listener: Listener,
) -> Iterator[pa.Table]:
    total = len(request.labels)
    if total == 0:  # whoever reads the table still learns its columns
        yield _table(request.labels, _NO_LISTS, dataset, titles)
    for lists in batches:
        labels = request.labels.slice(lists.start, len(lists.items))
        yield _table(labels, lists, dataset, titles)
        listener(Step("recommending", lists.start + len(labels), total))


def _table(labels: Any, lists: Ranked, dataset: Dataset, titles: bool) -> pa.Table:
    """Return the lists of a batch as rows; places that no item was left for are left out."""
    row, place = np.nonzero(lists.items >= 0)
    items = lists.items[row, place]
    columns: dict[str, Any] = {
        "user": labels.take(numbers(row)),
        "rank": numbers((place + 1).astype(np.int32)),
        "item": dataset.item_ids.array.take(numbers(items)),
        "score": numbers(lists.scores[row, place].astype(np.float32)),
    }
    if titles:
        columns["title"] = strings(dataset.titles(items))
    return pa.table(columns)
