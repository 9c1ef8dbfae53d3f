import numpy as np
import pytest
from sklearn.linear_model import ElasticNet

from diffrec_cli import memory
from diffrec_cli.catalogue.simple_models import SLIMConfig
from diffrec_cli.errors import DeviceError
from tests.models.baselines.conftest import fitted


def slow_weights(x, l1, l2):
    """Regress each item on the others with scikit-learn's coordinate descent."""
    n, weights = len(x), np.zeros((x.shape[1],) * 2)
    for j in range(x.shape[1]):
        others = x.copy()
        others[:, j] = 0
        net = ElasticNet(
            alpha=(l1 + l2) / n,
            l1_ratio=l1 / (l1 + l2),
            positive=True,
            fit_intercept=False,
            tol=1e-10,
            max_iter=10_000,
        )
        weights[:, j] = net.fit(others, x[:, j]).coef_
    return weights


@pytest.mark.parametrize(("l1", "l2"), [(0.5, 1.0), (2.0, 10.0), (0.1, 5.0)])
def test_weights_are_those_of_an_elastic_net_for_each_item(interactions, train, l1, l2):
    config = SLIMConfig(l1, l2, iterations=2000, step=20.0)
    weights = fitted(config, train)[1].weights.toarray()
    np.testing.assert_allclose(weights, slow_weights(interactions, l1, l2), atol=1e-4)
    assert (weights >= 0).all()
    assert not weights.diagonal().any()


def test_too_little_memory_is_an_error_before_it_starts(train, monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 1000)
    with pytest.raises(DeviceError, match="slim on 25 items needs"):
        fitted(SLIMConfig(), train)
