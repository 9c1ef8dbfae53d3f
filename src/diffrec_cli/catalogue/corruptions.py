"""DiffRec's corruptions: their settings, their rows, and what ``auto`` chooses for each.

A corruption is a file in ``diffusion/``, its denoiser in ``models/``, and a row here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from diffrec_cli.catalogue.registered import register
from diffrec_cli.catalogue.rows import Code, Corruption, Space, Values
from diffrec_cli.catalogue.sizes import DENSE, LARGE, SPARSE, batch_size
from diffrec_cli.config import (
    GAUSSIAN,
    CorruptionConfig,
    DiffusionConfig,
    FitConfig,
    TrainingConfig,
)
from diffrec_cli.config.checks import NonNegative, Rate, Size, between, check
from diffrec_cli.config.diffrec import Steps

#: The paper's grid (section 4.1.3), less what its own findings rule out (T' above 0).
DIFFUSION_SPACE: Space = {
    "T": (2, 5, 10, 40, 50, 100),
    "s": (0.0, 1e-5, 1e-4, 5e-3, 1e-2, 1e-1),
    "alpha_min": (5e-4, 1e-3, 5e-3),
    "alpha_max": (5e-3, 1e-2),
}


def _auto_gaussian(temporal: bool, users: int, interactions_each: float) -> FitConfig:
    """Return what does well without tuning, see :func:`~.presets.auto`."""
    large = users >= LARGE
    return FitConfig(
        diffusion=(
            DiffusionConfig(T=10, s=0.5, alpha_min=0.001) if large else DiffusionConfig(s=0.1)
        ),
        training=TrainingConfig(lr=3e-4, batch_size=batch_size(users, updates=60), ema_decay=0.99),
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
    """Corruption by smoothing on the item graph, and the denoiser that goes with it."""

    name: ClassVar[str] = "smoothing"

    T: Steps = 3
    """Steps."""
    a: NonNegative = 1.5
    """How far x_T lies on the way to the smoothed history: 1 is there, above goes beyond."""
    rho: Annotated[float, between(0, 1)] = 0.5
    """Share of what a step back keeps of x_t besides the prediction."""
    rank: Size = 128
    """Eigenvectors of the graph that smoothing reads."""
    dim: Size = 200
    """Size of an item's embedding."""
    dropout: Rate = 0.5
    """Dropout on the history that the denoiser reads in training."""
    kept_weight: Annotated[float, between(0, 1)] = 0.5
    """Weight of the errors where dropout left an interaction, 1 being that of all others: the less,
    the less pays copying."""
    reads_z: bool = True
    """Whether the denoiser reads x_t; without it, the history alone."""
    adds_smooth: bool = True
    """Whether the smoothed history is added behind the item product."""
    bias: bool = True
    """Whether an item has a bias: what everybody is recommended, whatever the history."""

    def __post_init__(self) -> None:
        """Check every field and name the one that is wrong."""
        super().__post_init__()
        counts = self.dropout > 0 or self.kept_weight > 0
        check(counts, "kept_weight", self.kept_weight, "above 0 without dropout")


# What smoothing changes from DENSE on, without and with weights by order.
_SMOOTHING_DENSE: dict[bool, Values] = {
    False: {"kept_weight": 1.0, "bias": False},
    True: {"weight_decay": 0.5},
}


def _auto_smoothing(temporal: bool, users: int, interactions_each: float) -> FitConfig:
    """Return what does well without tuning.

    Chosen on valid Recall@20 over MovieLens-1M (clean and noisy), MovieLens-100k and sample logs
    (``examples/reproduce/smoothing.csv``), and where these agree with several, on the tail of
    train of MovieLens-1M. The valid curve has a hump before its best, so patience is longer than
    elsewhere.

    The fewer interactions a user has, the better copying them fits and the worse it serves: so
    those that the denoiser was shown count less. Where there are many, the embeddings of ``t``
    go on growing after they serve best, and ``base`` needs no bias.
    """
    config = FitConfig(
        training=TrainingConfig(
            lr=1e-3, batch_size=batch_size(users, updates=60), ema_decay=0.99, patience=30
        ),
        corruption=SmoothingConfig(),
    )
    if interactions_each < SPARSE:
        return config.with_values({"kept_weight": 0.0, "adds_smooth": False})
    if interactions_each < DENSE:
        return config
    return config.with_values(_SMOOTHING_DENSE[temporal])


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
        hint="smoothing ranks better than noise on most logs: try --corruption smoothing",
        hint_from=SPARSE,
    )
)
