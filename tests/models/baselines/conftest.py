import numpy as np
import pytest

from diffrec_cli.data.sequences import Rows, Sequences

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
    users, items = np.nonzero(interactions)
    return Sequences.from_rows(users, items, users=USERS)


@pytest.fixture
def rows(train):
    """Return every user's history, its entries weighted by 1, 2, 3, 1, 2, 3, ..."""
    values = (np.arange(train.size) % 3 + 1).astype(np.float32)
    return Rows(np.arange(USERS), train.indptr, train.items, values)


@pytest.fixture
def dense(rows):
    """Return the same histories as a (users, items) matrix."""
    matrix = np.zeros((USERS, ITEMS))
    matrix[np.repeat(np.arange(USERS), np.diff(rows.indptr)), rows.items] = rows.values
    return matrix
