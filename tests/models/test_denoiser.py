"""The denoiser's weights, embedding and dropout; whose the noise at inference is."""

import numpy as np
import pytest
import torch

from diffrec_cli.config import DenoiserConfig, FitConfig, TrainingConfig
from diffrec_cli.data.sequences import Rows
from diffrec_cli.models.backend import NumpyBackend
from diffrec_cli.models.build import build_model, stored_weights
from diffrec_cli.models.denoiser import Denoiser, sinusoidal_embedding
from diffrec_cli.models.item_range import ItemRange
from diffrec_cli.models.scorer import build_scorer

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


def test_layers_mirror_the_hidden_sizes() -> None:
    made = Denoiser(ItemRange.whole(50), 5, DenoiserConfig(dims=(20, 30)), torch.Generator())
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
    made = Denoiser(
        ItemRange.whole(3000), 5, DenoiserConfig(dims=(400,)), torch.Generator().manual_seed(1)
    )
    assert made.W_in.detach().std().item() == pytest.approx(
        (2 / (3000 + 10 + 400)) ** 0.5, rel=0.02
    )
    assert made.b_out.detach().std().item() == pytest.approx(0.001, rel=0.05)


def test_embedding_is_cosines_and_sines_at_geometric_frequencies() -> None:
    embedding = sinusoidal_embedding(7, 4)
    expected = [np.cos(7), np.cos(7 * 0.01), np.sin(7), np.sin(7 * 0.01)]
    np.testing.assert_allclose(embedding[7], expected, rtol=1e-5)


@pytest.mark.parametrize("T_prime", [1, 2, 4])
def test_noise_at_inference_belongs_to_the_user_not_to_the_batch(T_prime: int) -> None:
    settings = config(T=4, T_prime=T_prime)
    scorer = build_scorer(
        settings, stored_weights(build_model(settings, ITEMS).scoring_weights()), NumpyBackend()
    )
    batch = rows()
    together = scorer.scores(batch)
    for user in range(len(batch.users)):
        a, b = batch.indptr[user : user + 2]
        alone = Rows(np.array([99]), np.array([0, b - a]), batch.items[a:b], batch.values[a:b])
        np.testing.assert_allclose(scorer.scores(alone)[0], together[user], rtol=1e-4, atol=1e-5)


def test_noise_at_inference_follows_the_seed() -> None:
    weights = stored_weights(build_model(config(T=4), ITEMS).scoring_weights())
    first, same, other = (
        build_scorer(config(T=4, T_prime=2, seed=seed), weights, NumpyBackend()).scores(rows())
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, same)
    assert not np.allclose(first, other)
