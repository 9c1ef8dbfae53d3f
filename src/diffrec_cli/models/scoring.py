"""Scores of all items for given histories: inference of the four variants.

A scorer is anything with ``n_items`` and ``scores(rows) -> (B, |I|)``; ranking
knows no more than that. This module needs no torch unless its backend is torch.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Rows
from diffrec_cli.diffusion.gaussian import Gaussian
from diffrec_cli.models.backend import Backend
from diffrec_cli.models.collapsed import CollapsedDenoiser
from diffrec_cli.models.vae import GroupVAE

Array = Any  # np.ndarray or torch.Tensor


class Scorer(Protocol):
    """What ranking needs of a model."""

    n_items: int

    def scores(self, rows: Rows) -> Array:
        """Return the score of every item for every row, (B, |I|); seen items are not masked."""


def build_scorer(config: FitConfig, weights: Mapping[str, Any], backend: Backend) -> Scorer:
    """Return the scorer of a trained model.

    Parameters
    ----------
    config
        The settings it was trained with.
    weights
        Its arrays by name (NumPy arrays, or live tensors during training).
    backend
        Where to compute.
    """
    if config.latent is None:
        return DiffRecScorer(config, weights, backend)
    return LatentScorer(config, weights, backend)


class DiffusionScorer:
    """What the scorers in either space share.

    Parameters
    ----------
    config
        The settings that the model was trained with.
    weights
        Its arrays by name.
    backend
        Where to compute.
    """

    n_items: int

    def __init__(self, config: FitConfig, weights: Mapping[str, Any], backend: Backend) -> None:
        self.backend = backend
        self.gaussian = Gaussian(config.diffusion)
        self.seed = config.training.seed
        self.normalized = config.denoiser.normalize_input
        self.denoiser = CollapsedDenoiser(backend, weights, "denoiser.")

    def noised(self, x_0: Array, rows: Rows) -> Array:
        """Return x_{T'}, the start of the reverse process: x_0 itself when T' = 0."""
        if self.gaussian.T_prime == 0:
            return x_0
        eps = self.backend.asarray(user_noise(rows, x_0.shape[1], self.seed))
        return self.gaussian.start(x_0, eps)


class DiffRecScorer(DiffusionScorer):
    """Algorithm 2 in the space of interactions."""

    def __init__(self, config: FitConfig, weights: Mapping[str, Any], backend: Backend) -> None:
        super().__init__(config, weights, backend)
        self.n_items = int(self.denoiser.V.shape[0])

    def scores(self, rows: Rows) -> Array:
        """Return x_0 of the reverse process, (B, |I|)."""
        back, W_in = self.gaussian.back, self.denoiser.W_in
        if self.normalized:
            return self.denoiser.reverse_normalized(back, self._start(rows))
        if self.gaussian.T_prime == 0:  # x_T is the sparse history: only its rows of W are read
            x = self.denoiser.reverse(back, self.backend.bag(rows, W_in))
        else:
            x = self.denoiser.reverse(back, self._start(rows) @ W_in)
        scores = self.denoiser.expand(x)
        return scores if x.delta == 0 else scores + x.delta * self._start(rows)

    def _start(self, rows: Rows) -> Array:
        """Return x_T as a dense array, (B, |I|)."""
        return self.noised(self.backend.dense(rows, self.n_items), rows)


class LatentScorer(DiffusionScorer):
    """Algorithm 2 in the latent space: encode the means, reverse, decode (section 3.5)."""

    def __init__(self, config: FitConfig, weights: Mapping[str, Any], backend: Backend) -> None:
        super().__init__(config, weights, backend)
        self.vae = GroupVAE(backend, np.asarray(weights["of_item"]), weights)
        self.n_items = len(self.vae.groups.of_item)

    def scores(self, rows: Rows) -> Array:
        """Return the decoder's logits for the reversed latent vector, (B, |I|)."""
        mean, _ = self.vae.encode(rows)
        z_T = self.noised(mean, rows)
        if self.normalized:
            return self.vae.decode(self.denoiser.reverse_normalized(self.gaussian.back, z_T))
        z = self.denoiser.reverse(self.gaussian.back, z_T @ self.denoiser.W_in)
        return self.vae.decode(self.denoiser.expand(z) + z.delta * z_T)


def user_noise(rows: Rows, width: int, seed: int) -> NDArray[np.float32]:
    """Return standard normal noise, (B, width), drawn for each user from his items and the seed.

    The draw hangs on the history alone, so a known user and the same history
    given by hand get the same list, in any batch and on any device.
    """
    noise = np.empty((len(rows), width), np.float32)
    for row, (start, stop) in enumerate(zip(rows.indptr[:-1], rows.indptr[1:], strict=True)):
        key = zlib.crc32(rows.items[start:stop].astype("<i4").tobytes())
        np.random.default_rng([seed, key]).standard_normal(out=noise[row], dtype=np.float32)
    return noise
