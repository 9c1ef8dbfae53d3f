"""Masking's denoiser, held to its formulas written out for one history at a time."""

import numpy as np
import pytest
import torch

from diffrec_cli.catalogue.masking import MaskingConfig
from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Rows, Sequences, input_rows
from diffrec_cli.diffusion.randomness import Draws
from diffrec_cli.models.backend import NumpyBackend, TorchBackend
from diffrec_cli.models.item_range import ItemRange
from diffrec_cli.models.masking import MaskingDiffRec
from diffrec_cli.models.masking_inference import MaskingScorer

ITEMS = 9
HISTORIES = [[1, 4, 7, 2, 0], [3], [8, 5]]


def rows() -> Rows:
    users = np.repeat(np.arange(3), [len(h) for h in HISTORIES])
    return input_rows(Sequences.from_rows(users, np.concatenate(HISTORIES), 3), None)


def model_of(config: MaskingConfig) -> MaskingDiffRec:
    model = MaskingDiffRec(
        config, ItemRange.whole(ITEMS), torch.Generator().manual_seed(2)
    ).double()
    with torch.no_grad():
        model.b.copy_(torch.linspace(-1, 1, ITEMS))
    return model


def scores(config: MaskingConfig, model: MaskingDiffRec) -> np.ndarray:
    weights = {name: w.numpy() for name, w in model.scoring_weights().items()}
    scorer = MaskingScorer(FitConfig(corruption=config), weights, NumpyBackend())
    return np.asarray(scorer.scores(rows()))


def test_in_time_every_kernel_has_its_embeddings() -> None:
    config = MaskingConfig(half_lives=(1.0, 3.0), dim=4)
    model = model_of(config)
    E, V, b = [e.detach().numpy() for e in model.E], model.V.detach().numpy(), model.b
    for history, found in zip(HISTORIES, scores(config, model), strict=True):
        a = 0.0
        for half_life, E_k in zip(config.half_lives, E, strict=True):
            weights = np.array([2 ** (-age / half_life) for age in range(len(history))][::-1])
            a = a + weights / weights.sum() @ E_k[history]
        expected = V @ np.tanh(a) + b.detach().numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_with_a_temperature_scores_are_cosines() -> None:
    config = MaskingConfig(half_lives=(), dim=4, temperature=0.25)
    model = model_of(config)
    V = model.V.detach().numpy()
    V = V / np.linalg.norm(V, axis=1, keepdims=True)
    for history, found in zip(HISTORIES, scores(config, model), strict=True):
        h = V[history].mean(axis=0)
        cosine = V @ h / np.linalg.norm(h)
        np.testing.assert_allclose(found, cosine / 0.25 + model.b.detach().numpy(), rtol=1e-5)


@pytest.mark.parametrize("horizon", [0.0, 2.0])
def test_the_loss_is_the_cross_entropy_of_what_follows_each_cut(horizon: float) -> None:
    config = MaskingConfig(half_lives=(2.0,), dim=4, dropout=0.0, states=9, horizon=horizon)
    model = model_of(config)
    draws = Draws(0)
    found = model.loss(rows(), TorchBackend("cpu"), draws)
    E, V, b = (w.detach().numpy() for w in (model.E[0], model.V, model.b))
    losses = []
    for history in HISTORIES:
        for cut in range(1, len(history)):
            kept, masked = history[:cut], history[cut:]
            weights = np.array([2 ** (-age / 2.0) for age in range(cut)][::-1])
            logits = V @ np.tanh(weights / weights.sum() @ E[kept]) + b
            logits[kept] = -np.inf
            logs = logits - np.log(np.exp(logits).sum())
            y = np.array([2 ** (-ahead / horizon) if horizon else 0**ahead for ahead in range(9)])
            y = y[: len(masked)]
            losses.append(-(y / y.sum() @ logs[masked]))
    assert found.item() == pytest.approx(np.mean(losses), rel=1e-6)


def test_a_batch_without_two_items_a_user_has_no_loss() -> None:
    config = MaskingConfig(dim=4)
    draws = Draws(0)
    loss = model_of(config).loss(rows().take(np.array([1])), TorchBackend("cpu"), draws)
    assert loss.item() == 0


def test_dropout_of_all_that_is_kept_leaves_finite_gradients() -> None:
    config = MaskingConfig(half_lives=(), dim=4, dropout=0.99, temperature=0.1)
    model = model_of(config)
    draws = Draws(0)
    model.loss(rows(), TorchBackend("cpu"), draws).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
