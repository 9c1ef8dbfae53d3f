"""Smoothing held to dense float64 arithmetic, step by step, written from the equations."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from diffrec_cli.catalogue.corruptions import SmoothingConfig
from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Rows, Sequences
from diffrec_cli.diffusion.randomness import Draws
from diffrec_cli.models.backend import NumpyBackend, TorchBackend
from diffrec_cli.models.build import build_model, stored_weights
from diffrec_cli.models.item_spectrum import item_spectrum
from diffrec_cli.models.scorer import build_scorer

USERS, ITEMS = 25, 14
rng = np.random.default_rng(2)
X = (rng.random((USERS, ITEMS)) < 0.35).astype(np.float64)
X[:, 0] = 1  # nobody has nothing
TRAIN = Sequences.from_rows(*np.nonzero(X), USERS)


def graph() -> np.ndarray:
    """A = R^T R / lambda_max, R = D_u^(-1/4) X D_i^(-1/2)."""
    R = X.sum(1)[:, None] ** -0.25 * X * np.maximum(X.sum(0), 1) ** -0.5
    A = R.T @ R
    return A / np.linalg.eigvalsh(A).max()


def some_rows(weighted: bool) -> tuple[Rows, np.ndarray]:
    """Return histories, one of them empty, and the same as a dense array."""
    dense = (rng.random((6, ITEMS)) < 0.4) * (rng.random((6, ITEMS)) if weighted else 1.0)
    dense[3] = 0
    row, item = np.nonzero(dense)
    indptr = np.concatenate([[0], np.cumsum((dense > 0).sum(1))])
    values = dense[row, item].astype(np.float32)
    return Rows(np.full(6, -1), indptr, item.astype(np.int32), values), dense


def trained(config: SmoothingConfig):
    """Return a model with random weights, and these in float64."""
    fit = FitConfig(corruption=config)
    model = build_model(fit, ITEMS, train=TRAIN)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=generator))
    return (
        fit,
        model,
        {
            name.removeprefix("denoiser."): p.detach().double().numpy()
            for name, p in model.named_parameters()
        },
    )


CONFIGS = {
    "as it is": SmoothingConfig(dim=5, rank=ITEMS),
    "one step": SmoothingConfig(T=1, dim=5, rank=ITEMS),
    "many steps, far": SmoothingConfig(T=6, a=2.5, rho=0.2, dim=3, rank=ITEMS),
    "part of the spectrum": SmoothingConfig(dim=5, rank=4),
    "shown interactions count like any": SmoothingConfig(dim=5, rank=ITEMS, kept_weight=1.0),
    "shown interactions count for nothing": SmoothingConfig(dim=5, rank=ITEMS, kept_weight=0.0),
    "interactions weigh more": SmoothingConfig(dim=5, rank=ITEMS, confidence=7.0),
    "without x_t": SmoothingConfig(dim=5, rank=ITEMS, reads_z=False),
    "without the history behind the product": SmoothingConfig(dim=5, rank=ITEMS, adds_smooth=False),
    "without a bias": SmoothingConfig(dim=5, rank=ITEMS, bias=False),
}


def matrix(config: SmoothingConfig) -> np.ndarray:
    """Return A, or what is left of it with the largest eigenvalues alone."""
    values, vectors = np.linalg.eigh(graph())
    kept = slice(-config.rank, None)
    return (vectors[:, kept] * values[kept]) @ vectors[:, kept].T


def predict(config, weights, z, c, A, t) -> np.ndarray:
    """Return the predicted x_0 at step t."""
    w_z, w_c, w_smooth = weights["mix"][t]
    if not config.reads_z:
        w_z = 0
    if not config.adds_smooth:
        w_smooth = 0
    E, kappa = weights["E"], TRAIN.size / USERS
    h = w_z * z @ E / kappa + w_c * c @ E / np.maximum(np.abs(c).sum(1, keepdims=True), 1)
    return h @ E.T + w_smooth * c @ A + weights.get("b", 0)


def smoothed(config, x, A, t):
    return x + config.a * t / config.T * (x @ A - x)


def test_the_spectrum_is_that_of_the_graph() -> None:
    A = graph()
    spectrum = item_spectrum(TRAIN, ITEMS, ITEMS)
    Q, values = spectrum.Q.astype(np.float64), spectrum.values.astype(np.float64)
    np.testing.assert_allclose((Q * values) @ Q.T, A, atol=1e-6)
    np.testing.assert_allclose(Q.T @ Q, np.eye(ITEMS), atol=1e-6)
    assert values[0] == 1
    part = item_spectrum(TRAIN, ITEMS, 5)
    np.testing.assert_allclose(part.values, values[:5], atol=1e-5)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("backend", [NumpyBackend(), TorchBackend("cpu")], ids=["numpy", "torch"])
def test_scores_are_those_of_the_reverse_process_step_by_step(name, weighted, backend) -> None:
    config = CONFIGS[name]
    fit, model, weights = trained(config)
    A = matrix(config)
    rows, x = some_rows(weighted)
    z = smoothed(config, x, A, config.T)
    for t in range(config.T, 0, -1):
        p = predict(config, weights, z, x, A, t)
        z = smoothed(config, p, A, t - 1) + config.rho * (z - smoothed(config, p, A, t))
    # The tool ends with the last prediction p, not with the source's p + rho (z_1 - F(p, 1)), which
    # is the z of the last turn: a departure that examples/reproduce/README.md lists.
    stored = stored_weights(model.scoring_weights())
    scores = backend.host(build_scorer(fit, stored, backend).scores(rows))
    np.testing.assert_allclose(scores, p, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("form", ["scores", "compact"])
def test_the_loss_is_the_squared_error_and_less_of_what_was_shown(name, form, monkeypatch) -> None:
    config = replace(CONFIGS[name], loss_form=form)
    _, model, weights = trained(config)
    A = matrix(config)
    rows, x = some_rows(weighted=True)
    kept = rng.random(len(rows.items)) < 0.5
    steps = rng.integers(1, config.T + 1, len(rows))

    class Drawn:
        def draw(self, numbers):
            return torch.from_numpy(steps), torch.ones(len(numbers.offset))

        def tell(self, t, losses):
            assert losses.shape == (len(rows),)

    model.sampler = None  # a module cannot be replaced by anything else
    del model._modules["sampler"]
    object.__setattr__(model, "sampler", Drawn())
    monkeypatch.setattr(
        "diffrec_cli.models.graph_denoiser.sparse_dropout",
        lambda rows, rate, generator: Rows(
            rows.users, rows.keep(kept).indptr, rows.items[kept], rows.values[kept] / (1 - rate)
        ),
    )
    c = np.zeros_like(x)
    row = rows.row_index[kept]
    c[row, rows.items[kept]] = rows.values[kept] / (1 - config.dropout)
    z = np.stack([smoothed(config, x[i : i + 1], A, steps[i])[0] for i in range(len(x))])
    weight = np.where(c > 0, config.kept_weight, 1.0) * np.where(x > 0, config.confidence, 1.0)
    errors = [
        (weight[i] * (predict(config, weights, z[[i]], c[[i]], A, steps[i]) - x[[i]]) ** 2).mean()
        for i in range(len(x))
    ]
    draws = Draws(1)
    loss = model.loss(rows, TorchBackend("cpu"), draws)
    assert loss.item() == pytest.approx(np.mean(errors), rel=1e-4)


@pytest.mark.parametrize(
    ("name", "learned"), [("as it is", {"E", "mix", "b"}), ("without a bias", {"E", "mix"})]
)
def test_every_weight_is_learned_and_nothing_else(name, learned) -> None:
    _, model, _ = trained(CONFIGS[name])
    rows, _ = some_rows(weighted=False)
    draws = Draws(1)
    model.loss(rows, TorchBackend("cpu"), draws).backward()
    grads = {n.removeprefix("denoiser."): p.grad for n, p in model.named_parameters()}
    assert {n for n, grad in grads.items() if grad is not None and grad.any()} == learned
