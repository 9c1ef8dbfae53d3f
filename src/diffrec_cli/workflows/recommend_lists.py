"""Top-K lists from a stored model, for known and unseen users."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from diffrec_cli.data.arrow import numbers, to_numpy
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.tables import write_stream
from diffrec_cli.errors import NotFoundError, UsageError
from diffrec_cli.registry import versions as registry
from diffrec_cli.training.devices import ranking_precision
from diffrec_cli.workflows.progress import Listener, Note, Step, silent
from diffrec_cli.workflows.serving.item_filters import holding, item_filters
from diffrec_cli.workflows.serving.list_maker import ListMaker
from diffrec_cli.workflows.serving.new_items import with_new_items
from diffrec_cli.workflows.serving.options import RecommendOptions
from diffrec_cli.workflows.serving.user_histories import (
    Request,
    UserHistories,
    known_index,
    parse_shard,
    read_events,
    some,
    unseen_users,
)


@dataclass(frozen=True)
class Recommendations:
    """Lists, made as they are read.

    Parameters
    ----------
    model
        Reference of the model.
    users
        Number of users asked for; ``None`` for a stream.
    requests
        The users, some at a time. One pass.
    serve
        Makes Arrow tables of whole lists: user, rank (from 1), item, score[, title][, because].
    listener
        Gets progress.
    """

    model: str
    users: int | None
    requests: Iterator[Request]
    serve: Callable[[Request], Iterator[pa.Table]]
    listener: Listener = silent

    @property
    def tables(self) -> Iterator[pa.Table]:
        """All lists in Arrow tables. One pass."""
        served = lists = 0
        for request in self.requests:
            for table in self.serve(request):
                lists += count_lists(table)
                yield table
            served += len(request)
            self.listener(Step("recommending", served, self.users))
        tell_of_none(served - lists, served, self.listener)

    def table(self) -> pa.Table:
        """Return all lists as one Arrow table."""
        return pa.concat_tables(self.tables)

    def write(self, stream: BinaryIO, form: str) -> None:
        """Write the lists to a stream as they are made: ``csv``, ``jsonl`` or ``parquet``."""
        write_stream(stream, form, self.tables)


def recommend(
    model: str | None = None, *, listener: Listener = silent, **options: Any
) -> Recommendations:
    """Ask a model for the best k items of each user.

    The model reads a known user's whole history. Each list has k items if enough remain.

    Parameters
    ----------
    model
        Reference; ``None`` is the default model.
    listener
        Gets progress, and unknown ids.
    options
        Fields of :class:`~diffrec_cli.workflows.serving.options.RecommendOptions`.

    Raises
    ------
    NotFoundError
        The model, a user or every item of a history is unknown.
    UsageError
        Options contradict each other, or k is larger than the catalogue.
    """
    return recommend_by(model, RecommendOptions(**options), listener)


def recommend_by(
    model: str | None, options: RecommendOptions, listener: Listener
) -> Recommendations:
    """Do what :func:`recommend` does, for checked options."""
    ranking_precision(options.precision)
    artifact = registry.resolve(model)
    reference, dataset = artifact.record.reference, artifact.dataset()
    more = None
    if options.new_items is not None:
        dataset, more = with_new_items(
            artifact, dataset, options.new_items, options.item_features, listener
        )
    _check_fit(options, dataset, reference)
    if options.length > dataset.n_items:  # no one said how long
        options = replace(options, k=dataset.n_items)
    if options.include_seen:
        listener(Note("lists may have what users had before (--include-seen)"))
    elif dataset.keeps_repeats:
        listener(Note("lists leave out what users had before; --include-seen has it too"))
    total, requests = _requests(options, dataset, listener)
    liked = known_index(dataset, options.like if options.names_users else (), "--like", reference)
    disliked = known_index(dataset, options.dislike, "--dislike", reference)
    towards = np.union1d(liked, holding(dataset, options.like_where, "--like-where"))
    away = np.union1d(disliked, holding(dataset, options.dislike_where, "--dislike-where"))
    limits = item_filters(dataset, options, disliked, listener)
    maker = ListMaker(artifact, dataset, options, limits, towards, away, total, more)
    settled = _settled(
        requests, reference, options.on_unknown, listener, streamed=options.users_file is not None
    )
    return Recommendations(reference, total, _primed(settled), maker.serve, listener)


def count_lists(table: pa.Table) -> int:
    """Return the number of lists in a table of whole lists."""
    return sum(int(np.count_nonzero(to_numpy(one) == 1)) for one in table["rank"].chunks)


def tell_of_none(without: int, users: int, listener: Listener) -> None:
    """Tell how many users got no list, since no item was left for them."""
    if without:
        listener(
            Note(
                f"no item is left for {without:,} of {users:,} users: they have, or may not get,"
                " any that there is"
            )
        )


def _check_fit(options: RecommendOptions, dataset: Dataset, reference: str) -> None:
    """Refuse what this model's dataset cannot give."""
    if options.k is not None and options.k > dataset.n_items:
        raise UsageError(
            f"-k {options.k} is larger than the catalogue of {dataset.n_items} items",
            f"use -k {dataset.n_items} or less",
        )
    dataset.require_titles(options.titles, reference)


def _requests(
    options: RecommendOptions, dataset: Dataset, listener: Listener
) -> tuple[int | None, Iterator[Request]]:
    """Return the number of users asked for, if known, and the users, some at a time."""
    events = None
    if options.events is not None:
        events = read_events(dataset, options.events, listener, options.read)
    histories = UserHistories(dataset, events)
    if options.all_users:
        return histories.everyone(parse_shard(options.shard or "1/1"))
    if options.users_file is not None:
        skipped = None if options.on_unknown == "error" else _skipping(options, listener)
        return None, histories.streamed(options.users_file, skipped)
    if options.users:
        given = histories.named(list(dict.fromkeys(map(str, options.users))))
    else:
        given = unseen_users(dataset, options.history, options.like, listener, options.read)
    return len(given), iter([given])


def _skipping(options: RecommendOptions, listener: Listener) -> Callable[[list[int]], None]:
    """Return what tells of lines that are no ids."""

    def skipped(lines: list[int]) -> None:
        listener(Note(f"{options.users_file}: not UTF-8 text, skipped: line {some(lines)}"))

    return skipped


def _settled(
    requests: Iterator[Request],
    model: str,
    on_unknown: str,
    listener: Listener,
    *,
    streamed: bool,
) -> Iterator[Request]:
    """Refuse, leave out or keep (for popular items) unknown users.

    Those of a stream who come before a refused one are answered first.
    """
    for request in requests:
        if not request.unknown.any():
            yield request
            continue
        unknown = request.labels.take(numbers(np.flatnonzero(request.unknown))).to_pylist()
        names = some(unknown)
        if on_unknown == "error":
            if streamed and not request.unknown[0]:
                yield request.take(np.arange(np.argmax(request.unknown)))
            raise NotFoundError(
                f"{model}: unknown user {names}",
                "ids are as written in the log; --on-unknown skip or popular goes on without them",
            )
        verb = "skipped" if on_unknown == "skip" else "served what is popular"
        listener(Note(f"unknown users ({len(unknown):,}) {verb}: {names}"))
        skips = on_unknown == "skip"
        yield request.take(np.flatnonzero(~request.unknown)) if skips else request


def _primed(requests: Iterator[Request]) -> Iterator[Request]:
    """Return the same, with the first made now: errors come before any output."""
    first = list(islice(requests, 1))
    return chain(first, requests)
