"""The released settings, one by one, and what ``auto`` does with the size of the data."""

from typing import Any

import pytest

from diffrec_cli.catalogue import PRESETS, VARIANTS, preset
from diffrec_cli.catalogue.sizes import LARGE, MANY
from diffrec_cli.errors import UsageError

#: Settings in the names of the authors' released checkpoints: lr, T, s, alpha_min, alpha_max.
RELEASED: dict[tuple[str, str], tuple[float, int, float, float, float]] = {
    ("paper-ml-1m", "base"): (1e-3, 40, 0.005, 0.005, 0.01),
    ("paper-ml-1m", "l"): (1e-3, 40, 0.005, 0.005, 0.02),
    ("paper-ml-1m-noisy", "base"): (1e-3, 5, 0.5, 0.001, 0.01),
    ("paper-ml-1m-noisy", "l"): (1e-3, 100, 0.005, 0.005, 0.02),
    ("paper-yelp", "base"): (1e-5, 5, 0.01, 0.001, 0.01),
    ("paper-yelp", "l"): (5e-4, 5, 0.01, 0.005, 0.01),
    ("paper-yelp", "t"): (1e-5, 5, 0.005, 0.001, 0.01),
    ("paper-yelp", "lt"): (5e-4, 5, 0.01, 0.005, 0.01),
    ("paper-yelp-noisy", "base"): (1e-5, 5, 0.001, 0.0005, 0.01),
    ("paper-yelp-noisy", "l"): (5e-4, 5, 0.01, 0.005, 0.01),
    ("paper-amazon-book-noisy", "base"): (5e-5, 10, 0.005, 0.0001, 0.0005),
    ("paper-amazon-book-noisy", "l"): (5e-4, 5, 0.5, 0.001, 0.005),
    ("paper-amazon-book", "base"): (5e-5, 5, 1e-4, 0.0005, 0.005),
    ("paper-amazon-book", "l"): (5e-4, 5, 0.5, 0.001, 0.005),
    ("paper-amazon-book", "t"): (1e-5, 10, 0.0005, 0.001, 0.005),
    ("paper-amazon-book", "lt"): (5e-4, 5, 0.7, 0.001, 0.005),
}


def values(name: str, variant: str) -> dict[str, Any]:
    """Return a preset's settings by field name."""
    groups = preset(name, variant, users=5949).to_dict().values()
    return {key: value for group in groups if group for key, value in group.items()}


@pytest.mark.parametrize(("name", "variant"), RELEASED)
def test_released_noise_scales_steps_and_learning_rates(name: str, variant: str) -> None:
    given = values(name, variant)
    keys = ("lr", "T", "s", "alpha_min", "alpha_max")
    assert tuple(given[key] for key in keys) == RELEASED[name, variant]


@pytest.mark.parametrize(
    ("name", "dims"),
    [
        ("paper-ml-1m", (200, 600)),
        ("paper-ml-1m-noisy", (200, 600)),
        ("paper-yelp", (1000,)),
        ("paper-yelp-noisy", (1000,)),
        ("paper-amazon-book", (1000,)),
        ("paper-amazon-book-noisy", (1000,)),
    ],
)
def test_released_hidden_sizes(name: str, dims: tuple[int, ...]) -> None:
    assert values(name, "base")["dims"] == values(name, "t")["dims"] == dims


@pytest.mark.parametrize(
    ("name", "variant", "denoiser_lr", "lambda_"),
    [
        ("paper-ml-1m", "l", 5e-4, 0.03),
        ("paper-ml-1m-noisy", "l", 5e-4, 0.03),
        ("paper-yelp", "l", 1e-4, 0.03),
        ("paper-yelp", "lt", 5e-5, 0.03),
        ("paper-yelp-noisy", "l", 1e-4, 0.03),
        ("paper-amazon-book", "l", 1e-4, 0.05),
        ("paper-amazon-book", "lt", 1e-4, 0.03),
        ("paper-amazon-book-noisy", "l", 1e-4, 0.07),
    ],
)
def test_released_latent_settings(
    name: str, variant: str, denoiser_lr: float, lambda_: float
) -> None:
    given = values(name, variant)
    assert (given["denoiser_lr"], given["lambda_"]) == (denoiser_lr, lambda_)
    assert (given["C"], given["z_dim"], given["decoder"]) == (2, 300, "joint")
    assert (given["gamma"], given["gamma_updates"]) == (0.3, 200)
    assert given["item_embeddings"] == "lightgcn"


def test_losses_that_were_released_unweighted() -> None:
    unweighted = {key for key in RELEASED if not values(*key)["weighted_loss"]}
    latent = {("paper-yelp", "l"), ("paper-yelp-noisy", "l")}
    assert unweighted == latent | {("paper-ml-1m-noisy", "base"), ("paper-yelp-noisy", "base")}
    # There the released code weighs the loss of the VAEs by lambda, not that of the diffusion.
    on_vae = {key for key in RELEASED if values(*key).get("lambda_on") == "vae"}
    assert on_vae == latent


@pytest.mark.parametrize(
    ("name", "variant", "w_min"),
    [
        ("paper-yelp", "t", 0.5),
        ("paper-yelp", "lt", 0.5),
        ("paper-amazon-book", "t", 0.1),
        ("paper-amazon-book", "lt", 0.1),
    ],
)
def test_released_temporal_weights(name: str, variant: str, w_min: float) -> None:
    given = values(name, variant)
    assert (given["w_min"], given["w_max"]) == (w_min, 1.0)


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "auto"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_released_runs_shared_the_rest(name: str, variant: str) -> None:
    given = values(name, variant)
    assert given["batch_size"] == (200 if (name, variant) == ("paper-yelp", "lt") else 400)
    assert (given["patience"], given["eval_every"], given["weight_decay"]) == (20, 5, 0)
    # beta_1 was overwritten over interactions, never in the latent space.
    assert given["first_beta"] == (1e-5 if variant in ("base", "t") else None)
    # What this project added is off.
    assert given["ema_decay"] == 0


@pytest.mark.parametrize(
    ("users", "over_interactions", "latent"),
    [(100, 50, 50), (942, 94, 94), (5949, 100, 198), (23_999, 399, 400), (50_000, 2000, 400)],
)
def test_auto_sizes_the_batches_by_the_users(
    users: int, over_interactions: int, latent: int
) -> None:
    sizes = {v: preset("auto", v, users=users).training.batch_size for v in VARIANTS}
    assert sizes == {
        "base": over_interactions,
        "t": over_interactions,
        "l": latent,
        "lt": latent,
    }


@pytest.mark.parametrize("variant", ["base", "t", "base+smoothing", "t+smoothing"])
def test_with_very_many_users_auto_counts_updates_instead_of_passes(variant: str) -> None:
    few, many = (preset("auto", variant, users=users).training for users in (MANY - 1, MANY))
    assert (few.epoch_updates, few.valid_users) == (None, None)
    assert (many.epoch_updates, many.valid_users, many.patience) == (20, 5000, 10)
    assert many.lr > few.lr


@pytest.mark.parametrize("variant", VARIANTS)
def test_auto_is_another_for_many_users_than_for_few(variant: str) -> None:
    few, many = (preset("auto", variant, users=users) for users in (LARGE - 1, LARGE))
    assert few.diffusion != many.diffusion


@pytest.mark.parametrize(
    ("each", "base", "t"),
    [
        (2, {"kept_weight": 0.0, "adds_smooth": False}, {"kept_weight": 0.0, "adds_smooth": False}),
        (10, {}, {}),
        (70, {"bias": False}, {"weight_decay": 0.5, "w_min": 0.3}),
    ],
)
def test_auto_sets_smoothing_by_how_many_interactions_a_user_has(each, base, t) -> None:
    for variant, expected in (("base", base), ("t", t)):
        config = preset("auto", f"{variant}+smoothing", users=500, interactions=500 * each)
        common = {"kept_weight": 0.5, "adds_smooth": True, "bias": True, "weight_decay": 0.0}
        values, wanted = config.values(), common | expected
        assert {name: values[name] for name in wanted} == wanted


def test_an_unknown_preset_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(UsageError, match="paper-netflix") as error:
        preset("paper-netflix", "base", users=10)
    assert "paper-amazon-book" in error.value.fix


@pytest.mark.parametrize("users", [LARGE - 1, LARGE])
def test_multidae_plus_has_the_noise_of_diffrec(users: int) -> None:
    noise = [preset("auto", variant, users=users).diffusion for variant in ("multidae++", "base")]
    assert noise[0] == noise[1]
