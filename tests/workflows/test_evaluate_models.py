"""A minimum is of models, not of the baselines beside them; what was trained on is not tested."""

from dataclasses import replace

import pytest

from diffrec_cli import workflows
from diffrec_cli.data import store
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.errors import GateError
from diffrec_cli.registry import versions as registry
from diffrec_cli.workflows.evaluate_models import Evaluated


def test_baselines_are_told_from_models_and_not_held_to_a_minimum(shop: str) -> None:
    evaluated = workflows.evaluate([shop], baselines=["pop", "ease"], device="cpu")
    assert [result.baseline for result in evaluated.results] == [False, True, True]
    assert "baseline" not in evaluated.to_dict()["results"][0]
    with pytest.raises(GateError, match=shop):
        evaluated.require({"recall@20": 1.1})
    Evaluated(evaluated.results[1:], None).require({"recall@20": 1.1})


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
    (result,) = workflows.evaluate([shop], device="cpu").results
    with pytest.raises(GateError, match="plain"):
        Evaluated([replace(result, model="plain")], None).require({"recall@20": 1.1})
