"""A model and a corruption from outside the package: one row each, and every command knows them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from diffrec_cli import catalogue, workflows
from diffrec_cli.catalogue import as_file_name, register
from diffrec_cli.config import models
from diffrec_cli.data import store as datasets
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.errors import ConfigError

TABLES = (catalogue.MODELS, catalogue.CORRUPTIONS, models.COMPARATORS, models.CORRUPTIONS)


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    from tests.catalogue import toys  # which registers them when it is first imported

    register(toys.TOY)
    register(toys.FADING)
    yield
    for table in TABLES:
        for name in ("toy", "fading"):
            table.pop(name, None)


@pytest.mark.parametrize(
    ("variant", "values"),
    [
        ("toy", {"power": 0.5}),
        ("base+fading", {"dims": (16,), "epochs": 40}),
        ("t+fading", {"dims": (16,), "epochs": 40, "T": 2}),
    ],
)
def test_a_row_is_all_that_fitting_and_ranking_need(
    checkerboard: Dataset, variant: str, values: dict[str, Any]
) -> None:
    datasets.save(checkerboard)
    fitted = workflows.fit("checkerboard", variant=variant, values=values, device="cpu")
    assert fitted.model == f"checkerboard-{as_file_name(variant)}@1"
    lists = workflows.recommend(fitted.model, users=["u0", "u1"], k=5).table()
    assert lists.num_rows == 10
    compared = workflows.evaluate([fitted.model], baselines=["pop", "toy"])
    means = [result.evaluation.means["recall@20"] for result in compared.results]
    if "fading" in variant:  # it has learned who wants even items and who wants odd ones
        assert means[0] > means[1] + 0.2
    else:
        assert means[0] == pytest.approx(means[1])


def test_the_settings_of_a_row_are_stored_searched_and_offered() -> None:
    config = catalogue.preset("auto", "t+fading", users=100).with_values({"T": "5"})
    assert config.variant == "t+fading"
    assert config.to_dict()["fading"] == {"T": 5}
    assert "diffusion" not in config.to_dict()
    assert catalogue.read_config(config.to_dict()) == config
    assert catalogue.space("t+fading") == {"T": (1, 3), "w_min": (0.1, 0.3, 0.5)}
    assert {"toy", "base+fading", "t+fading"} <= set(catalogue.names())
    assert "toy" in catalogue.closed_forms()
    assert "l+fading" not in catalogue.names()
    assert next(catalogue.draws(catalogue.preset("auto", "toy", users=9), seed=1)) == {}


def test_settings_of_what_is_not_registered_are_refused_not_read_as_others() -> None:
    stored = catalogue.preset("auto", "base+fading", users=100).to_dict()
    for table in TABLES:
        table.pop("fading", None)
    with pytest.raises(ConfigError, match="'fading' are unknown"):
        catalogue.read_config(stored)


def test_a_row_has_either_what_builds_or_what_fits() -> None:
    with pytest.raises(ValueError, match="either `build` or `fit`"):
        catalogue.Model(catalogue.MODELS["toy"].config, scorer=catalogue.Code(".paths:home"))


def test_compare_measures_a_model_from_outside_in_a_process_of_its_own(
    checkerboard: Dataset,
) -> None:
    datasets.save(checkerboard)
    toy, popularity = workflows.compare("checkerboard", ["toy", "pop"], trials=2).results
    assert {toy.model, popularity.model} == {"toy", "popularity"}
    assert toy.failure == popularity.failure == ""
    assert toy.metrics["recall@20"] == pytest.approx(popularity.metrics["recall@20"])


def test_two_corruptions_at_once_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"--corruption fading: variant base\+smoothing names"):
        catalogue.Variant.parse("base+smoothing").corrupted("fading")
    with pytest.raises(ConfigError, match="--corruption gaussian"):
        catalogue.Variant.parse("t+smoothing").corrupted("gaussian")
    with pytest.raises(ConfigError, match="not with variant lt"):
        catalogue.Variant.parse("lt").corrupted("smoothing")
