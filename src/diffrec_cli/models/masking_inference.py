"""DiffRec with masking at inference, on NumPy or torch.

The whole history is read, nothing is masked but what comes next, and one step restores that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffrec_cli.catalogue.masking import MaskingConfig
from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Rows
from diffrec_cli.diffusion.masking import Masking
from diffrec_cli.models.backend import Backend
from diffrec_cli.models.output import Output, OutputLayer

Array = Any  # np.ndarray or torch.Tensor

_EPSILON = 1e-12


class MaskingScorer:
    """Scores items by how likely they are restored.

    Parameters
    ----------
    config, backend
        As in :func:`~diffrec_cli.models.scorer.build_scorer`.
    weights
        ``E.0``, ``E.1``, ... (|I|, d) for each kernel, ``V`` (|I|, d) and ``b`` (|I|,). With a
        temperature, ``mix`` (K, d) instead of the E, and V has rows of length 1.
    """

    def __init__(self, config: FitConfig, weights: Mapping[str, Any], backend: Backend) -> None:
        self.backend = backend
        self.settings = config.settings(MaskingConfig)
        self.masking = Masking(self.settings)
        self.weights = {name: backend.asarray(array) for name, array in weights.items()}
        V, b = self.weights["V"], self.weights["b"]
        self.output = Output(backend, [OutputLayer(V, b, slice(None))])
        self.n_items = self.output.n_items

    def hidden(self, rows: Rows) -> Array:
        """Return the hidden vector of every history, (B, d)."""
        return hidden(self.settings, self.weights, self.masking.kernels(rows), self.backend)

    def scores(self, rows: Rows) -> Array:
        """Return the scores of all items, (B, |I|)."""
        return self.output.all_scores(self.hidden(rows))


def hidden(
    config: MaskingConfig, weights: Mapping[str, Array], read: list[Rows], backend: Backend
) -> Array:
    """Return hidden vectors, (B, d), from what each kernel reads.

    They are ``tanh(sum_k E_k^T c_k)``; with a temperature
    ``h = sum_k m_k * V^T c_k``, divided by its length and the temperature.
    """
    own = [backend.own(c) for c in read]
    if config.temperature is None:
        sums = [backend.sparse_product(c, weights[f"E.{k}"]) for k, c in enumerate(own)]
        return backend.xp.tanh(backend.summed(sum(sums[1:], sums[0])))
    sums = [backend.sparse_product(c, weights["V"]) for c in own]
    h = (backend.summed(backend.xp.stack(sums)) * weights["mix"][:, None]).sum(0)
    length = ((h * h).sum(1)[:, None] + _EPSILON) ** 0.5  # a state may keep nothing
    return h / (config.temperature * length)
