"""Autoencoders at inference, on NumPy or torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from diffrec_cli.config import Comparator, FitConfig
from diffrec_cli.data.sequences import Rows
from diffrec_cli.models.backend import Backend
from diffrec_cli.models.comparators.network import Network, normalized

Array = Any  # np.ndarray or torch.Tensor


class AutoencoderScorer:
    """CDAE, MultiDAE, MultiDAE++, MultiVAE (its mean code) and CODIGEM (its first autoencoder).

    Parameters
    ----------
    config, weights, backend
        As in :func:`~diffrec_cli.models.scorer.build_scorer`.
    """

    def __init__(self, config: FitConfig, weights: Mapping[str, Any], backend: Backend) -> None:
        comparator = config.settings(Comparator)
        self.backend = backend
        self.network = Network(backend, weights, getattr(comparator, "activation", "tanh"))
        self.normalizes = getattr(comparator, "normalizes", True)
        self.users = backend.asarray(weights["users"]) if "users" in weights else None
        self.output = self.network.output()
        self.n_items = self.output.n_items

    def hidden(self, rows: Rows) -> Array:
        """Return the last hidden layer, (B, H)."""
        network = self.network
        a = network.first(normalized(rows) if self.normalizes else rows)
        if self.users is not None:
            a = a + self._own(self.users, rows)
        code = network.encode(a)
        if code.shape[1] == 2 * network.code:  # a mean and a log-variance
            return network.decode(code[:, : network.code])
        return network.decode(network.activate(code))

    def _own(self, users: Array, rows: Rows) -> Array:
        """Return the vectors of known users, (B, H); an unseen user has none."""
        known = self.backend.asarray((rows.users >= 0).astype(np.float32))[:, None]
        return users[self.backend.asarray(np.maximum(rows.users, 0))] * known

    def scores(self, rows: Rows) -> Array:
        """Return the scores of all items, (B, |I|)."""
        return self.output.all_scores(self.hidden(rows))
