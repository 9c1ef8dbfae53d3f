"""DiffRec with smoothing at inference, on NumPy or torch.

All steps are linear and read only E^T x_t, so the reverse process runs on d + r numbers a user
(columns of E and of the graph's eigenvectors). Only the last product is as wide as the catalogue.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Rows
from diffrec_cli.models.backend import Backend
from diffrec_cli.models.diffrec_inference import corruption_of
from diffrec_cli.models.output import Output, OutputLayer

Array = Any  # np.ndarray or torch.Tensor


class GraphDenoiserScorer:
    """Scores items by the x_0 at the end of the reverse process.

    Parameters
    ----------
    config
        The settings that the model was trained with.
    weights
        ``V`` (|I|, d + r), E beside Q; ``b`` (|I|,); ``values`` (r,); ``mix`` (T + 1, 3); ``kappa``
        (1,); ``EV`` (d, d + r) = E^T V; ``bV`` (d + r,) = b^T V.
    backend
        Where to compute.
    """

    def __init__(self, config: FitConfig, weights: Mapping[str, Any], backend: Backend) -> None:
        def load(name: str) -> Array:
            return backend.asarray(weights[name])

        self.backend, self.xp = backend, backend.xp
        self.corruption = corruption_of(config)
        self.V, self.values = load("V"), load("values")
        self.EV, self.bV = backend.summed(load("EV")), backend.summed(load("bV"))
        self.d = int(self.EV.shape[0])
        self.mix = np.asarray(backend.host(load("mix")), np.float64)  # (T + 1, 3)
        self.kappa = float(backend.host(load("kappa"))[0])
        self.output = Output(backend, [OutputLayer(self.V, load("b"), slice(None))])
        self.n_items = self.output.n_items

    def hidden(self, rows: Rows) -> Array:
        """Return the weights of V in the scores, (B, d + r)."""
        own = self.backend.own(rows)
        x = self.backend.summed(self.backend.sparse_product(own, self.V))  # V^T x, (B, d + r)
        history = x[:, : self.d] / self.backend.asarray(lengths(rows))
        low = x[:, self.d :] * self.values  # Q^T A x, (B, r)
        z = self.corruption.start(x[:, : self.d], self._of_smooth(low))  # E^T x_T
        for t in range(self.corruption.T, 0, -1):
            w_z, w_c, w_smooth = self.mix[t].tolist()
            h = w_z / self.kappa * z + w_c * history
            if t > 1:
                p = h @ self.EV + w_smooth * self._smoothed(low) + self.bV  # V^T p
                smooth_p = self._of_smooth(p[:, self.d :] * self.values)  # E^T A p
                z = self.corruption.step_back(p[:, : self.d], z, t, smooth_p)
        return self.xp.concatenate([h, w_smooth * low], 1)

    def scores(self, rows: Rows) -> Array:
        """Return the scores of all items, (B, |I|)."""
        return self.output.all_scores(self.hidden(rows))

    def _of_smooth(self, low: Array) -> Array:
        """Return E^T y of y = Q low, (B, r) -> (B, d)."""
        return low @ self.EV[:, self.d :].T

    def _smoothed(self, low: Array) -> Array:
        """Return V^T y of y = Q low, (B, r) -> (B, d + r): Q's columns are orthonormal."""
        return self.xp.concatenate([self._of_smooth(low), low], 1)


def lengths(rows: Rows) -> NDArray[np.float32]:
    """Return the sum of the values of each row, at least 1, (B, 1)."""
    sums = np.bincount(rows.row_index, rows.values, len(rows))
    return np.maximum(sums, 1.0).astype(np.float32)[:, None]
