"""A toy model and a toy corruption as somebody outside the package would add them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from diffrec_cli.catalogue import Code, Corruption, Model, register
from diffrec_cli.config import Comparator, CorruptionConfig, FitConfig, TrainingConfig
from diffrec_cli.data.sequences import Rows
from diffrec_cli.diffusion import corruption
from diffrec_cli.models.backend import Backend

HERE = __name__


# A comparator: its settings, what fits it, what scores.


@dataclass(frozen=True)
class LatestConfig(Comparator):
    """Everyone gets what is most popular, by a power of the counts."""

    model: ClassVar[str] = "toy"
    weighted: ClassVar[bool] = False

    power: float = 1.0


def fit_toy(config: LatestConfig, train: Rows, n_items: int) -> dict[str, np.ndarray]:
    return {"counts": np.bincount(train.items, minlength=n_items) ** config.power}


class ToyScorer:
    def __init__(self, config: FitConfig, weights: Mapping[str, Any], backend: Backend) -> None:
        self.backend, self.counts = backend, np.asarray(weights["counts"], np.float32)
        self.n_items = len(self.counts)

    def scores(self, rows: Rows) -> Any:
        return self.backend.asarray(np.tile(self.counts, (len(rows), 1)))


TOY = Model(
    LatestConfig,
    fit=Code(f"{HERE}:fit_toy"),
    scorer=Code(f"{HERE}:ToyScorer"),
    space={"power": (0.5, 1.0)},
)


# A corruption: its settings and its mathematics; the denoiser is the paper's.


@dataclass(frozen=True)
class FadingConfig(CorruptionConfig):
    """Histories fade: x_t = (1 - t / (T + 1)) x_0, and nothing is drawn."""

    name: ClassVar[str] = "fading"
    groups: ClassVar[tuple[str, ...]] = ("denoiser",)

    T: int = 3


class Fading(corruption.Corruption):
    def __init__(self, config: FadingConfig) -> None:
        left = 1.0 - np.arange(config.T + 1) / (config.T + 1)  # (T + 1,)
        nothing = np.zeros(config.T + 1)
        forward = np.stack([left, nothing], axis=1)
        back = np.stack([np.concatenate([[1.0], left[:-1]]), nothing], axis=1)
        super().__init__(forward, back, np.ones(config.T + 1), T_prime=0)

    def mixed_in(self, x_0: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return torch.zeros_like(x_0)


def auto_fading(temporal: bool, users: int, interactions_each: float) -> FitConfig:
    return FitConfig(training=TrainingConfig(lr=5e-3, batch_size=10), corruption=FadingConfig())


FADING = Corruption(
    FadingConfig.name,
    FadingConfig,
    corruption=Code(f"{HERE}:Fading"),
    denoiser=Code(".models.denoiser:Denoiser.of"),
    scorer=Code(".models.diffrec_inference:DiffRecScorer"),
    auto=auto_fading,
    space={"T": (1, 3)},
)


register(TOY)
register(FADING)
