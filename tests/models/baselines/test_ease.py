import numpy as np
import pytest

from diffrec_cli import memory
from diffrec_cli.catalogue.simple_models import EASEConfig
from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Rows, Sequences
from diffrec_cli.errors import DeviceError, UsageError
from diffrec_cli.evaluation.metrics import per_user
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.baselines import ease, sized
from tests.models.baselines.conftest import fitted, rows_of
from tests.real_logs import REAL_LOGS

RELEASED = REAL_LOGS / "ml-1m_clean"


def ridge_without_itself(x, lambda_):
    """Regress each column on all others: the constrained problem, solved column by column."""
    n = x.shape[1]
    B = np.zeros((n, n))
    for j in range(n):
        others = np.delete(np.arange(n), j)
        # A ridge is least squares with sqrt(lambda) I appended to the rows.
        rows = np.vstack([x[:, others], np.sqrt(lambda_) * np.eye(n - 1)])
        target = np.concatenate([x[:, j], np.zeros(n - 1)])
        B[others, j] = np.linalg.lstsq(rows, target, rcond=None)[0]
    return B


@pytest.mark.parametrize("lambda_", [0.5, 20.0])
@pytest.mark.parametrize("block", [1, 10, 1024])
def test_weights_solve_the_constrained_least_squares(
    interactions, train, monkeypatch, lambda_, block
):
    monkeypatch.setattr(ease, "_BLOCK_ITEMS", block)
    B = fitted(EASEConfig(lambda_), train)[0]["B"]
    assert B.dtype == np.float32
    assert not B.diagonal().any()
    np.testing.assert_allclose(B, ridge_without_itself(interactions, lambda_), atol=1e-6)


def test_weighted_histories_are_solved_for_too(rows, dense):
    B = fitted(EASEConfig(5.0), rows)[0]["B"]
    np.testing.assert_allclose(B, ridge_without_itself(dense, 5.0), atol=1e-6)


@pytest.mark.parametrize("backend", [None, TorchBackend("cpu")], ids=["numpy", "torch"])
def test_scores_are_the_histories_times_the_weights(train, rows, dense, backend):
    weights, scorer = fitted(EASEConfig(5.0), train, backend=backend)
    scores = np.asarray(scorer.scores(rows))
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, dense @ weights["B"], rtol=1e-5, atol=1e-6)


def test_too_little_memory_is_an_error_before_it_starts(train, monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 3 * 8 * 25**2 - 1)
    with pytest.raises(DeviceError, match="ease on 25 items needs") as caught:
        fitted(EASEConfig(), train)
    assert caught.value.exit_code == 5


def test_just_enough_or_unknown_memory_is_no_error(train, monkeypatch):
    for available in (3 * 8 * 25**2, None):
        monkeypatch.setattr(memory, "available_memory", lambda size=available: size)
        assert fitted(EASEConfig(), train)[1].n_items == 25


def test_with_all_others_as_neighbours_it_is_the_dense_one():
    """Every two items of this log have users in common: no neighbour is missing."""
    train = rows_of(np.random.default_rng(5).random((60, 25)) < 0.6)
    weights, scorer = fitted(EASEConfig(20.0, neighbours=24), train)
    assert "B" not in weights
    dense = fitted(EASEConfig(20.0), train)[1].scores(train)
    np.testing.assert_allclose(scorer.scores(train), dense, atol=1e-4)


def test_exponents_of_degrees_weight_users_and_scale_items(train, interactions):
    users, items = interactions.sum(axis=1), interactions.sum(axis=0)
    with np.errstate(divide="ignore"):
        of_users = np.where(users > 0, users**-0.25, 0)
        of_items = np.where(items > 0, items**-0.4, 0)
        back = np.where(items > 0, items**0.4, 0)
    weighted = of_users[:, None] * interactions * of_items
    expected = of_items[:, None] * ridge_without_itself(weighted, 0.1) * back

    B = fitted(EASEConfig(0.1, user_exponent=-0.5, item_exponent=-0.4), train)[0]["B"]

    np.testing.assert_allclose(B, expected, atol=1e-5)


def test_where_the_matrix_does_not_fit_neighbours_are_used(monkeypatch):
    config = FitConfig(comparator=EASEConfig())
    monkeypatch.setattr(ease, "available_memory", lambda: 3 * 8 * 25**2 - 1)
    assert sized(config, 25).comparator.neighbours == 200
    assert sized(config, 24) == config
    monkeypatch.setattr(ease, "available_memory", lambda: None)
    assert sized(config, 25) == config


@pytest.mark.parametrize("lambda_", [0, -1, float("nan")])
def test_lambda_must_be_positive(lambda_):
    with pytest.raises(UsageError, match="lambda"):
        EASEConfig(lambda_)


@pytest.mark.long
@pytest.mark.skipif(not RELEASED.is_dir(), reason="needs the released MovieLens-1M files")
def test_on_movielens_it_ranks_as_measured_elsewhere():
    pairs = [np.load(RELEASED / f"{part}_list.npy") for part in ("train", "valid", "test")]
    users, items = np.concatenate(pairs).max(axis=0) + 1
    train, valid, test = (Sequences.from_rows(p[:, 0], p[:, 1], users) for p in pairs)

    rows = Rows(np.arange(users), train.indptr, train.items, np.ones(train.size, np.float32))
    scores = fitted(EASEConfig(500.0), rows, int(items))[1].scores(rows)
    for seen in (train, valid):
        scores[seen.row_index, seen.items] = -np.inf
    lists = np.argsort(-scores, axis=1, kind="stable")[:, :20]

    means = {name: values.mean() for name, values in per_user(lists, test, ks=(20,)).items()}
    assert means == pytest.approx({"recall@20": 0.1836, "ndcg@20": 0.1168}, rel=0.01)
