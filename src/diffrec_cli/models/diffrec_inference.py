"""DiffRec at inference, in either space (Algorithm 2), on NumPy or torch."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.catalogue import corruption_row
from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Rows
from diffrec_cli.diffusion.corruption import Corruption
from diffrec_cli.diffusion.reverse import shares
from diffrec_cli.models.backend import Backend
from diffrec_cli.models.denoiser_inference import CollapsedDenoiser
from diffrec_cli.models.item_range import ItemRange
from diffrec_cli.models.output import Output, OutputLayer
from diffrec_cli.models.vae import GroupVAE

Array = Any  # np.ndarray or torch.Tensor


def corruption_of(config: FitConfig) -> Corruption:
    """Return the corruption that a variant of DiffRec is trained with."""
    row = corruption_row(config)
    if row.corruption is None:
        raise TypeError(f"the corruption of {config.variant} is not linear")
    corruption: Corruption = row.corruption(config.of_corruption)
    return corruption


class DiffusionScorer:
    """Base of the scorers of both spaces.

    Parameters
    ----------
    config
        The settings that the model was trained with.
    weights
        Its arrays by name.
    backend
        Where to compute.

    Attributes
    ----------
    output
        The layer from ``hidden(rows)`` to scores; ``None`` where they do not depend on it alone.
    """

    n_items: int
    output: Output | None

    def __init__(self, config: FitConfig, weights: Mapping[str, Any], backend: Backend) -> None:
        self.backend = backend
        self.corruption = corruption_of(config)
        if self.corruption.back.shape[1] != 2:
            raise ValueError(f"{config.variant}: a step back needs more than prediction and x_t")
        self.seed = config.training.seed
        self.normalized = config.denoiser.normalize_input
        self.denoiser = CollapsedDenoiser(self._of_denoiser(backend), weights, "denoiser.")
        # Weights of the output bias and of x_T in x_0.
        self.gamma, self.delta = shares(self.corruption.back)[0].tolist()

    def _of_denoiser(self, backend: Backend) -> Backend:
        """Return the backend of the denoiser's arrays."""
        return backend

    def noised(self, x_0: Array, rows: Rows, columns: slice, of: int) -> Array:
        """Return x_{T'}, the start of the reverse process: x_0 itself when T' = 0.

        `columns` are those of x_0, `of` so many.
        """
        if self.corruption.T_prime == 0:
            return x_0
        eps = self.backend.asarray(user_noise(rows, of, self.seed)[:, columns])
        return self.corruption.start(x_0, eps)


class DiffRecScorer(DiffusionScorer):
    """Algorithm 2 in the space of interactions."""

    def __init__(self, config: FitConfig, weights: Mapping[str, Any], backend: Backend) -> None:
        super().__init__(config, weights, backend)
        V, bias = self.denoiser.V, self.gamma * self.denoiser.b_out
        self.n_items = int(V.shape[0])
        self._expansion = Output(backend, [OutputLayer(V, bias, slice(None))])
        # Otherwise the scores depend on x_T too, which is as wide as the catalogue.
        sparse = not (self.normalized or self.delta or self.corruption.T_prime)
        self.output = self._expansion if sparse else None

    def hidden(self, rows: Rows) -> Array:
        """Return the weights of the output layer in x_0, (B, H)."""
        W_in = self.denoiser.W_in
        if self.corruption.T_prime == 0:  # x_T is the sparse history
            product = self.backend.sparse_product(self.backend.own(rows), W_in)
        else:
            product = self._start(rows) @ W_in
        return self.denoiser.reverse(self.corruption.back, self.backend.summed(product))

    def scores(self, rows: Rows) -> Array:
        """Return x_0 of the reverse process, (B, |I|)."""
        if self.normalized:
            return self.denoiser.reverse_normalized(self.corruption, self._start(rows))
        scores = self._expansion.all_scores(self.hidden(rows))
        return scores if self.delta == 0 else scores + self.delta * self._start(rows)

    def _start(self, rows: Rows) -> Array:
        """Return x_T as a dense array, (B, |I|)."""
        part = self.backend.items
        items = ItemRange.whole(self.n_items) if part is None else part
        x_0 = self.backend.dense(self.backend.own(rows), self.n_items)
        return self.noised(x_0, rows, items.columns, items.n_items)


class LatentScorer(DiffusionScorer):
    """Algorithm 2 in the latent space: encode the means, reverse, decode (section 3.5)."""

    def __init__(self, config: FitConfig, weights: Mapping[str, Any], backend: Backend) -> None:
        super().__init__(config, weights, backend)
        self.vae = GroupVAE(backend, np.asarray(weights["of_item"]), weights)
        self.n_items = len(self.vae.groups.of_item)
        self.output: Output = self.vae.output()

    def _of_denoiser(self, backend: Backend) -> Backend:
        """Return the backend of arrays whose rows are coordinates of z."""
        return backend.alone

    def hidden(self, rows: Rows) -> Array:
        """Return z_0 of the reverse process, (B, z)."""
        denoiser, z_0 = self.denoiser, self.vae.encode(rows)[0]
        z_T = self.noised(z_0, rows, slice(None), z_0.shape[1])
        if self.normalized:
            return denoiser.reverse_normalized(self.corruption, z_T)
        g = denoiser.reverse(self.corruption.back, z_T @ denoiser.W_in)
        return g @ denoiser.V.T + self.gamma * denoiser.b_out + self.delta * z_T

    def scores(self, rows: Rows) -> Array:
        """Return the decoder's logits for the reversed latent vector, (B, |I|)."""
        return self.output.all_scores(self.hidden(rows))


def user_noise(rows: Rows, width: int, seed: int) -> NDArray[np.float32]:
    """Return standard normal noise, (B, width), seeded for each user by their items and the seed.

    So equal histories get equal lists, in any batch and on any device.
    """
    noise = np.empty((len(rows), width), np.float32)
    for row, (start, stop) in enumerate(zip(rows.indptr[:-1], rows.indptr[1:], strict=True)):
        key = zlib.crc32(rows.items[start:stop].astype("<i4").tobytes())
        np.random.default_rng([seed, key]).standard_normal(out=noise[row], dtype=np.float32)
    return noise
