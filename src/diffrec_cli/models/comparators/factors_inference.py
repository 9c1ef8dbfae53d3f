"""Matrix factorisations at inference, on NumPy or torch: MF, LightGCN and iALS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Rows
from diffrec_cli.models.backend import Backend
from diffrec_cli.models.output import Output, OutputLayer

Array = Any  # np.ndarray or torch.Tensor


class FactorScorer:
    """MF, LightGCN and iALS: the product of a user's and an item's vector.

    A user without a trained vector gets the one that explains their history best, by ridge
    regression on the vectors of items (see :class:`FoldIn`). With iALS all users do.

    Parameters
    ----------
    weights, backend
        As in :func:`~diffrec_cli.models.scorer.build_scorer`.
    fold_in
        How unseen users are folded in.
    """

    def __init__(self, weights: Mapping[str, Any], backend: Backend, fold_in: FoldIn) -> None:
        self.backend, self.fold_in = backend, fold_in
        self.users = backend.asarray(weights["user_factors"]) if "user_factors" in weights else None
        V = backend.asarray(weights["item_factors"])
        self.n_items = int(V.shape[0])
        bias = backend.asarray(np.zeros(self.n_items, np.float32))
        self.output = Output(backend, [OutputLayer(V, bias, slice(None))])

    @property
    def looks_users_up(self) -> bool:
        """Whether known users have vectors that do not depend on their histories."""
        return self.users is not None

    def hidden(self, rows: Rows) -> Array:
        """Return the vector of each user, (B, d)."""
        if self.users is None:
            return self.backend.asarray(self._folded_in(rows))
        known = rows.users >= 0
        vectors = self.users[self.backend.asarray(np.maximum(rows.users, 0))]  # (B, d)
        if not known.all():
            unseen = np.flatnonzero(~known)
            folded = self._folded_in(rows.take(unseen))
            vectors[self.backend.asarray(unseen)] = self.backend.asarray(folded)
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
        return self.backend.host(self.output.layers[0].V).astype(np.float64)

    def scores(self, rows: Rows) -> Array:
        """Return the products with the vectors of all items, (B, |I|)."""
        return self.output.all_scores(self.hidden(rows))


@dataclass(frozen=True)
class FoldIn:
    """The weights of a ridge regression of 1 for a user's items and 0 for all others.

    Parameters
    ----------
    seen, unseen
        Weight of an item that the user has, and of one that they do not have.
    ridge
        Weight of the squared length of the vector.
    """

    seen: float = 1.0
    unseen: float = 0.1
    ridge: float = 1.0


def trained_factors(
    config: FitConfig, weights: Mapping[str, Any], backend: Backend
) -> FactorScorer:
    """Return the scorer of a model that was trained with a vector for each user."""
    return FactorScorer(weights, backend, FoldIn())
