"""The shares of the groups, the schedules of the weights, the stages, the dropout of rows."""

import numpy as np
import pytest
import torch

from diffrec_cli.config import DenoiserConfig, DiffusionConfig, FitConfig, LatentConfig
from diffrec_cli.data.sequences import Rows
from diffrec_cli.diffusion.randomness import Draws
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.build import build_model
from diffrec_cli.models.latent import sparse_dropout
from diffrec_cli.models.likelihood import annealed
from diffrec_cli.models.vae import Groups

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


def test_latent_sizes_are_in_proportion_to_the_groups_and_the_last_takes_the_rest() -> None:
    assert Groups(OF_ITEM).shares(9) == [4, 2, 3]  # 9 * 6/11 = 4.9, 9 * 3/11 = 2.5, rest
    assert Groups(np.array([0] * 99 + [1, 2])).shares(4) == [2, 1, 1]


def test_kl_weight_rises_by_the_update_to_its_cap() -> None:
    weights = [float(annealed(torch.tensor(float(u)), 0.3, 200)) for u in (0, 1, 59, 60, 61, 200)]
    assert weights == pytest.approx([0, 0.005, 0.295, 0.3, 0.3, 0.3])
    assert float(annealed(torch.tensor(0.0), 0.3, 0)) == pytest.approx(0.3)


def test_lambda_falls_by_the_epoch() -> None:
    settings = config(lambda_="0.03", lambda_min=0.005, lambda_epochs=10)
    model = build_model(settings, len(OF_ITEM), OF_ITEM)
    seen = []
    for epoch in (1, 6, 9, 10, 50):
        model.start_epoch(epoch)
        seen.append(model._lambda())
    assert seen == pytest.approx([0.03, 0.015, 0.006, 0.005, 0.005])


def test_after_the_warmup_only_the_denoiser_learns() -> None:
    model = build_model(config(warmup="vae", warmup_epochs=2), len(OF_ITEM), OF_ITEM)

    def gradients(epoch: int) -> set[str]:
        model.start_epoch(epoch)
        model.zero_grad()
        draws = Draws(1)
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
    dropped = sparse_dropout(rows, 0.25, Draws(1))
    assert len(dropped.items) == pytest.approx(0.75 * n, rel=0.02)
    assert set(dropped.values.tolist()) == {np.float32(1 / 0.75)}
    assert dropped.indptr[-1] == len(dropped.items)
    assert (
        dropped.items[: dropped.indptr[1]].max()
        < n // 2
        <= dropped.items[dropped.indptr[1] :].min()
    )
