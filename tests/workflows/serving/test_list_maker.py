"""Lists are ordered by scores, so scores have to be numbers."""

from dataclasses import replace

import numpy as np
import pytest

from diffrec_cli import workflows
from diffrec_cli.errors import CorruptError
from diffrec_cli.registry import versions as registry
from tests.workflows.conftest import Fit


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_scores_that_are_no_numbers_are_an_error(fit: Fit, value: float, device: str) -> None:
    artifact = registry.resolve(fit("ease"))
    weights = {name: np.full_like(array, value) for name, array in artifact.weights().items()}
    record = replace(artifact.record, packages={}, files={})
    forged = registry.publish(record, weights, artifact.dataset(), [], make_default=True)
    lists = workflows.recommend(forged.record.reference, users=["u1"], device=device)
    with pytest.raises(CorruptError, match="scores that are not finite"):
        lists.table()
