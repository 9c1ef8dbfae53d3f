"""Corruption by masking: its settings and its row."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from diffrec_cli.catalogue.registered import register
from diffrec_cli.catalogue.rows import Code, Corruption
from diffrec_cli.catalogue.sizes import MANY, batch_size
from diffrec_cli.config import CorruptionConfig, FitConfig, TrainingConfig
from diffrec_cli.config.checks import POSITIVE, NonNegative, Rate, Size, check


@dataclass(frozen=True)
class MaskingConfig(CorruptionConfig):
    """Corruption by masking, newest interactions first, and its denoiser."""

    name: ClassVar[str] = "masking"
    weighted: ClassVar[bool] = False

    half_lives: tuple[float, ...] = (1.0, 4.0, 16.0, 64.0)
    """Ages, in interactions, at which an interaction counts half for each kernel of the denoiser.
    None at all: order is not read, and masks are random."""
    dim: Size = 200
    """Size of an item's embedding, in each kernel and in the output."""
    dropout: Rate = 0.3
    """Dropout on what a state keeps, in training."""
    states: Size = 8
    """States of a history that are drawn in an epoch, in the mean; long ones have more."""
    horizon: NonNegative = 3.0
    """How many interactions further into the future a masked one weighs half; 0: the next one
    alone. Without effect on random masks."""
    temperature: Annotated[float | None, POSITIVE] = None
    """If given, scores are cosines of hidden vectors and embeddings, divided by this; kernels and
    output then share the embeddings."""

    def __post_init__(self) -> None:
        """Check every field and name the one that is wrong."""
        super().__post_init__()
        finite = all(math.isfinite(age) and age > 0 for age in self.half_lives)
        check(finite, "half_lives", self.half_lives, "numbers above 0")

    @property
    def reads_order(self) -> bool:
        """Whether it reads the order of a history."""
        return bool(self.half_lives)


def _auto(temporal: bool, users: int, interactions_each: float) -> FitConfig:
    """Return settings that do well without tuning.

    Chosen on valid of MovieLens-1M, its raw first half, MovieLens-100k and a shop's log; random
    masks on four logs without order (``examples/reproduce/masking.csv``). In the order of time a
    model is best after 6 to 30 epochs, and then soon worse.

    With many users smaller embeddings, fewer states and epochs of some updates bound the time of an
    epoch; that was not searched.
    """
    training = TrainingConfig(
        lr=4e-3, batch_size=batch_size(users, updates=60), ema_decay=0.99, patience=6
    )
    corruption = MaskingConfig()
    if not temporal:
        training = replace(training, lr=1e-2, batch_size=256, patience=10)
        corruption = MaskingConfig(half_lives=(), dim=512, states=1, temperature=0.1)
    if users >= MANY:
        training = replace(training, batch_size=256, epoch_updates=60, valid_users=5000)
        corruption = replace(corruption, dim=128, states=min(corruption.states, 4))
    return FitConfig(training=training, corruption=corruption)


register(
    Corruption(
        MaskingConfig.name,
        MaskingConfig,
        build=Code(".models.masking:MaskingDiffRec.of"),
        scorer=Code(".models.masking_inference:MaskingScorer"),
        auto=_auto,
        space={
            "lr": (1e-3, 2e-3, 4e-3),
            "dropout": (0.1, 0.3, 0.5),
            "dim": (100, 200, 400),
            "horizon": (0.0, 1.0, 3.0, 10.0),
        },
    )
)
