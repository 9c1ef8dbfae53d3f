import numpy as np
import pytest

from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Rows, Sequences
from diffrec_cli.models.backend import NumpyBackend
from diffrec_cli.models.baselines import fit_closed_form
from diffrec_cli.models.scorer import build_scorer

USERS, ITEMS = 60, 25


@pytest.fixture
def interactions():
    """Return a random (users, items) matrix of zeros and ones; one item and one user have none."""
    x = (np.random.default_rng(1).random((USERS, ITEMS)) < 0.2).astype(np.float64)
    x[:, 7] = 0
    x[3] = 0
    return x


@pytest.fixture
def train(interactions):
    return rows_of(interactions)


@pytest.fixture
def rows(train):
    """Return every user's history, its entries weighted by 1, 2, 3, 1, 2, 3, ..., of strangers."""
    values = (np.arange(len(train.items)) % 3 + 1).astype(np.float32)
    return Rows(np.full(USERS, -1), train.indptr, train.items, values)


@pytest.fixture
def dense(rows):
    """Return the same histories as a (users, items) matrix."""
    return dense_of(rows, ITEMS)


def rows_of(x):
    """Return a dense matrix as rows of known users."""
    users, items = np.nonzero(x)
    sequences = Sequences.from_rows(users, items, users=len(x))
    values = x[users, items].astype(np.float32)
    return Rows(np.arange(len(x)), sequences.indptr, sequences.items, values)


def dense_of(rows, n_items):
    """Return rows as a dense matrix."""
    matrix = np.zeros((len(rows), n_items))
    matrix[rows.row_index, rows.items] = rows.values
    return matrix


def fitted(comparator, train, n_items=ITEMS, backend=None):
    """Fit a closed form; return its arrays and its scorer."""
    config = FitConfig(comparator=comparator)
    weights = fit_closed_form(config, train, n_items)
    return weights, build_scorer(config, weights, backend or NumpyBackend())
