"""The learning denoiser, and its collapsed twin at inference."""

import numpy as np
import pytest
import torch

from diffrec_cli.config import DenoiserConfig, FitConfig, TrainingConfig
from diffrec_cli.data.sequences import Rows
from diffrec_cli.diffusion.gaussian import Gaussian
from diffrec_cli.models.backend import NumpyBackend, TorchBackend
from diffrec_cli.models.build import build_model, scoring_weights, stored_weights
from diffrec_cli.models.denoiser import Denoiser, dropout, sinusoidal_embedding
from diffrec_cli.models.scoring import build_scorer

ITEMS = 31


def rows(users: int = 6, seed: int = 5) -> Rows:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 9, users)  # some users have nothing
    items = [rng.permutation(ITEMS)[:n] for n in lengths]
    return Rows(
        np.arange(users),
        np.concatenate([[0], np.cumsum(lengths)]),
        np.concatenate(items).astype(np.int32),
        rng.uniform(0.1, 1, lengths.sum()).astype(np.float32),
    )


def config(**values: object) -> FitConfig:
    small = {"dims": (4, 9), "s": 0.3, "alpha_min": 0.1, "alpha_max": 0.9}
    return FitConfig(training=TrainingConfig(seed=3)).with_values(small | values)


def dense(batch: Rows) -> np.ndarray:
    x = np.zeros((len(batch.users), ITEMS))
    for user, (a, b) in enumerate(zip(batch.indptr[:-1], batch.indptr[1:], strict=True)):
        x[user, batch.items[a:b]] = batch.values[a:b]
    return x


def test_layers_mirror_the_hidden_sizes() -> None:
    made = Denoiser(50, 5, DenoiserConfig(dims=(20, 30)), torch.Generator())
    shapes = {name: tuple(p.shape) for name, p in made.named_parameters() if p.dim() == 2}
    assert shapes == {
        "W_embed": (10, 10),
        "W_in": (50, 30),
        "W_step": (10, 30),
        "W.0": (30, 20),
        "W.1": (20, 30),
        "V": (50, 30),
    }


def test_weights_have_the_variance_of_both_fans() -> None:
    made = Denoiser(3000, 5, DenoiserConfig(dims=(400,)), torch.Generator().manual_seed(1))
    assert made.W_in.detach().std().item() == pytest.approx(
        (2 / (3000 + 10 + 400)) ** 0.5, rel=0.02
    )
    assert made.b_out.detach().std().item() == pytest.approx(0.001, rel=0.05)


def test_embedding_is_cosines_and_sines_at_geometric_frequencies() -> None:
    embedding = sinusoidal_embedding(7, 4)
    expected = [np.cos(7), np.cos(7 * 0.01), np.sin(7), np.sin(7 * 0.01)]
    np.testing.assert_allclose(embedding[7], expected, rtol=1e-5)


def test_dropout_keeps_the_expectation_and_repeats_by_its_generator() -> None:
    x = torch.ones(1000, 50)
    dropped = dropout(x, 0.3, torch.Generator().manual_seed(1))
    assert float(dropped.mean()) == pytest.approx(1.0, abs=0.01)
    assert dropped.unique().tolist() == pytest.approx([0.0, 1 / 0.7])
    assert torch.equal(dropped, dropout(x, 0.3, torch.Generator().manual_seed(1)))


def reference_scores(settings: FitConfig, batch: Rows) -> np.ndarray:
    """Algorithm 2 with T' = 0 in float64, one step after the other, from the stored weights."""
    w = {
        name.removeprefix("denoiser."): np.asarray(value, np.float64)
        for name, value in scoring_weights(build_model(settings, ITEMS)).items()
    }
    gaussian = Gaussian(settings.diffusion)
    x_t = dense(batch)
    for t in range(settings.diffusion.T, 0, -1):
        x = x_t
        if settings.denoiser.normalize_input:
            x = x_t / np.maximum(np.linalg.norm(x_t, axis=1, keepdims=True), 1e-12)
        step = np.tile(w["embedding"][t] @ w["W_embed"] + w["b_embed"], (len(x), 1))
        entry = np.concatenate([w["W_in"], w["W_step"]])  # of x and the step, side by side
        h = np.tanh(np.concatenate([x, step], axis=1) @ entry + w["b_in"])
        for i in range(sum(name.startswith("W.") for name in w)):
            h = np.tanh(h @ w[f"W.{i}"] + w[f"b.{i}"])
        prediction = h @ w["V"].T + w["b_out"]
        signal, noise = gaussian.forward[t]
        if settings.diffusion.prediction == "epsilon":
            prediction = (x_t - noise * prediction) / signal
        c_1, c_2 = (c[t] for c in gaussian.schedule.posterior)
        x_t = c_1 * prediction + c_2 * x_t
    return x_t


@pytest.mark.parametrize("T", [1, 5, 40])
@pytest.mark.parametrize("prediction", ["x0", "epsilon"])
@pytest.mark.parametrize("normalize_input", [False, True])
@pytest.mark.parametrize("backend", [NumpyBackend(), TorchBackend("cpu")])
def test_scores_are_algorithm_2(
    T: int, prediction: str, normalize_input: bool, backend: NumpyBackend | TorchBackend
) -> None:
    settings = config(T=T, prediction=prediction, normalize_input=normalize_input)
    stored = stored_weights(scoring_weights(build_model(settings, ITEMS)))
    scores = build_scorer(settings, stored, backend).scores(rows())
    np.testing.assert_allclose(scores, reference_scores(settings, rows()), rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("T_prime", [1, 2, 4])
def test_noise_at_inference_belongs_to_the_user_not_to_the_batch(T_prime: int) -> None:
    settings = config(T=4, T_prime=T_prime)
    scorer = build_scorer(
        settings, stored_weights(scoring_weights(build_model(settings, ITEMS))), NumpyBackend()
    )
    batch = rows()
    together = scorer.scores(batch)
    for user in range(len(batch.users)):
        a, b = batch.indptr[user : user + 2]
        alone = Rows(np.array([99]), np.array([0, b - a]), batch.items[a:b], batch.values[a:b])
        np.testing.assert_allclose(scorer.scores(alone)[0], together[user], rtol=1e-4, atol=1e-5)


def test_noise_at_inference_follows_the_seed() -> None:
    weights = stored_weights(scoring_weights(build_model(config(T=4), ITEMS)))
    first, same, other = (
        build_scorer(config(T=4, T_prime=2, seed=seed), weights, NumpyBackend()).scores(rows())
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, same)
    assert not np.allclose(first, other)


def test_one_step_of_training_sees_what_inference_sees() -> None:
    settings = config(T=1, dropout=0.0)
    model = build_model(settings, ITEMS)
    with torch.no_grad():
        x_0 = torch.from_numpy(dense(rows())).float()
        t = torch.ones(len(x_0), dtype=torch.int64)
        predicted = model.denoiser(x_0, t, torch.Generator())
    scorer = build_scorer(settings, scoring_weights(model), TorchBackend("cpu"))
    np.testing.assert_allclose(scorer.scores(rows()), predicted, rtol=1e-4, atol=1e-5)
