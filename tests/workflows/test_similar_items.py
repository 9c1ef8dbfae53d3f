"""Items that are alike, and vectors whose products are scores."""

import json
from pathlib import Path

import numpy as np
import pytest

from diffrec_cli import workflows
from diffrec_cli.data.sequences import input_rows
from diffrec_cli.errors import NotFoundError, UsageError
from diffrec_cli.models.backend import NumpyBackend
from diffrec_cli.models.scorer import build_scorer
from diffrec_cli.registry import versions as registry
from tests.workflows.conftest import Fit

VARIANTS = ("base", "l", "t", "lt")


@pytest.mark.parametrize("variant", [*VARIANTS, "ease", "itemknn"])
def test_on_the_checkerboard_even_items_are_like_even_ones(fit: Fit, variant: str) -> None:
    learned = {"epochs": 60, "eval_every": 60, "ema_decay": 0.9, "dims": (16,)}
    model = fit(variant, **({} if variant in ("ease", "itemknn") else learned))
    rows = workflows.similar(["i04", "i07"], model, k=3).table.to_pylist()
    assert [row["item"] for row in rows] == ["i04"] * 3 + ["i07"] * 3
    assert [row["rank"] for row in rows] == [1, 2, 3] * 2
    assert all(int(row["similar"][1:]) % 2 == int(row["item"][1:]) % 2 for row in rows)
    assert all(row["similar"] != row["item"] for row in rows)


def test_titles_are_those_of_the_similar_items(shop: str) -> None:
    (row,) = workflows.similar(["i04"], shop, k=1, titles=True).table.to_pylist()
    assert row["title"] == f"Title {int(row['similar'][1:])}"


def test_an_unknown_item_is_named(shop: str) -> None:
    with pytest.raises(NotFoundError, match="'nothing'"):
        workflows.similar(["i04", "nothing"], shop)


@pytest.mark.parametrize("variant", [*VARIANTS, "multivae", "mf"])
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


def test_a_model_that_reads_no_history_finds_all_items_alike(fit: Fit) -> None:
    with pytest.raises(UsageError, match="all items are alike"):
        workflows.similar(["i04"], fit("popularity"))
