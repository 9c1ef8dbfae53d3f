"""Scores of items that a model was not trained with, from those of similar items.

A new item's score is the mean score of a user's items plus a linear map of how far the known items'
scores are from it. Two maps are tried: the ridge regression of scores on features, which for scores
that are linear in item vectors is the regression of these vectors; and the nearest neighbours by
features. Which one, how much the map is stretched, and how much new items are shifted as nobody has
them yet, is found on valid, where a tenth of the known items is taken for new. Where lists do not
become better than without new items, by more than two standard errors, these come last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.data.sequences import Rows
from diffrec_cli.graph.judging import K, hide, is_in, qualities, top
from diffrec_cli.models.backend import Backend, NumpyBackend
from diffrec_cli.models.baselines.sparse import loaded, matrix, stored
from diffrec_cli.models.scorer import NEW, Scorer

Arrays = dict[str, NDArray[Any]]

_LAMBDAS, _NEIGHBOURS = (1.0, 10.0, 100.0), (5, 20, 50)
_STRETCHES = (1.0, 2.0, 4.0)  # of the map: regression and means shrink
_SHIFTS = (-1.0, -0.5, 0.0, 0.5, 1.0)  # in deviations of a user's scores
_LAST = -1e3  # such a shift puts new items after all others
_SHARE = 0.1  # of the known items that are taken for new
_DRAWS = 3  # of items that are taken for new
_USERS, _BLOCK = 1000, 250


@dataclass(frozen=True)
class Place:
    """How new items find their place.

    Parameters
    ----------
    ridge, neighbours
        Penalty of the regression, or number of neighbours; one of them is given.
    stretch, shift
        What the map is multiplied by, and what is added, in deviations of each user's scores.
    quality
        Mean of Recall@20 and NDCG@20 on valid, with a tenth of the items taken for new; ``None``:
        there is no valid part.
    without
        The same without these.
    """

    ridge: float | None
    neighbours: int | None
    stretch: float
    shift: float
    quality: float | None = None
    without: float | None = None

    def __str__(self) -> str:
        """Return it in words."""
        how = (
            f"regression on features, penalty {self.ridge:g}"
            if self.neighbours is None
            else f"{self.neighbours} nearest neighbours"
        )
        if self.shift == _LAST:
            why = "" if self.quality is None else ", as these lists are not better with them"
            return f"{how}, after all others{why}"
        return f"{how}, stretched by {self.stretch:g} and shifted by {self.shift:g} deviations"


class NewItemScorer:
    """A scorer of known items, and of new ones after them.

    Parameters
    ----------
    scorer
        The model.
    weights
        Arrays of :func:`maps`.

    Attributes
    ----------
    trained
        The scorer of the known items alone.
    """

    def __init__(self, scorer: Scorer, weights: Mapping[str, Any]) -> None:
        self.backend: Backend = NumpyBackend()
        self.trained = scorer
        self._left, self._right = _loaded(weights, scorer.n_items)
        self._stretch, self._shift = np.asarray(weights[f"{NEW}place"]).tolist()
        new = self._left if self._right is None else self._right
        self.n_items = scorer.n_items + new.shape[1]

    def scores(self, rows: Rows) -> NDArray[np.float32]:
        """Return (B, items); new items of the histories are not read."""
        known = rows.keep(rows.items < self.trained.n_items)
        old = np.asarray(self.trained.backend.host(self.trained.scores(known)), np.float32)
        mapped = _mapped(old, self._left, self._right)
        return np.concatenate([old, _placed(mapped, old, self._stretch, self._shift)], axis=1)


def find_place(scorer: Scorer, train: Rows, valid: Rows, features: Any, seed: int = 0) -> Place:
    """Return the best place of new items, by known ones that are taken for new.

    Parameters
    ----------
    scorer
        The model.
    train, valid
        Every user's interactions: those that are read and may not be in a list, and those to find.
    features
        (items, d) CSR of the known items.
    seed
        Of which items are taken for new.
    """
    random, n = np.random.default_rng(seed), scorer.n_items
    users = np.flatnonzero(np.diff(valid.indptr))
    users = users[:: max(1, len(users) // _USERS)]
    if not len(users):
        return Place(_LAMBDAS[1], None, 1.0, _LAST)
    places = list(_places())
    plain = [place for place in places if (place.stretch, place.shift) == (1.0, 0.0)]
    gains, without = np.zeros((len(places), len(users))), 0.0  # mean over draws
    among = np.zeros(len(plain))
    for _ in range(_DRAWS):
        new = np.zeros(n, np.bool_)
        new[random.choice(n, max(1, round(_SHARE * n)), replace=False)] = True
        judge = _Judge(scorer, train, valid, users, new, features)
        apart = judge.quality(None)
        among += [judge.quality(place, among=True).mean() for place in plain]
        without += float(apart.mean()) / _DRAWS
        gains += np.stack([judge.quality(place) - apart for place in places]) / _DRAWS
    best = int(gains.mean(axis=1).argmax())
    gain, error = gains[best].mean(), gains[best].std() / max(1, len(users)) ** 0.5
    if gain <= 2 * error:
        best = int(among.argmax())  # lists of new items alone are made too
        return replace(plain[best], shift=_LAST, quality=without, without=without)
    return replace(places[best], quality=without + float(gain), without=without)


def maps(place: Place, known: Any, new: Any) -> Arrays:
    """Return the arrays of :class:`NewItemScorer`.

    Parameters
    ----------
    place
        How new items find theirs.
    known, new
        (items, d) CSR features.
    """
    left, right = _map(known, new, place.ridge, place.neighbours)
    arrays: Arrays = {f"{NEW}{name}": array for name, array in stored(left).items()}
    arrays |= {f"{NEW}place": np.array([place.stretch, place.shift], np.float32)}
    arrays |= {f"{NEW}columns": np.array([left.shape[1]])}
    return arrays if right is None else {**arrays, f"{NEW}right": right}


def _places() -> Iterator[Place]:
    """Yield what is tried; those of one map follow each other."""
    maps = [*((ridge, None) for ridge in _LAMBDAS), *((None, k) for k in _NEIGHBOURS)]
    for ridge, neighbours in maps:
        for stretch, shift in product(_STRETCHES, _SHIFTS):
            yield Place(ridge, neighbours, stretch, shift)


def _map(
    known: Any, new: Any, ridge: float | None, neighbours: int | None
) -> tuple[Any, NDArray[np.float32] | None]:
    """Return L (known, r), CSR, and R (r, new): deviations times L times R are those of new items.

    Without R, L is (known, new).
    """
    if neighbours is not None:
        return _nearest(known, new, neighbours), None
    gram = (known.T @ known).toarray().astype(np.float64)
    gram[np.diag_indices_from(gram)] += ridge or 0.0
    right = np.linalg.solve(gram, new.T.toarray().astype(np.float64))
    return known, right.astype(np.float32)


def _nearest(known: Any, new: Any, k: int) -> Any:
    """Return (known, new) CSR: each column has the weights of the k most similar items, sum 1."""
    from scipy.sparse import csr_matrix

    x, y = _normal(known), _normal(new)
    rows, columns, values = [], [], []
    for start in range(0, y.shape[0], _BLOCK):
        alike = np.asarray((y[start : start + _BLOCK] @ x.T).todense(), np.float32)
        nearest = top(alike, min(k, alike.shape[1]))
        weights = np.maximum(np.take_along_axis(alike, nearest, 1), 0)
        weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
        rows.append(nearest.ravel())
        columns.append(np.repeat(np.arange(start, start + len(alike)), nearest.shape[1]))
        values.append(weights.ravel())
    where = np.concatenate(rows), np.concatenate(columns)
    shape = (known.shape[0], new.shape[0])
    found = csr_matrix((np.concatenate(values), where), shape, np.float32)
    found.eliminate_zeros()
    return found


def _normal(x: Any) -> Any:
    from sklearn.preprocessing import normalize

    return normalize(x)


def _loaded(weights: Mapping[str, Any], n: int) -> tuple[Any, NDArray[np.float32] | None]:
    """Return L and R of :func:`_map`."""
    of_left = {name: weights[f"{NEW}{name}"] for name in ("data", "indices", "indptr")}
    left = loaded(of_left, int(np.asarray(weights[f"{NEW}columns"])[0]))
    if left.shape[0] != n:
        raise ValueError(f"new items are placed by {left.shape[0]} items instead of {n}")
    right = weights.get(f"{NEW}right")
    return left, None if right is None else np.asarray(right)


def _mapped(
    old: NDArray[np.float32], left: Any, right: NDArray[np.float32] | None
) -> NDArray[np.float32]:
    """Return the map of the known items' scores, (B, items), without their mean, (B, new)."""
    mapped = (left.T @ (old - old.mean(axis=1, keepdims=True)).T).T
    found: NDArray[np.float32] = mapped if right is None else mapped @ right
    return found


def _placed(
    mapped: NDArray[np.float32], old: NDArray[np.float32], stretch: float, shift: float
) -> NDArray[np.float32]:
    """Return the scores of new items, (B, new)."""
    mean, deviation = old.mean(axis=1, keepdims=True), old.std(axis=1, keepdims=True)
    result: NDArray[np.float32] = (mean + stretch * mapped + shift * deviation).astype(np.float32)
    return result


class _Judge:
    """Quality on valid of lists in which some known items are scored as new ones."""

    def __init__(
        self,
        scorer: Scorer,
        train: Rows,
        valid: Rows,
        users: NDArray[np.int64],
        new: NDArray[np.bool_],
        features: Any,
    ) -> None:
        self.users, self.new, self.features = users, new, features
        read, host = train.keep(~new[train.items]), scorer.backend.host
        self.blocks = [users[start : start + _BLOCK] for start in range(0, len(users), _BLOCK)]
        self.known = [
            np.array(host(scorer.scores(read.take(block))), np.float32)[:, ~new]
            for block in self.blocks
        ]
        self.seen, self.held_out = (matrix(rows, len(new)) for rows in (train.closed, valid))
        self._map: tuple[Any, list[NDArray[np.float32]]] = ((), [])

    def quality(self, place: Place | None, *, among: bool = False) -> NDArray[np.float64]:
        """Return the mean of Recall@20 and NDCG@20 of each user.

        A place of ``None`` is without new items, and `among` is with these alone.
        """
        found = []
        of_new = [None] * len(self.blocks) if place is None else self._mapped(place)
        for block, known, mapped in zip(self.blocks, self.known, of_new, strict=True):
            ranked = np.full((len(block), len(self.new)), -np.inf, np.float32)
            if not among:
                ranked[:, ~self.new] = known
            if place is not None and mapped is not None:
                ranked[:, self.new] = _placed(mapped, known, place.stretch, place.shift)
            hide(ranked, self.seen[block])
            hits = is_in(self.held_out, block, top(ranked, K))
            found.append(qualities(hits, np.diff(self.held_out.indptr)[block]))
        return np.concatenate(found)

    def _mapped(self, place: Place) -> list[NDArray[np.float32]]:
        key = (place.ridge, place.neighbours)
        if self._map[0] != key:
            left, right = _map(self.features[~self.new], self.features[self.new], *key)
            self._map = key, [_mapped(known, left, right) for known in self.known]
        return self._map[1]
