"""Named hyper-parameters with their source."""

from __future__ import annotations

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

    Chosen on validation Recall@20 over MovieLens-1M, MovieLens-100k and sample logs: the loss
    unweighted and a batch such that an epoch has some 15 steps at least, which small logs need.
    """
    latent = variant in ("l", "lt")
    batch_size = max(50, min(400, users // 15))
    return FitConfig(
        diffusion=DiffusionConfig(),
        denoiser=DenoiserConfig(dims=(300,)) if latent else DenoiserConfig(),
        training=TrainingConfig(batch_size=batch_size),
        latent=LatentConfig() if latent else None,
        temporal=TemporalConfig() if variant in ("t", "lt") else None,
    )
