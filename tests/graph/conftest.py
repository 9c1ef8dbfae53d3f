import numpy as np
import pytest
from scipy.sparse import csr_matrix

USERS, ITEMS = 40, 25


@pytest.fixture
def dense():
    """Return a random (users, items) matrix of zeros and ones; one item and one user have none."""
    x = (np.random.default_rng(1).random((USERS, ITEMS)) < 0.25).astype(np.float64)
    x[:, 7] = 0
    x[3] = 0
    return x


@pytest.fixture
def x(dense):
    return csr_matrix(dense)


@pytest.fixture
def groups():
    """Return train and held-out interactions of users who like their own half of the items.

    Two popular items are with everyone.
    """
    rng = np.random.default_rng(2)
    liked = np.arange(80)[:, None] % 2 == np.arange(60)[None, :] % 2
    taken = liked & (rng.random((80, 60)) < 0.4)
    taken[:, :2] = True
    held_out = taken & (rng.random((80, 60)) < 0.25)
    held_out[:, :2] = False
    return csr_matrix((taken & ~held_out).astype(float)), csr_matrix(held_out.astype(float))
