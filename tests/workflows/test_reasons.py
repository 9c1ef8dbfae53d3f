"""Leave-one-out, held to leaving items out one at a time."""

from pathlib import Path

import numpy as np
import pytest

from diffrec_cli import workflows
from diffrec_cli.data.sequences import Sequences
from diffrec_cli.models.backend import NumpyBackend, TorchBackend
from diffrec_cli.models.scorer import build_scorer
from diffrec_cli.ranking.reasons import gains
from diffrec_cli.registry import versions as registry
from tests.real_logs import REAL_LOGS
from tests.workflows.conftest import Fit

ML_100K = REAL_LOGS / "ml-100k" / "ml-100k.inter"


def scores_by_hand(model: str, history: list[str], tmp_path: Path) -> dict[str, float]:
    """Return the scores of all items that ``recommend --history`` gives for a history."""
    path = tmp_path / "history.txt"
    path.write_text("\n".join(history))
    n_items = registry.resolve(model).dataset().n_items
    lists = workflows.recommend(model, history=path, k=n_items, include_seen=True).table()
    return dict(zip(lists["item"].to_pylist(), lists["score"].to_pylist(), strict=True))


def brute_force(model: str, history: list[str], item: str, tmp_path: Path) -> dict[str, float]:
    """Return by how much each item of the history raises the score of an item."""
    whole = scores_by_hand(model, history, tmp_path)[item]
    return {
        left_out: whole
        - scores_by_hand(model, [i for i in history if i != left_out], tmp_path)[item]
        for left_out in history
    }


@pytest.mark.parametrize("variant", ["base", "l", "t", "lt", "ease", "multivae"])
def test_gains_are_those_of_leaving_each_item_out(
    fit: Fit,
    variant: str,
    tmp_path: Path,
) -> None:
    model = fit(variant)
    dataset = registry.resolve(model).dataset()
    history = dataset.item_ids.at(dataset.known.of(7))
    for row in workflows.recommend(model, users=["u7"], k=2, why=True).table().to_pylist():
        expected = brute_force(model, history, row["item"], tmp_path)
        best = sorted(expected.values(), reverse=True)[:3]
        found = {reason["item"]: reason["gain"] for reason in row["because"]}
        assert list(found.values()) == pytest.approx([g for g in best if g > 0], rel=1e-2, abs=1e-5)
        for item, gain in found.items():
            assert gain == pytest.approx(expected[item], rel=1e-2, abs=1e-5)


@pytest.mark.skipif(not ML_100K.is_file(), reason="needs MovieLens-100k")
@pytest.mark.long
@pytest.mark.parametrize("variant", ["base", "l", "t", "lt"])
def test_on_ml_100k_they_are_too(variant: str, tmp_path: Path) -> None:
    model = workflows.fit(ML_100K, variant=variant, values={"epochs": 10}, device="cpu").model
    assert model is not None
    dataset = registry.resolve(model).dataset()
    (user,) = dataset.user_ids.indices(["42"])
    history = dataset.item_ids.at(dataset.known.of(user))
    (row,) = workflows.recommend(model, users=["42"], k=1, why=True).table().to_pylist()
    expected = brute_force(model, history, row["item"], tmp_path)
    best = sorted(expected, key=lambda item: -expected[item])[:3]
    assert [reason["item"] for reason in row["because"]] == best
    for reason in row["because"]:
        assert reason["gain"] == pytest.approx(expected[reason["item"]], rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("backend", [NumpyBackend(), TorchBackend("cpu")], ids=["numpy", "torch"])
def test_a_history_of_one_item_or_of_none(fit: Fit, backend) -> None:
    artifact = registry.resolve(fit("t"))
    config = artifact.config()
    scorer = build_scorer(config, artifact.weights(), backend)
    histories = Sequences.from_rows(np.array([0]), np.array([3]), users=2)
    one, none = (
        gains(scorer, histories.take(np.array([row])), np.array([5, 7]), temporal=config.temporal)
        for row in range(2)
    )
    assert one.shape == (1, 2)
    assert np.isfinite(one).all()
    assert none.shape == (0, 2)
