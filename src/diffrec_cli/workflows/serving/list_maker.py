"""Lists for users: with NumPy for a few users, with torch for more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.sequences import Rows
from diffrec_cli.errors import CorruptError, UsageError
from diffrec_cli.models.backend import NumpyBackend, TorchBackend
from diffrec_cli.models.baselines.popularity import PopularityScorer
from diffrec_cli.models.scorer import Scorer, trained_alone
from diffrec_cli.ranking.batches import Ranked, rank
from diffrec_cli.ranking.guidance import guided
from diffrec_cli.ranking.item_vectors import ItemVectors, has_vectors
from diffrec_cli.ranking.rerank import candidates, diversified
from diffrec_cli.registry.artifact import Artifact
from diffrec_cli.training.devices import ranking_precision
from diffrec_cli.workflows.serving.item_filters import ItemFilters
from diffrec_cli.workflows.serving.loading import load_scorer
from diffrec_cli.workflows.serving.options import RecommendOptions
from diffrec_cli.workflows.serving.result_tables import Reasons, explained, list_table
from diffrec_cli.workflows.serving.user_histories import Request

#: For at most this many users NumPy is faster than importing torch.
_FEW_USERS = 256
_NUMPY = "the CPU"


class ListMaker:
    """Makes lists: with NumPy for a few users, with torch for more.

    Parameters
    ----------
    artifact, dataset
        The model, and what it was trained on.
    options
        Options of the lists.
    limits
        Items that may not be recommended.
    liked, disliked
        Items to move lists towards and away from.
    total
        Number of users asked for, if known.
    more
        Arrays that the model has besides those that are stored.
    loaded
        The model's scorer on NumPy, if it is in memory already: it makes all lists.
    """

    def __init__(
        self,
        artifact: Artifact,
        dataset: Dataset,
        options: RecommendOptions,
        limits: ItemFilters,
        liked: NDArray[np.int64],
        disliked: NDArray[np.int64],
        total: int | None,
        more: Mapping[str, NDArray[Any]] | None = None,
        loaded: Scorer | None = None,
    ) -> None:
        self.artifact, self.dataset, self.config = artifact, dataset, artifact.config()
        self.options, self.limits = options, limits
        self.liked, self.disliked = liked, disliked
        self.total, self.more, self.loaded = total, more, loaded
        self.served = 0
        self._engine: _Engine | None = None

    def serve(self, request: Request) -> Iterator[pa.Table]:
        """Yield the lists of some users, a table for each batch."""
        options, engine = self.options, self._engine_for(self.served + len(request))
        if len(request) == 0:  # the table still has its columns
            nobody = Ranked(0, np.zeros((0, 1), np.int64), np.zeros((0, 1), np.float32))
            yield list_table(
                request, nobody, self.dataset, options.titles, [] if options.why else None
            )
        with _memory_errors(engine.device):
            for lists in self._ranked(request, engine):
                self._check(lists)
                mine = request
                if len(lists.items) < len(request):
                    mine = request.take(np.arange(lists.start, lists.start + len(lists.items)))
                why = self._reasons(mine, lists, engine.scorer) if options.why else None
                yield list_table(mine, lists, self.dataset, options.titles, why)
                self.served += len(mine)

    def _check(self, lists: Ranked) -> None:
        """Raise a CorruptError for scores that are no numbers: no order is in them."""
        if not np.isfinite(lists.scores[lists.items >= 0]).all():
            raise CorruptError(
                f"{self.artifact.record.reference}: it gives scores that are not finite numbers",
                "fit it again; if it trains in epochs, with a lower --set lr",
            )

    def _ranked(self, request: Request, engine: _Engine) -> Iterator[Ranked]:
        """Rank for these users; who has no item that the model reads gets popular ones."""
        options, scorer = self.options, engine.scorer
        read = request.histories.keep(request.histories.items < engine.trained)
        if not read.lengths.all():
            counts = {"counts": self.dataset.popularity}
            popularity = PopularityScorer(self.config, counts, NumpyBackend())
            scorer = _PopularForUnknown(scorer, popularity, engine.trained)
        vectors = engine.vectors if options.diversity > 0 else None
        batches = rank(
            scorer,
            request.histories,
            options.length if vectors is None else candidates(options.length, self.dataset.n_items),
            users=request.users,
            seen=self.limits.masked(request, options.include_seen),
            temporal=self.config.temporal,
            excluded=self.limits.excluded,
            precision=ranking_precision(options.precision),
        )
        for lists in batches:
            if vectors is None:
                yield lists
                continue
            found = lists.items, lists.scores
            yield Ranked(
                lists.start, *diversified(found, vectors, options.length, options.diversity)
            )

    def _reasons(self, request: Request, lists: Ranked, scorer: Scorer) -> list[list[Reasons]]:
        """Return for each user and each item of their list what raised its score most."""
        return [
            explained(
                scorer,
                request.histories.take(np.array([row])),
                lists.items[row][lists.items[row] >= 0],
                temporal=self.config.temporal,
                user=int(request.users[row]),
            )
            for row in range(len(request))
        ]

    def _engine_for(self, users: int) -> _Engine:
        """Return the engine for so many users, made when first needed."""
        few = max(users, self.total or 0) <= _FEW_USERS and self.options.device in ("auto", "cpu")
        few = few or self.loaded is not None
        if self._engine is None or (self._engine.device == _NUMPY and not few):
            self._engine = self._start(few)
        return self._engine

    def _start(self, few: bool) -> _Engine:
        device = _NUMPY if few else _choose_device(self.options.device)
        scorer = self.loaded if few else None
        if scorer is None:
            backend = NumpyBackend() if few else TorchBackend(device)
            with _memory_errors(device):
                scorer = load_scorer(self.artifact, self.config, self.dataset, backend, self.more)
        trained = trained_alone(scorer).n_items
        weight = self.config.newest_weight
        vectors = None
        if self.options.diversity > 0:
            if has_vectors(trained_alone(scorer)) and not has_vectors(scorer):
                raise UsageError(
                    "--diversity: items that came after the model was trained have no vectors",
                    "leave it out, or use the version before `update --items`",
                )
            if not has_vectors(scorer):
                raise UsageError(
                    f"--diversity: {self.config.variant} has no vectors by which items are alike",
                    "use a model that has, such as base, l, t or lt",
                )
            vectors = ItemVectors(scorer, weight)
        if len(self.liked) or len(self.disliked):
            liked, disliked = (of[of < trained] for of in (self.liked, self.disliked))
            if not len(liked) and not len(disliked):
                raise UsageError(
                    "--like, --dislike: items that came after the model was trained move no list",
                    "give items that it was trained with",
                )
            strength = self.options.strength
            usual = self.dataset.known.size / max(1, self.dataset.n_users)  # interactions
            scorer = guided(scorer, liked, disliked, weight=weight, most=usual, strength=strength)
        return _Engine(device, scorer, vectors, trained)


@dataclass(frozen=True)
class _Engine:
    """A model on a device."""

    device: str  # torch's name, or _NUMPY
    scorer: Scorer  # with guidance by likes and dislikes
    vectors: ItemVectors | None  # for diversity
    trained: int  # items that the model was trained with: the first ones


def _choose_device(asked: str) -> str:
    from diffrec_cli.training.devices import choose_device

    return choose_device(asked)


def _memory_errors(device: str) -> AbstractContextManager[None]:
    """Raise errors of memory that name the device."""
    from diffrec_cli.training.devices import memory_errors, ranking_fix

    return memory_errors(device, ranking_fix("cpu" if device == _NUMPY else device))


class _PopularForUnknown:
    """A scorer that scores by popularity for histories without an item of the first so many."""

    def __init__(self, scorer: Scorer, popularity: Scorer, trained: int) -> None:
        self.scorer, self.popularity, self.trained = scorer, popularity, trained
        self.n_items, self.backend = scorer.n_items, scorer.backend

    def scores(self, rows: Rows) -> Any:
        scores = self.scorer.scores(rows)
        empty = np.flatnonzero(np.diff(rows.keep(rows.items < self.trained).indptr) == 0)
        if len(empty):
            popular = self.popularity.scores(rows)[empty]
            scores[self.backend.asarray(empty)] = self.backend.asarray(popular)
        return scores
