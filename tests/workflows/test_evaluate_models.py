"""A minimum is of models, not of the baselines beside them; what was trained on is not tested."""

from dataclasses import replace

import numpy as np
import pytest

from diffrec_cli import workflows
from diffrec_cli.data import store
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.errors import GateError
from diffrec_cli.registry import versions as registry
from diffrec_cli.workflows.evaluate_models import Evaluated, per_user_table


def test_baselines_are_told_from_models_and_not_held_to_a_minimum(shop: str) -> None:
    evaluated = workflows.evaluate([shop], baselines=["pop", "ease"], device="cpu")
    assert [result.baseline for result in evaluated.results] == [False, True, True] * 2
    assert "baseline" not in evaluated.to_dict()["results"][0]
    with pytest.raises(GateError, match=shop):
        evaluated.require({"recall@20": 1.1})
    Evaluated(evaluated.results[1:3], None).require({"recall@20": 1.1})


def test_with_an_order_both_histories_are_measured_and_the_first_one_is_compared(shop: str) -> None:
    evaluated = workflows.evaluate([shop], baselines=["pop"], device="cpu")
    assert [(r.model, r.history) for r in evaluated.results] == [
        (shop, "train"),
        ("popularity", "train"),
        (shop, "train+valid"),
        ("popularity", "train+valid"),
    ]
    assert [r.difference is not None for r in evaluated.results] == [False, True, False, False]
    for history, rows in (("train", slice(0, 2)), ("train+valid", slice(2, 4))):
        alone = workflows.evaluate([shop], baselines=["pop"], history=history, device="cpu")
        assert [r.evaluation.means for r in alone.results] == [
            r.evaluation.means for r in evaluated.results[rows]
        ]


def test_without_an_order_or_on_valid_the_history_is_train(
    shop: str, checkerboard: Dataset
) -> None:
    for said in (None, "train", "train+valid"):  # the answers are no history
        (result,) = workflows.evaluate([shop], split="valid", history=said, device="cpu").results
        assert result.history == "train"
    store.save(replace(checkerboard, name="set", order="none"))
    model = workflows.fit("set", variant="ease").model or ""
    (result,) = workflows.evaluate([model], device="cpu").results
    assert result.history == "train"


def test_a_minimum_and_the_figures_of_users_are_those_of_the_first_history(shop: str) -> None:
    evaluated = workflows.evaluate([shop], device="cpu")
    train, in_use = (r.evaluation.means["recall@20"] for r in evaluated.results)
    assert train != in_use
    users = len(evaluated.results[0].user_ids)
    assert per_user_table(evaluated).num_rows == users
    bad = replace(
        evaluated.results[1],
        evaluation=replace(evaluated.results[1].evaluation, values={"recall@20": np.zeros(users)}),
    )
    Evaluated([evaluated.results[0], bad], None).require({"recall@20": train})


def test_a_model_of_train_and_valid_is_tested_with_that_history_beside_baselines_of_the_same(
    checkerboard: Dataset,
) -> None:
    store.save(checkerboard, overwrite=False)
    both = workflows.fit("checkerboard", variant="ease", refit="train+valid").model or ""
    record = registry.resolve(both).record
    assert (record.training.refit, record.training.trained_on) == (True, "train+valid")
    model, baseline = workflows.evaluate([both], baselines=["ease"]).results
    assert model.evaluation.means == baseline.evaluation.means
    shorter = workflows.evaluate([both], history="train").results[0]
    assert shorter.evaluation.means != model.evaluation.means


def test_a_model_is_held_to_a_minimum_whatever_its_name(shop: str) -> None:
    result, _ = workflows.evaluate([shop], device="cpu").results
    with pytest.raises(GateError, match="plain"):
        Evaluated([replace(result, model="plain")], None).require({"recall@20": 1.1})
