"""Top-K lists from a stored model, for users it knows and for histories it never saw."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from diffrec_cli.data.arrow import numbers
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.errors import NotFoundError, UsageError
from diffrec_cli.registry import versions as registry
from diffrec_cli.training.devices import ranking_precision
from diffrec_cli.workflows.progress import Listener, Note, Step, silent
from diffrec_cli.workflows.serving.item_filters import holding, restriction
from diffrec_cli.workflows.serving.list_maker import Server, Style
from diffrec_cli.workflows.serving.user_histories import (
    Audience,
    Request,
    known_index,
    parse_shard,
    read_events,
    some,
    strangers,
)

ON_UNKNOWN = ("error", "skip", "popular")
_STRENGTH = 1.0


@dataclass(frozen=True)
class Recommendations:
    """Lists, made as they are read.

    Parameters
    ----------
    model
        Reference of the model.
    users
        Number of users that are asked for; ``None`` where they arrive in a stream.
    requests
        They, some at a time. One pass.
    serve
        Makes the Arrow tables of some of them: user, rank (from 1), item, score[, title][,
        because]; each table has whole lists.
    listener
        Hears of progress.
    """

    model: str
    users: int | None
    requests: Iterator[Request]
    serve: Callable[[Request], Iterator[pa.Table]]
    listener: Listener = silent

    @property
    def tables(self) -> Iterator[pa.Table]:
        """All lists in Arrow tables. One pass."""
        served = 0
        for request in self.requests:
            yield from self.serve(request)
            served += len(request)
            self.listener(Step("recommending", served, self.users))

    def table(self) -> pa.Table:
        """Return all lists as one Arrow table."""
        return pa.concat_tables(self.tables)


def recommend(
    model: str | None = None,
    *,
    users: Sequence[str] = (),
    users_file: str | Path | None = None,
    all_users: bool = False,
    shard: str | None = None,
    history: str | Path | None = None,
    like: Sequence[str] = (),
    dislike: Sequence[str] = (),
    like_where: str | None = None,
    dislike_where: str | None = None,
    strength: float = _STRENGTH,
    events: str | Path | None = None,
    k: int = 20,
    include_seen: bool = False,
    allow: str | Path | None = None,
    block: str | Path | None = None,
    block_for: str | Path | None = None,
    where: str | None = None,
    diversity: float = 0.0,
    on_unknown: str = "error",
    titles: bool = False,
    why: bool = False,
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
        Ids of known users; a file of them, one a line (``-`` is stdin), answered as they arrive;
        all of them, sorted by id.
    shard
        ``I/N``: of all users the I-th of N parts, from 1.
    history
        A file of histories of users that the model need not know: ``user,item[,time]`` with a
        header, or one item a line (``-`` is stdin).
    like
        Items of one history, given by hand; for users who are asked for otherwise, items that
        their lists are moved towards.
    dislike
        Items that lists are moved away from; they are in none.
    like_where, dislike_where
        Conditions, written like `where`: lists are moved towards, and away from, what goes with
        the items for which they hold; these and all others may still be in them.
    strength
        How strongly lists are moved, see :func:`~diffrec_cli.ranking.guidance.guided`.
    events
        A file ``user,item[,time]`` of what happened since: appended to the histories of known
        users, and all there is of new ones.
    k
        Length of the lists.
    include_seen
        Also recommend what the user has already.
    allow, block
        Files of item ids, one a line: only these, none of these.
    block_for
        A file ``user,item``: not this item for this user.
    where
        Only items for which this holds, such as ``year >= 1990 and genre contains Comedy``.
    diversity
        0 to 1: how much it counts that the items of a list are unlike each other.
    on_unknown
        For a user that the model does not know: ``error``, ``skip``, or ``popular`` items.
    titles
        Add the items' titles.
    why
        Add to each item those of the history that raised its score most.
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
    style = Style(k, include_seen, diversity, strength, titles, why, ranking_precision(precision))
    _check_who(users, users_file, all_users, shard, history, like, events, on_unknown)
    _check_stdin(users_file, history, events, allow, block, block_for)
    artifact = registry.resolve(model)
    reference, dataset = artifact.record.reference, artifact.dataset()
    _check_style(style, dataset, reference)
    named = bool(users) or users_file is not None or all_users or history is not None
    moves = [named and like, dislike, like_where is not None, dislike_where is not None]
    if strength != _STRENGTH and not any(moves):
        raise UsageError(
            f"--strength {strength:g}: nothing moves the lists",
            "give users --like, --dislike, --like-where or --dislike-where, or leave it out",
        )
    happened = None if events is None else read_events(dataset, events, listener)
    audience = Audience(dataset, happened)
    total: int | None
    if all_users:
        total, requests = audience.everyone(parse_shard(shard or "1/1"))
    elif users_file is not None:
        total, requests = None, audience.streamed(users_file)
    else:
        ids = list(dict.fromkeys(map(str, users)))
        given = audience.named(ids) if ids else strangers(dataset, history, like, listener)
        total, requests = len(given), iter([given])
    liked = known_index(dataset, like if named else (), "--like", reference)
    disliked = known_index(dataset, dislike, "--dislike", reference)
    towards = np.union1d(liked, holding(dataset, like_where, "--like-where"))
    away = np.union1d(disliked, holding(dataset, dislike_where, "--dislike-where"))
    limits = restriction(
        dataset,
        allow=allow,
        block=block,
        where=where,
        block_for=block_for,
        more=disliked,
        k=k,
        listener=listener,
    )
    server = Server(artifact, dataset, style, limits, towards, away, device, total)
    return Recommendations(
        model=reference,
        users=total,
        requests=_primed(_settled(requests, reference, on_unknown, listener)),
        serve=server.serve,
        listener=listener,
    )


def _check_who(
    users: Sequence[str],
    users_file: str | Path | None,
    all_users: bool,
    shard: str | None,
    history: str | Path | None,
    like: Sequence[str],
    events: str | Path | None,
    on_unknown: str,
) -> None:
    given = [bool(users), users_file is not None, all_users, history is not None]
    if sum(given) > 1 or (sum(given) == 0 and not like):
        raise UsageError(
            "give one of --user, --users, --all-users, --history and --like"
            + (", not several" if sum(given) > 1 else ""),
            "for example: diffrec recommend --user 42",
        )
    if shard is not None and not all_users:
        raise UsageError(f"--shard {shard}: only with --all-users", "leave --shard out")
    if events is not None and (history is not None or sum(given) == 0):
        raise UsageError(
            "--events: for known users, who have no --history or --like",
            "put the events into the history",
        )
    if on_unknown not in ON_UNKNOWN:
        raise UsageError(f"--on-unknown {on_unknown}: unknown", f"one of: {', '.join(ON_UNKNOWN)}")


def _check_stdin(*files: str | Path | None) -> None:
    """Refuse to read more than one file from stdin."""
    if sum(str(file) == "-" for file in files) > 1:
        raise UsageError("several options ask for stdin (-)", "give all but one of them a file")


def _check_style(style: Style, dataset: Dataset, reference: str) -> None:
    if not isinstance(style.k, int | np.integer) or style.k < 1:
        raise UsageError(f"-k {style.k}: a list needs 1 item or more", "for example -k 20")
    if style.k > dataset.n_items:
        raise UsageError(
            f"-k {style.k} is larger than the catalogue of {dataset.n_items} items",
            f"use -k {dataset.n_items} or less",
        )
    if not 0 <= style.strength < np.inf:
        raise UsageError(f"--strength {style.strength:g}: not 0 or more", "for example 0.5")
    if not 0 <= style.diversity <= 1:
        raise UsageError(f"--diversity {style.diversity:g}: not 0 to 1", "for example 0.3")
    dataset.require_titles(style.titles, reference)


def _settled(
    requests: Iterator[Request], model: str, on_unknown: str, listener: Listener
) -> Iterator[Request]:
    """Refuse, leave out or keep (for popular items) those of whom nothing is known."""
    for request in requests:
        if not request.unknown.any():
            yield request
            continue
        unknown = request.labels.take(numbers(np.flatnonzero(request.unknown))).to_pylist()
        names = some(unknown)
        if on_unknown == "error":
            raise NotFoundError(
                f"{model}: unknown user {names}",
                "ids are as written in the log; --on-unknown skip or popular goes on without them",
            )
        verb = "skipped" if on_unknown == "skip" else "served what is popular"
        listener(Note(f"unknown users ({len(unknown):,}) {verb}: {names}"))
        skips = on_unknown == "skip"
        yield request.take(np.flatnonzero(~request.unknown)) if skips else request


def _primed(requests: Iterator[Request]) -> Iterator[Request]:
    """Return the same with the first at hand: what is wrong is found before anything is printed."""
    first = list(islice(requests, 1))
    return chain(first, requests)
