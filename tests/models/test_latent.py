"""The group VAEs, their loss, and L-DiffRec's inference, against plain NumPy."""

import numpy as np
import pytest
import torch

from diffrec_cli.config import DenoiserConfig, DiffusionConfig, FitConfig, LatentConfig
from diffrec_cli.data.sequences import Rows
from diffrec_cli.diffusion.gaussian import Gaussian
from diffrec_cli.models.backend import NumpyBackend, TorchBackend
from diffrec_cli.models.build import build_model, scoring_weights, stored_weights
from diffrec_cli.models.latent import sparse_dropout
from diffrec_cli.models.scoring import build_scorer
from diffrec_cli.models.trainable import Draws
from diffrec_cli.models.vae import Groups, GroupVAE

OF_ITEM = np.array([0, 2, 1, 0, 0, 1, 2, 0, 0, 1, 0])
ROWS = Rows(
    np.arange(3),
    np.array([0, 4, 4, 7]),
    np.array([0, 1, 5, 9, 10, 2, 3], np.int32),
    np.array([1.0, 0.5, 0.25, 1.0, 1.0, 0.7, 0.1], np.float32),
)


def config(**values: object) -> FitConfig:
    base = FitConfig(
        diffusion=DiffusionConfig(T=3, s=0.3, alpha_min=0.1, alpha_max=0.9, weighted_loss=True),
        denoiser=DenoiserConfig(dims=(6,), dropout=0.0),
        latent=LatentConfig(C=3, z_dim=9, encoder_dropout=0.0),
    )
    return base.with_values(values)


def dense() -> np.ndarray:
    x = np.zeros((3, len(OF_ITEM)))
    for user, (a, b) in enumerate(zip(ROWS.indptr[:-1], ROWS.indptr[1:], strict=True)):
        x[user, ROWS.items[a:b]] = ROWS.values[a:b]
    return x


def weights(settings: FitConfig) -> dict[str, np.ndarray]:
    live = scoring_weights(build_model(settings, len(OF_ITEM), OF_ITEM))
    return {name: np.asarray(value, np.float64) for name, value in live.items()}


def encode_by_masks(w: dict[str, np.ndarray], layers: int) -> tuple[np.ndarray, np.ndarray]:
    """Each group's encoder on its own columns of the dense matrix."""
    means, log_variances = [], []
    for c in range(3):
        h = dense()[:, c == OF_ITEM]
        for i in range(layers):
            h = np.tanh(h @ w[f"vae.encoder.{c}.{i}.W"] + w[f"vae.encoder.{c}.{i}.b"])
        mean, log_variance = np.split(h, 2, axis=1)
        means.append(mean)
        log_variances.append(log_variance)
    return np.concatenate(means, axis=1), np.concatenate(log_variances, axis=1)


def decode_by_masks(w: dict[str, np.ndarray], z: np.ndarray, decoder: str) -> np.ndarray:
    if decoder == "joint":
        return z @ w["vae.decoder.0"].T + w["vae.bias"]
    logits, start = np.empty((len(z), len(OF_ITEM))), 0
    for c in range(3):
        D = w[f"vae.decoder.{c}"]
        logits[:, c == OF_ITEM] = z[:, start : start + D.shape[1]] @ D.T
        start += D.shape[1]
    return logits + w["vae.bias"]


def test_latent_sizes_are_in_proportion_to_the_groups_and_the_last_takes_the_rest() -> None:
    assert Groups(OF_ITEM).shares(9) == [4, 2, 3]  # 9 * 6/11 = 4.9, 9 * 3/11 = 2.5, rest
    assert Groups(np.array([0] * 99 + [1, 2])).shares(4) == [2, 1, 1]


@pytest.mark.parametrize("encoder_dims", [(), (7,)])
@pytest.mark.parametrize("backend", [NumpyBackend(), TorchBackend("cpu")])
def test_encoders_see_their_own_group_alone(
    encoder_dims: tuple[int, ...], backend: NumpyBackend | TorchBackend
) -> None:
    w = weights(config(encoder_dims=encoder_dims))
    vae = GroupVAE(backend, OF_ITEM, {k: v.astype(np.float32) for k, v in w.items()})
    expected = encode_by_masks(w, 1 + len(encoder_dims))
    for got, wanted in zip(vae.encode(ROWS), expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("decoder", ["joint", "separate"])
def test_scores_are_encode_reverse_decode(decoder: str) -> None:
    settings = config(decoder=decoder)
    w = weights(settings)
    z, _ = encode_by_masks(w, 1)
    gaussian = Gaussian(settings.diffusion)
    c_1, c_2 = gaussian.schedule.posterior
    for t in (3, 2, 1):
        step = w["denoiser.embedding"][t] @ w["denoiser.W_embed"] + w["denoiser.b_embed"]
        bias = step @ w["denoiser.W_step"] + w["denoiser.b_in"]
        h = np.tanh(z @ w["denoiser.W_in"] + bias)
        z = c_1[t] * (h @ w["denoiser.V"].T + w["denoiser.b_out"]) + c_2[t] * z
    expected = decode_by_masks(w, z, decoder)
    stored = stored_weights(scoring_weights(build_model(settings, len(OF_ITEM), OF_ITEM)))
    for backend in (NumpyBackend(), TorchBackend("cpu")):
        scores = build_scorer(settings, stored, backend).scores(ROWS)
        np.testing.assert_allclose(scores, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("decoder", ["joint", "separate"])
def test_vae_loss_is_equation_15(decoder: str) -> None:
    settings = config(decoder=decoder, gamma=0.7, gamma_updates=0)
    model = build_model(settings, len(OF_ITEM), OF_ITEM)
    w = weights(settings)
    mean, log_variance = encode_by_masks(w, 1)
    z = np.random.default_rng(1).normal(size=mean.shape)
    logits = decode_by_masks(w, z, decoder)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    likelihood = (log_p * dense()).sum(axis=1)
    divergence = -0.5 * (1 + log_variance - mean**2 - np.exp(log_variance)).sum(axis=1)
    expected = np.mean(0.7 * divergence - likelihood)

    tensors = [torch.from_numpy(a).float() for a in (z, mean, log_variance)]
    vae = model._on(TorchBackend("cpu"))
    assert model._vae_loss(vae, *tensors, ROWS).item() == pytest.approx(expected, rel=1e-4)


def test_kl_weight_rises_by_the_update_to_its_cap() -> None:
    model = build_model(config(gamma=0.3, gamma_updates=4), len(OF_ITEM), OF_ITEM)
    assert [float(model._gamma()) for _ in range(6)] == pytest.approx(
        [0.075, 0.15, 0.225, 0.3, 0.3, 0.3]
    )


def test_lambda_falls_by_the_epoch() -> None:
    settings = config(lambda_="0.03", lambda_min=0.005, lambda_epochs=10)
    model = build_model(settings, len(OF_ITEM), OF_ITEM)
    seen = []
    for epoch in (1, 6, 11, 50):
        model.start_epoch(epoch)
        seen.append(model._lambda())
    assert seen == pytest.approx([0.03, 0.0175, 0.005, 0.005])


def test_after_the_warmup_only_the_denoiser_learns() -> None:
    model = build_model(config(warmup="vae", warmup_epochs=2), len(OF_ITEM), OF_ITEM)

    def gradients(epoch: int) -> set[str]:
        model.start_epoch(epoch)
        model.zero_grad()
        draws = Draws(torch.Generator().manual_seed(1), np.random.default_rng(1))
        model.loss(ROWS, TorchBackend("cpu"), draws).backward()
        return {n.split(".")[0] for n, p in model.named_parameters() if p.grad is not None}

    assert gradients(epoch=2) == {"vae"}
    assert not model.selectable
    assert gradients(epoch=3) == {"denoiser"}
    assert model.selectable


def test_sparse_dropout_drops_whole_interactions_and_rescales() -> None:
    n = 20_000
    rows = Rows(
        np.arange(2), np.array([0, n // 2, n]), np.arange(n, dtype=np.int32), np.ones(n, np.float32)
    )
    dropped = sparse_dropout(rows, 0.25, np.random.default_rng(1))
    assert len(dropped.items) == pytest.approx(0.75 * n, rel=0.02)
    assert set(dropped.values.tolist()) == {np.float32(1 / 0.75)}
    assert dropped.indptr[-1] == len(dropped.items)
    assert (
        dropped.items[: dropped.indptr[1]].max()
        < n // 2
        <= dropped.items[dropped.indptr[1] :].min()
    )
