"""Item embeddings and the groups that k-means makes of them."""

import numpy as np
import pytest
import torch

from diffrec_cli.catalogue.comparators import LightGCNConfig
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.sequences import Sequences
from diffrec_cli.errors import ConfigError
from diffrec_cli.models.comparators.lightgcn import LightGCN
from diffrec_cli.models.item_clusters import kmeans_groups, svd_embeddings
from diffrec_cli.workflows.fitting.item_clustering import lightgcn_embeddings
from diffrec_cli.workflows.progress import silent


def splits_even_from_odd(embeddings: np.ndarray) -> bool:
    groups = kmeans_groups(embeddings, 2, seed=1)
    parity = np.arange(len(groups)) % 2
    return bool((groups == parity).all() or (groups == 1 - parity).all())


def test_svd_separates_items_that_share_no_users(checkerboard: Dataset) -> None:
    assert splits_even_from_odd(svd_embeddings(checkerboard.train, 40, seed=1))


def test_lightgcn_separates_items_that_share_no_users(checkerboard: Dataset) -> None:
    assert splits_even_from_odd(lightgcn_embeddings(checkerboard, 1, "cpu", silent))


def test_lightgcn_propagates_over_the_normalised_graph() -> None:
    train = Sequences.from_rows(np.array([0, 0, 1]), np.array([0, 2, 2]), users=2)
    model = LightGCN(LightGCNConfig(dim=4, layers=2), train, 3, torch.Generator().manual_seed(1))
    A = np.zeros((5, 5))
    for user, item in ((0, 0), (0, 2), (1, 2)):
        A[user, 2 + item] = A[2 + item, user] = 1
    degree = np.maximum(A.sum(axis=1), 1)
    S = A / np.sqrt(degree[:, None] * degree[None, :])
    E = model.embedding.detach().numpy()
    expected = (E + S @ E + S @ S @ E) / 3
    propagated = model.propagated(model.graph.whole).detach()
    np.testing.assert_allclose(propagated, expected, rtol=1e-5, atol=1e-6)


def test_groups_are_numbered_from_zero_without_gaps() -> None:
    points = np.repeat(np.float32([[0, 0], [9, 9], [0, 9]]), 5, axis=0)
    groups = kmeans_groups(points, 3, seed=1)
    assert sorted(np.unique(groups)) == [0, 1, 2]
    assert all(len(set(groups[i : i + 5])) == 1 for i in (0, 5, 10))


def test_more_groups_than_items_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="C = 4"):
        kmeans_groups(np.zeros((3, 2), np.float32), 4, seed=1)
