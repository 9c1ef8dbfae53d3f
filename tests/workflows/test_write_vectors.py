"""Vectors whose inner products are a model's scores."""

import json
from pathlib import Path

import numpy as np
import pytest

from diffrec_cli import workflows
from diffrec_cli.data.sequences import input_rows
from diffrec_cli.errors import UsageError
from diffrec_cli.models.backend import NumpyBackend
from diffrec_cli.models.scorer import build_scorer
from diffrec_cli.registry import versions as registry
from tests.workflows.conftest import Fit


@pytest.mark.parametrize("variant", ["base", "l", "t", "lt", "multivae", "mf"])
def test_inner_products_of_the_vectors_are_the_scores(
    fit: Fit, variant: str, tmp_path: Path
) -> None:
    model = fit(variant, dim=8) if variant == "mf" else fit(variant)
    written = workflows.export_vectors(model, tmp_path / "vectors", device="cpu")
    users, items = (np.load(tmp_path / "vectors" / f"{n}.npy") for n in ("users", "items"))
    assert (len(users), len(items), users.shape[1]) == (60, 40, written.size)
    artifact = registry.resolve(model)
    config, dataset = artifact.config(), artifact.dataset()
    rows = input_rows(dataset.known, config.temporal, np.arange(60))
    expected = build_scorer(config, artifact.weights(), NumpyBackend()).scores(rows)
    np.testing.assert_allclose(users @ items.T, expected, rtol=1e-4, atol=1e-5)
    ids = np.load(tmp_path / "vectors" / "item_ids.npy", allow_pickle=False)
    assert ids.tolist() == [f"i{i:02d}" for i in range(40)]
    head = json.loads((tmp_path / "vectors" / "vectors.json").read_text())
    assert (head["metric"], head["model"]) == ("inner product", model)


def test_without_users_there_are_items_alone(shop: str, tmp_path: Path) -> None:
    workflows.export_vectors(shop, tmp_path / "v", users=False, device="cpu")
    names = {path.name for path in (tmp_path / "v").iterdir()}
    assert names == {"items.npy", "item_ids.npy", "vectors.json"}


def test_a_directory_that_is_there_is_not_touched(shop: str, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(UsageError, match="exists"):
        workflows.export_vectors(shop, tmp_path / "mine")


def test_scores_that_are_no_inner_products_have_no_vectors(fit: Fit, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no inner products"):
        workflows.export_vectors(fit("itemknn"), tmp_path / "v", device="cpu")
    assert not (tmp_path / "v").exists()
