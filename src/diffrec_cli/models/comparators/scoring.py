"""Scores of the comparators for given histories, on NumPy or torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.config import Comparator
from diffrec_cli.config.comparators import CDAEConfig, CodigemConfig
from diffrec_cli.data.sequences import Rows
from diffrec_cli.models.backend import Backend
from diffrec_cli.models.comparators.network import Network, normalized
from diffrec_cli.models.output import Head, Output

Array = Any  # np.ndarray or torch.Tensor


class AutoencoderScorer:
    """CDAE, MultiDAE, MultiDAE++, MultiVAE (its mean code) and CODIGEM (its first autoencoder).

    Parameters
    ----------
    comparator, weights, backend
        As in :func:`~diffrec_cli.models.scoring.build_scorer`.
    """

    def __init__(
        self, comparator: Comparator, weights: Mapping[str, Any], backend: Backend
    ) -> None:
        self.backend = backend
        self.network = Network(backend, weights, getattr(comparator, "activation", "tanh"))
        self.normalizes = not isinstance(comparator, CDAEConfig | CodigemConfig)
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
        """Return the vectors of known users, (B, H); a stranger has none."""
        known = self.backend.asarray((rows.users >= 0).astype(np.float32))[:, None]
        return users[self.backend.asarray(np.maximum(rows.users, 0))] * known

    def scores(self, rows: Rows) -> Array:
        """Return the scores of all items, (B, |I|)."""
        return self.output.all_scores(self.hidden(rows))


class FactorScorer:
    """MF, LightGCN and iALS: the product of a user's and an item's vector.

    A user without a trained vector gets the one that explains his history best: the ridge
    regression of ones for his items and zeros for all others, with the weights of
    :class:`FoldIn`, on the vectors of items. With iALS that is everybody's vector.

    Parameters
    ----------
    weights, backend
        As in :func:`~diffrec_cli.models.scoring.build_scorer`.
    fold_in
        How strangers are folded in.
    """

    def __init__(self, weights: Mapping[str, Any], backend: Backend, fold_in: FoldIn) -> None:
        self.backend, self.fold_in = backend, fold_in
        self.users = backend.asarray(weights["user_factors"]) if "user_factors" in weights else None
        V = backend.asarray(weights["item_factors"])
        self.n_items = int(V.shape[0])
        bias = backend.asarray(np.zeros(self.n_items, np.float32))
        self.output = Output(backend, [Head(V, bias, slice(None))])

    @property
    def looks_users_up(self) -> bool:
        """Whether known users have vectors that do not hang on their histories."""
        return self.users is not None

    def hidden(self, rows: Rows) -> Array:
        """Return the vector of each user, (B, d)."""
        if self.users is None:
            return self.backend.asarray(self._folded_in(rows))
        known = rows.users >= 0
        vectors = self.users[self.backend.asarray(np.maximum(rows.users, 0))]  # (B, d)
        if not known.all():
            strangers = np.flatnonzero(~known)
            folded = self._folded_in(rows.take(strangers))
            vectors[self.backend.asarray(strangers)] = self.backend.asarray(folded)
        return vectors

    def _folded_in(self, rows: Rows) -> NDArray[np.float32]:
        """Solve for the vector of each row, (B, d)."""
        V = self._items
        every = self.fold_in.unseen * V.T @ V + self.fold_in.ridge * np.eye(V.shape[1])
        vectors = np.empty((len(rows), V.shape[1]), np.float32)
        for row, (start, stop) in enumerate(pairwise(rows.indptr)):
            own, weight = V[rows.items[start:stop]], self.fold_in.seen * rows.values[start:stop]
            more = (weight - self.fold_in.unseen)[:, None] * own
            vectors[row] = np.linalg.solve(every + own.T @ more, weight @ own)
        return vectors

    @cached_property
    def _items(self) -> NDArray[np.float64]:
        return self.backend.host(self.output.heads[0].V).astype(np.float64)

    def scores(self, rows: Rows) -> Array:
        """Return the products with the vectors of all items, (B, |I|)."""
        return self.output.all_scores(self.hidden(rows))


@dataclass(frozen=True)
class FoldIn:
    """The weights of a ridge regression on the vectors of items.

    Parameters
    ----------
    seen, unseen
        Of an item that the user has, and of one that he has not.
    ridge
        Of the squared vector.
    """

    seen: float = 1.0
    unseen: float = 0.1
    ridge: float = 1.0
