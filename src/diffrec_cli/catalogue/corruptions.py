"""DiffRec's corruptions: their settings, their rows, and what ``auto`` chooses for each.

A corruption is a file in ``diffusion/``, its denoiser in ``models/``, and a row here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from diffrec_cli.catalogue.registered import register
from diffrec_cli.catalogue.rows import Code, Corruption, Space
from diffrec_cli.catalogue.sizes import DENSE, LARGE, MANY, SPARSE, batch_size
from diffrec_cli.config import (
    GAUSSIAN,
    CorruptionConfig,
    DiffusionConfig,
    FitConfig,
    TemporalConfig,
    TrainingConfig,
)
from diffrec_cli.config.checks import NonNegative, Positive, Rate, Size, between, check
from diffrec_cli.config.diffrec import LossForm, Steps

#: The paper's grid (section 4.1.3), without T' above 0, which the paper finds to be worse.
DIFFUSION_SPACE: Space = {
    "T": (2, 5, 10, 40, 50, 100),
    "s": (0.0, 1e-5, 1e-4, 5e-3, 1e-2, 1e-1),
    "alpha_min": (5e-4, 1e-3, 5e-3),
    "alpha_max": (5e-3, 1e-2),
}


# With many users a batch of 2,000 costs little more than one of 400 if its loss is compact. Batches
# and learning rates were chosen on valid Recall@20 of gowalla, and smoothing's tried on yelp2018
# (examples/reproduce/large.csv). The other three numbers were not searched.
_IN_LARGE_BATCHES: dict[str, int] = {
    "batch_size": 2000,
    "epoch_updates": 20,
    "patience": 10,
    "valid_users": 5000,
}


def _auto_gaussian(temporal: bool, users: int, interactions_each: float) -> FitConfig:
    """Return settings that do well without tuning, see :func:`~.presets.auto`."""
    training = TrainingConfig(lr=3e-4, batch_size=batch_size(users, updates=60), ema_decay=0.99)
    if users >= MANY:
        training = replace(training, lr=3e-3, **_IN_LARGE_BATCHES)
    large = users >= LARGE
    return FitConfig(
        diffusion=(
            DiffusionConfig(T=10, s=0.5, alpha_min=0.001) if large else DiffusionConfig(s=0.1)
        ),
        training=training,
    )


register(
    Corruption(
        GAUSSIAN,
        config=None,
        corruption=Code(".diffusion.gaussian:Gaussian"),
        denoiser=Code(".models.denoiser:Denoiser.of"),
        scorer=Code(".models.diffrec_inference:DiffRecScorer"),
        auto=_auto_gaussian,
        space={
            "lr": (1e-5, 1e-4, 1e-3, 1e-2),
            "dims": ((300,), (200, 600), (1000,)),
            **DIFFUSION_SPACE,
        },
    )
)


@dataclass(frozen=True)
class SmoothingConfig(CorruptionConfig):
    """Corruption by smoothing on the item graph, and its denoiser."""

    name: ClassVar[str] = "smoothing"

    T: Steps = 3
    """Steps."""
    a: NonNegative = 1.5
    """Strength of smoothing at step T: with 1, x_T is the smoothed history."""
    rho: Annotated[float, between(0, 1)] = 0.5
    """Share of the difference between x_t and its prediction that a step back keeps."""
    rank: Size = 128
    """Number of the graph's eigenvectors that smoothing uses."""
    dim: Size = 200
    """Size of an item's embedding."""
    dropout: Rate = 0.5
    """Dropout on the history that the denoiser reads in training."""
    kept_weight: Annotated[float, between(0, 1)] = 0.5
    """Weight of the loss at interactions that dropout kept; all others have 1. A lower weight
    rewards copying the history less."""
    confidence: Positive = 1.0
    """Weight of the loss at interactions; a missing one has weight 1."""
    reads_z: bool = True
    """Whether the denoiser reads x_t as well as the history."""
    adds_smooth: bool = True
    """Whether the smoothed history is added to the scores."""
    bias: bool = True
    """Whether items have a bias."""
    loss_form: LossForm = "auto"
    """How losses are computed: from the ``scores`` of all items, or ``compact``, without them, by
    the same mathematics. ``auto``: whatever is cheaper, which depends on the batch."""

    def __post_init__(self) -> None:
        """Check every field and name the one that is wrong."""
        super().__post_init__()
        counts = self.dropout > 0 or self.kept_weight > 0
        check(counts, "kept_weight", self.kept_weight, "above 0 without dropout")


def _auto_smoothing(temporal: bool, users: int, interactions_each: float) -> FitConfig:
    """Return settings that do well without tuning.

    Chosen on valid Recall@20 of MovieLens-1M (clean and noisy) and its raw half, MovieLens-100k
    and sample logs by the rule in ``examples/reproduce``, whose ``smoothing.csv`` has the trials.
    Patience is longer than elsewhere, since valid Recall@20 falls before it reaches its best.

    The fewer interactions users have, the more copying them is rewarded, so those that the denoiser
    reads weigh less. With many, ``t`` does best with weight decay and nearly equal weights of a
    user's interactions, and ``base`` without a bias.

    With many users batches and the learning rate are larger, see ``examples/reproduce/large.csv``.
    """
    training = TrainingConfig(
        lr=1e-3, batch_size=batch_size(users, updates=60), ema_decay=0.99, patience=30
    )
    if users >= MANY:
        training = replace(training, lr=4e-3, **_IN_LARGE_BATCHES)
    config = FitConfig(training=training, corruption=SmoothingConfig())
    if interactions_each < SPARSE:
        return config.with_values({"kept_weight": 0.0, "adds_smooth": False})
    if interactions_each < DENSE:
        return config
    if not temporal:
        return config.with_values({"bias": False})
    config = replace(config, temporal=TemporalConfig(w_min=0.3))
    return config.with_values({"weight_decay": 0.5})


register(
    Corruption(
        SmoothingConfig.name,
        SmoothingConfig,
        corruption=Code(".diffusion.smoothing:Smoothing"),
        denoiser=Code(".models.graph_denoiser:GraphDenoiser.of"),
        scorer=Code(".models.graph_denoiser_inference:GraphDenoiserScorer"),
        auto=_auto_smoothing,
        space={
            "lr": (3e-4, 1e-3, 3e-3),
            "dropout": (0.1, 0.3, 0.5, 0.7),
            "dim": (64, 128, 200, 400),
            "kept_weight": (0.5, 1.0),
            "weight_decay": (0.0, 0.2, 0.5),
            "a": (1.0, 1.5, 2.0),
            "T": (1, 2, 3),
        },
    )
)
