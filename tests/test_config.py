"""Settings: compositions, text to values, and errors that name the field."""

import json

import numpy as np
import pytest

from diffrec_cli.catalogue import preset, read_config
from diffrec_cli.config import (
    DenoiserConfig,
    DiffusionConfig,
    FitConfig,
    LatentConfig,
    SplitOptions,
    TemporalConfig,
    TrainingConfig,
)
from diffrec_cli.errors import ConfigError


def test_a_variant_is_a_composition() -> None:
    latent, temporal = LatentConfig(), TemporalConfig()
    assert FitConfig().variant == "base"
    assert FitConfig(latent=latent).variant == "l"
    assert FitConfig(temporal=temporal).variant == "t"
    assert FitConfig(latent=latent, temporal=temporal).variant == "lt"


@pytest.mark.parametrize("variant", ["base", "l", "t", "lt"])
def test_settings_survive_json(variant: str) -> None:
    config = preset("auto", variant, users=1000)
    assert config.variant == variant
    assert FitConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_text_becomes_the_type_of_the_field() -> None:
    config = FitConfig(latent=LatentConfig()).with_values(
        {
            "T": "40",
            "lr": "1e-3",
            "dims": "[200, 600]",
            "weighted_loss": "true",
            "first_beta": "1e-5",
            "denoiser_lr": "none",
            "lambda": "0.1",
            "decoder": "separate",
        }
    )
    assert config.diffusion.T == 40
    assert config.training.lr == 1e-3
    assert config.denoiser.dims == (200, 600)
    assert config.diffusion.weighted_loss is True
    assert config.diffusion.first_beta == 1e-5
    assert config.latent.denoiser_lr is None
    assert config.latent.lambda_ == 0.1
    assert config.latent.decoder == "separate"


@pytest.mark.parametrize(
    "values", [{"T": "many"}, {"T": "1.5"}, {"dims": "a,b"}, {"weighted_loss": "perhaps"}]
)
def test_text_of_the_wrong_type_is_refused(values: dict[str, str]) -> None:
    (key,) = values
    with pytest.raises(ConfigError, match=f"--set {key}=") as caught:
        FitConfig().with_values(values)
    assert caught.value.fix


@pytest.mark.parametrize(
    ("key", "given", "value"),
    [
        ("T", 40, 40),
        ("T", 40.0, 40),
        ("T", np.int64(40), 40),
        ("s", 1, 1.0),
        ("s", np.float32(0.5), 0.5),
        ("first_beta", None, None),
        ("first_beta", 1e-5, 1e-5),
        ("dims", 16, (16,)),
        ("dims", [16, 32.0], (16, 32)),
        ("dims", (16,), (16,)),
        ("weighted_loss", True, True),
        ("prediction", "epsilon", "epsilon"),
    ],
)
def test_values_of_python_become_the_type_of_the_field(
    key: str, given: object, value: object
) -> None:
    kept = FitConfig().with_values({key: given}).values()[key]
    assert kept == value
    assert type(kept) is type(value)


@pytest.mark.parametrize(
    ("key", "given", "expected"),
    [
        ("T", 1.5, "a whole number"),
        ("T", True, "a whole number"),
        ("T", None, "a whole number"),
        ("T", float("inf"), "a whole number"),
        ("lr", 10**400, "a number"),
        ("T", [5], "a whole number"),
        ("lr", False, "a number"),
        ("lr", [1e-3], "a number"),
        ("first_beta", {}, "a number"),
        ("dims", None, "whole numbers"),
        ("dims", [16, "x"], "whole numbers"),
        ("dims", [[16]], "whole numbers"),
        ("dims", 1.5, "whole numbers"),
        ("weighted_loss", 1, "true or false"),
        ("weighted_loss", None, "true or false"),
        ("prediction", 3, "text"),
        ("prediction", None, "text"),
    ],
)
def test_values_of_python_of_another_type_are_refused(
    key: str, given: object, expected: str
) -> None:
    with pytest.raises(ConfigError, match=f"--set {key}=.*: not {expected}") as caught:
        FitConfig().with_values({key: given})
    assert expected in caught.value.fix


def test_an_unknown_setting_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="--set C: variant base") as caught:
        FitConfig().with_values({"C": "3"})
    assert "--variant l or lt" in caught.value.fix
    with pytest.raises(ConfigError, match="--set learning_rate") as caught:
        FitConfig().with_values({"learning_rate": "3"})
    assert "alpha_min" in caught.value.fix
    assert "lambda" in FitConfig(latent=LatentConfig()).keys()  # noqa: SIM118 - not a mapping


@pytest.mark.parametrize(
    ("kind", "values", "field"),
    [
        (DiffusionConfig, {"T": 0}, "T"),
        (DiffusionConfig, {"T": 3, "T_prime": 4}, "T_prime"),
        (DiffusionConfig, {"s": -0.1}, "s"),
        (DiffusionConfig, {"alpha_min": 0.5, "alpha_max": 0.5}, "alpha_min"),
        (DiffusionConfig, {"alpha_min": 0.5, "alpha_max": 0.1}, "alpha_min"),
        (DiffusionConfig, {"s": 1.5}, "s"),
        (DiffusionConfig, {"alpha_max": 1.0}, "alpha_max"),
        (DiffusionConfig, {"first_beta": 1.5}, "first_beta"),
        (DiffusionConfig, {"prediction": "noise"}, "prediction"),
        (DiffusionConfig, {"s": 0.0, "prediction": "epsilon"}, "s"),
        (DiffusionConfig, {"step_sampling": "sometimes"}, "step_sampling"),
        (DenoiserConfig, {"dims": ()}, "dims"),
        (DenoiserConfig, {"dims": (0,)}, "dims"),
        (DenoiserConfig, {"dims": (8, 2**31)}, "dims"),
        (LatentConfig, {"z_dim": 10**40}, "z_dim"),
        (LatentConfig, {"encoder_dims": (10**40,)}, "encoder_dims"),
        (TrainingConfig, {"epochs": 10**40}, "epochs"),
        (DenoiserConfig, {"step_embedding": 5}, "step_embedding"),
        (DenoiserConfig, {"dropout": 1.0}, "dropout"),
        (LatentConfig, {"C": 0}, "C"),
        (LatentConfig, {"C": 5, "z_dim": 4}, "C"),
        (DiffusionConfig, {"T": 10**8}, "T"),
        (LatentConfig, {"decoder": "shared"}, "decoder"),
        (TemporalConfig, {"w_min": 0.0}, "w_min"),
        (TemporalConfig, {"w_min": 1.0, "w_max": 0.5}, "w_max"),
        (TrainingConfig, {"lr": 0.0}, "lr"),
        (TrainingConfig, {"batch_size": 0}, "batch_size"),
        (TrainingConfig, {"seed": -1}, "seed"),
        (SplitOptions, {"ratios": (0, 1, 1)}, "ratios"),
        (SplitOptions, {"setting": "dirty"}, "setting"),
        (SplitOptions, {"setting": "noisy", "noise": "random"}, "noise_ratio"),
    ],
)
def test_an_impossible_value_names_its_field(kind: type, values: dict, field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        kind(**values)
    assert caught.value.what.split()[0] == field
    assert field in caught.value.fix
    assert caught.value.exit_code == 2


def test_a_warmup_longer_than_the_training_is_refused() -> None:
    latent = FitConfig(latent=LatentConfig())
    with pytest.raises(ConfigError, match="warmup_epochs"):
        latent.with_values({"warmup": "vae", "warmup_epochs": "5", "epochs": "5"})


def test_no_noise_and_a_single_step_are_possible() -> None:
    DiffusionConfig(s=0.0)
    DiffusionConfig(T=1)


@pytest.mark.parametrize(
    ("stored", "field"),
    [
        ({"training": {"lr": None}}, "lr"),
        ({"denoiser": {"dims": None}}, "dims"),
        ({"comparator": {"model": "mf", "dim": None}}, "dim"),
        ({"smoothing": {"T": None}}, "T"),
    ],
)
def test_an_empty_value_is_refused_where_there_must_be_one(
    stored: dict[str, dict[str, object]], field: str
) -> None:
    with pytest.raises(ConfigError, match=f"{field} = none is out of range"):
        read_config(stored)


def test_an_empty_value_is_taken_where_there_may_be_none() -> None:
    assert read_config({"diffusion": {"first_beta": None}}).diffusion.first_beta is None
    assert read_config({"latent": None}).variant == "base"
