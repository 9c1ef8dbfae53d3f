"""A model that stays in memory, and answers several requests for lists at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pyarrow as pa

from diffrec_cli.data.arrow import strings
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.reading.histories import listed_histories
from diffrec_cli.errors import NotFoundError, UsageError
from diffrec_cli.models.backend import NumpyBackend
from diffrec_cli.models.scorer import Scorer
from diffrec_cli.registry.artifact import Artifact
from diffrec_cli.workflows.progress import silent
from diffrec_cli.workflows.serving.item_filters import item_filters
from diffrec_cli.workflows.serving.list_maker import ListMaker
from diffrec_cli.workflows.serving.loading import load_scorer
from diffrec_cli.workflows.serving.options import RecommendOptions
from diffrec_cli.workflows.serving.user_histories import (
    Request,
    UserHistories,
    as_request,
    known_items,
)

#: What the rows of a history's list have in place of a user, as with ``recommend --history``.
_NO_USER = "history"
_NO_ITEMS = np.zeros(0, np.int64)
_FILTERS = 16  # of the last requests that are kept


@dataclass(frozen=True)
class Wanted:
    """What a list should be like; see ``RecommendOptions``."""

    k: int | None = None
    where: str | None = None
    allow: tuple[str, ...] | None = None
    block: tuple[str, ...] | None = None
    include_seen: bool = False
    titles: bool = False
    why: bool = False


@dataclass(frozen=True)
class Ask:
    """A request for one list: for a user, or for a history, oldest first."""

    user: str | None
    history: tuple[str, ...]
    wanted: Wanted


@dataclass(frozen=True)
class Answer:
    """A list.

    Parameters
    ----------
    model
        Reference of the model that made it.
    rows
        As ``diffrec recommend --format json`` has them: user, rank, item, score, and what else was
        asked for.
    unknown_items
        Items of the request that the model does not know.
    """

    model: str
    rows: list[dict[str, Any]]
    unknown_items: list[str]


class ModelInMemory:
    """A model, read once, with what it was trained on.

    Parameters
    ----------
    artifact
        The stored model. Its weights are views of the file, which may be removed meanwhile.

    Raises
    ------
    CorruptError
        Its files are damaged, or it gives scores that are no numbers.
    """

    def __init__(self, artifact: Artifact) -> None:
        self.dataset, self.reference = artifact.dataset(), artifact.record.reference
        self.histories = UserHistories(self.dataset)
        scorer = load_scorer(artifact, artifact.config(), self.dataset, NumpyBackend())
        # Filters of what was wanted lately; this function knows nothing of `self`, so that a model
        # that is replaced is freed at once.
        self._maker = lru_cache(_FILTERS)(partial(_maker, artifact, self.dataset, scorer))
        self._try()

    def _try(self) -> None:
        """Make lists, so that no one waits for what is read at first use."""
        users = self.dataset.user_ids.at(np.arange(min(1, self.dataset.n_users)))
        items = self.dataset.item_ids.at(np.arange(min(1, self.dataset.n_items)))
        asks = [Ask(None, tuple(items), Wanted()), *(Ask(user, (), Wanted()) for user in users)]
        for _ in range(2):  # a map of ids makes its dictionary at the second question
            for answer in self.answers(asks):
                if isinstance(answer, Exception):
                    raise answer

    def answers(self, asks: Sequence[Ask]) -> list[Answer | Exception]:
        """Return the answer to each request, or why there is none.

        Those that want the same kind of list are ranked together.
        """
        alike: dict[Wanted, list[int]] = {}
        for place, ask in enumerate(asks):
            alike.setdefault(ask.wanted, []).append(place)
        found: dict[int, Answer | Exception] = {}
        for places in alike.values():
            found.update(zip(places, self._alike([asks[i] for i in places]), strict=True))
        return [found[place] for place in range(len(asks))]

    def _alike(self, asks: Sequence[Ask]) -> list[Answer | Exception]:
        try:
            return self._ranked(asks)
        except Exception as error:  # the caller tells its kinds apart
            if len(asks) == 1:
                return [error]
        # What fails for one of them must not fail for the others.
        return [answer for ask in asks for answer in self._alike([ask])]

    def _ranked(self, asks: Sequence[Ask]) -> list[Answer | Exception]:
        """Return the answers to requests that want the same."""
        maker, request = self._maker(asks[0].wanted), self._request(asks)
        unknown: set[int] = set()
        if request.unknown.any():
            rows_of_unknown = np.flatnonzero(request.unknown)
            unknown.update(map(int, request.take(rows_of_unknown).labels.to_pylist()))
            request = request.take(np.flatnonzero(~request.unknown))
        rows = _rows_by_user(list(maker.serve(request)), len(asks))
        return [
            self._nothing_known(ask) if place in unknown else self._answer(ask, rows[place])
            for place, ask in enumerate(asks)
        ]

    def _request(self, asks: Sequence[Ask]) -> Request:
        """Return all users, and below them all histories, with their places as labels."""
        named = [place for place, ask in enumerate(asks) if ask.user is not None]
        shown = [place for place, ask in enumerate(asks) if ask.user is None]
        users = self.histories.named([str(asks[place].user) for place in named])
        users = replace(users, labels=strings(list(map(str, named))))
        if not shown:
            return users
        labels = list(map(str, shown))
        given = listed_histories(labels, [asks[place].history for place in shown])
        return users.above(as_request(labels, known_items(self.dataset, given, "", silent)))

    def _answer(self, ask: Ask, rows: list[dict[str, Any]]) -> Answer:
        label = {"user": _NO_USER if ask.user is None else ask.user}
        return Answer(self.reference, [label | row for row in rows], self._unknown(ask))

    def _unknown(self, ask: Ask) -> list[str]:
        wanted = ask.wanted
        named = list(dict.fromkeys([*ask.history, *(wanted.allow or ()), *(wanted.block or ())]))
        if not named:
            return []
        indices = self.dataset.item_ids.indices(named)
        return [named[place] for place in np.flatnonzero(indices < 0)]

    def _nothing_known(self, ask: Ask) -> NotFoundError:
        ids = "ids are as written in the log"
        if ask.user is None:
            return NotFoundError("no item of the history is known to the model", ids)
        return NotFoundError(f"unknown user {ask.user!r}", f"{ids}; or ask by a history")


def _maker(artifact: Artifact, dataset: Dataset, scorer: Scorer, wanted: Wanted) -> ListMaker:
    """Return what makes lists of one kind."""
    n_items, k = dataset.n_items, wanted.k
    if k is not None and k > n_items:
        raise UsageError(
            f"k {k}: larger than the catalogue of {n_items} items", f"ask for {n_items} or less"
        )
    dataset.require_titles(wanted.titles, artifact.record.reference)
    options = RecommendOptions(users=[_NO_USER], device="cpu", **vars(wanted))
    if options.length > n_items:  # no one said how long
        options = replace(options, k=n_items)
    limits = item_filters(dataset, options, _NO_ITEMS, silent)
    return ListMaker(artifact, dataset, options, limits, _NO_ITEMS, _NO_ITEMS, None, loaded=scorer)


def _rows_by_user(tables: list[pa.Table], users: int) -> list[list[dict[str, Any]]]:
    """Return the rows of each user without its label, which is its place."""
    table = pa.concat_tables(tables)
    names = [name for name in table.column_names if name != "user"]
    columns = [table[name].to_pylist() for name in names]
    found: list[list[dict[str, Any]]] = [[] for _ in range(users)]
    for place, *values in zip(map(int, table["user"].to_pylist()), *columns, strict=True):
        found[place].append(dict(zip(names, values, strict=True)))
    return found
