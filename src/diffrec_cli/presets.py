"""Named hyper-parameters with their source."""

from __future__ import annotations

from dataclasses import replace

from diffrec_cli.config import (
    DenoiserConfig,
    DiffusionConfig,
    FitConfig,
    LatentConfig,
    TemporalConfig,
    TrainingConfig,
    Variant,
)
from diffrec_cli.errors import UsageError

PRESETS = ("auto",)


def preset(name: str, variant: Variant, *, users: int) -> FitConfig:
    """Return the settings of a preset for a variant.

    Parameters
    ----------
    name
        One of :data:`PRESETS`.
    variant
        ``base``, ``l``, ``t`` or ``lt``.
    users
        Users of the dataset; ``auto`` sizes the batch by it.
    """
    if name not in PRESETS:
        raise UsageError(f"--preset {name}: unknown", f"one of: {', '.join(PRESETS)}")
    return auto(variant, users)


def auto(variant: Variant, users: int) -> FitConfig:
    """Return settings that do well without tuning.

    Chosen on validation Recall@20 over MovieLens-1M, MovieLens-100k and sample logs (dense and
    sparse). An epoch has some 15 steps at least, which small logs need. Over interactions the
    loss is best unweighted; in the latent space, where its target is learned beside it, best
    weighted, with a small share in the whole and little pull towards the prior.
    """
    training = TrainingConfig(batch_size=max(50, min(400, users // 15)))
    temporal = TemporalConfig() if variant in ("t", "lt") else None
    if variant in ("base", "t"):
        return FitConfig(training=training, temporal=temporal)
    return FitConfig(
        diffusion=DiffusionConfig(weighted_loss=True),
        denoiser=DenoiserConfig(dims=(300,)),
        training=replace(training, lr=2e-3),
        latent=LatentConfig(gamma=0.03, lambda_=0.003, lambda_min=0.003, denoiser_lr=1e-3),
        temporal=temporal,
    )
