"""DiffRec and T-DiffRec: diffusion over the interactions themselves."""

from __future__ import annotations

import torch
from torch import Tensor

from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Rows
from diffrec_cli.diffusion.gaussian import Gaussian
from diffrec_cli.diffusion.importance import StepSampler
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.denoiser import Denoiser
from diffrec_cli.models.randomness import normal_like
from diffrec_cli.models.trainable import Draws, Trainable


class DiffRec(Trainable):
    """DiffRec (paper, sections 3.1 and 3.2) while it learns.

    Parameters
    ----------
    config
        Settings; ``config.latent`` plays no part here.
    n_items
        |I|.
    generator
        Source of the initial weights, on the CPU.
    """

    def __init__(self, config: FitConfig, n_items: int, generator: torch.Generator) -> None:
        super().__init__()
        self.n_items = n_items
        self.gaussian = Gaussian(config.diffusion)
        self.denoiser = Denoiser(n_items, config.diffusion.T, config.denoiser, generator)
        self.sampler = StepSampler(
            config.diffusion.T, by_importance=config.diffusion.step_sampling == "importance"
        )

    def loss(self, rows: Rows, backend: TorchBackend, draws: Draws) -> Tensor:
        """Return the mean loss of a batch of users: Algorithm 1, lines 3 to 7."""
        x_0 = backend.dense(rows, self.n_items)  # (B, |I|)
        t, scale = self.sampler.draw(len(rows), draws.device)
        eps = normal_like(x_0, draws.device)
        x_t = self.gaussian.corrupt(x_0, t, eps)
        target = self.gaussian.target(x_0, eps)
        del x_0, eps  # each is as wide as the catalogue
        prediction = self.denoiser(x_t, t, draws.device)
        del x_t
        losses = self.gaussian.losses(prediction, target, t)  # (B,)
        self.sampler.tell(t, losses)
        return (losses * scale).mean()
