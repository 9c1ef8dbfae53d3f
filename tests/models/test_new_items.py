"""Items that came later are scored by those that are like them."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix, identity

from diffrec_cli.data.sequences import Rows
from diffrec_cli.models import new_items
from diffrec_cli.models.backend import NumpyBackend
from diffrec_cli.models.new_items import NewItemScorer, Place, find_place, maps

ITEMS, USERS = 60, 200


class Given:
    """A scorer of fixed scores, one row a user."""

    backend = NumpyBackend()

    def __init__(self, scores: np.ndarray) -> None:
        self._scores, self.n_items = scores, scores.shape[1]
        self.read: list[np.ndarray] = []

    def scores(self, rows: Rows) -> np.ndarray:
        self.read.append(rows.items)
        return self._scores[rows.users]


def rows_of(items: np.ndarray, users: np.ndarray | None = None) -> Rows:
    """Return one item a user."""
    users = np.arange(len(items)) if users is None else users
    ones = np.ones(len(items), np.float32)
    return Rows(users, np.arange(len(items) + 1), items.astype(np.int32), ones)


@pytest.fixture
def vectors() -> np.ndarray:
    return np.random.default_rng(2).normal(size=(ITEMS + 5, 4)).astype(np.float32)


@pytest.fixture
def people() -> np.ndarray:
    return np.random.default_rng(3).normal(size=(USERS, 4)).astype(np.float32)


def test_features_that_are_the_vectors_give_the_scores_of_the_vectors(vectors, people) -> None:
    scores = people @ vectors.T
    known, new = csr_matrix(vectors[:ITEMS]), csr_matrix(vectors[ITEMS:])
    arrays = maps(Place(1e-6, None, 1.0, 0.0), known, new)
    scorer = NewItemScorer(Given(scores[:, :ITEMS]), arrays)
    found = scorer.scores(rows_of(np.zeros(USERS)))
    assert scorer.n_items == ITEMS + 5
    assert np.array_equal(found[:, :ITEMS], scores[:, :ITEMS])
    # The ridge of deviations from the mean: the same, up to a shift of each user's.
    shift = found[:, ITEMS:] - scores[:, ITEMS:]
    correlation = np.corrcoef(found[:, ITEMS:].ravel(), scores[:, ITEMS:].ravel())[0, 1]
    assert correlation > 0.98
    assert np.abs(shift).mean() < np.abs(scores).mean() / 2


def test_the_map_is_the_ridge_regression_of_scores_on_features(vectors, people) -> None:
    scores = people @ vectors.T + 3.0
    F, new, penalty = vectors[:ITEMS].astype(float), vectors[ITEMS:].astype(float), 7.0
    arrays = maps(Place(penalty, None, 2.0, -0.5), csr_matrix(F), csr_matrix(new))
    found = NewItemScorer(Given(scores[:, :ITEMS]), arrays).scores(rows_of(np.zeros(USERS)))
    old = scores[:, :ITEMS].astype(float)
    mean, deviation = old.mean(1, keepdims=True), old.std(1, keepdims=True)
    for user in range(5):
        weights = np.linalg.solve(F.T @ F + penalty * np.eye(4), F.T @ (old[user] - mean[user]))
        expected = mean[user] + 2.0 * (new @ weights) - 0.5 * deviation[user]
        assert found[user, ITEMS:] == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_neighbours_are_averaged_by_how_alike_they_are() -> None:
    known = csr_matrix(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
    arrays = maps(Place(None, 2, 1.0, 0.0), known, csr_matrix(np.array([[1.0, 0.0]])))
    scores = np.array([[6.0, 0.0, 3.0]], np.float32)
    (found,) = NewItemScorer(Given(scores), arrays).scores(rows_of(np.zeros(1)))
    alike = np.array([1.0, 0.5**0.5])
    expected = 3.0 + (alike @ np.array([3.0, 0.0])) / alike.sum()
    assert found.tolist() == pytest.approx([6.0, 0.0, 3.0, expected])


def test_new_items_of_a_history_are_not_read() -> None:
    given = Given(np.ones((2, 3), np.float32))
    arrays = maps(Place(None, 1, 1.0, 0.0), identity(3, format="csr"), identity(3, format="csr"))
    scorer = NewItemScorer(given, arrays)
    scorer.scores(Rows(np.arange(2), np.array([0, 2, 3]), np.array([1, 4, 5]), np.ones(3, "f4")))
    assert given.read[0].tolist() == [1]


def test_valid_places_new_items_among_others_where_features_tell_what_users_like() -> None:
    random = np.random.default_rng(5)
    group, taste = np.arange(ITEMS) % 6, np.arange(USERS) % 6
    scores = (taste[:, None] == group) + random.normal(size=(USERS, ITEMS)) / 5
    liked = 6 * random.integers(1, ITEMS // 6, size=USERS) + taste
    known = rows_of(np.zeros(USERS))
    features = csr_matrix(np.eye(6)[group])
    told = find_place(Given(scores.astype(np.float32)), known, rows_of(liked), features)
    assert told.shift > -10
    assert told.quality > told.without


@pytest.mark.parametrize(("gain", "noise", "last"), [(0.01, 0.5, True), (0.01, 0.01, False)])
def test_new_items_come_last_unless_valid_gains_more_than_its_error(
    monkeypatch, gain: float, noise: float, last: bool
) -> None:
    around = np.random.default_rng(1).normal(size=USERS)
    around -= around.mean()

    class Judged:
        def __init__(self, *arguments: object) -> None: ...

        def quality(self, place: Place | None, *, among: bool = False) -> np.ndarray:
            if among:
                return np.full(USERS, float(place.neighbours == 20))
            best = place is not None and (place.ridge, place.stretch, place.shift) == (10, 2, 0.5)
            return 0.3 + best * (gain + noise * around) - (place is not None and not best)

    monkeypatch.setattr(new_items, "_Judge", Judged)
    rows = rows_of(np.zeros(USERS))
    found = find_place(Given(np.zeros((USERS, ITEMS))), rows, rows, None)
    assert found.without == pytest.approx(0.3)
    if last:  # and the map is the one that is best among new items
        assert (found.neighbours, found.quality) == (20, found.without)
        assert "after all others" in str(found)
    else:
        assert (found.ridge, found.stretch, found.shift) == (10, 2, 0.5)
        assert found.quality == pytest.approx(0.31)
