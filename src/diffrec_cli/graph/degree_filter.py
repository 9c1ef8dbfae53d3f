"""The degree filter: items of users who share items, each divided by degrees to free powers.

``score = x D_i^(-q_in) X^T D_u^(-2p) X D_i^(-q_out)`` for a history x, with the interactions X and
the degrees D of users and items: two sparse products, and nothing is fitted. With all powers 1/2
it is the linear filter of GF-CF (Shen et al., CIKM 2021). Sparse shops want other powers than
dense services, by far.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.graph.degrees import degrees, power, scaled


@dataclass(frozen=True)
class Exponents:
    """Powers of the degrees.

    Parameters
    ----------
    p
        Half the power by which an active user counts less.
    q_in
        The power by which a popular item of the history counts less.
    q_out
        The power by which a popular item is scored less; it may be below 0.
    """

    p: float
    q_in: float
    q_out: float


_CELLS = 2**25  # of users x rows that are dense at a time
#: Time of a step of a product of two sparse matrices, in steps of one with a dense matrix.
_SPARSE_COST = 14.0
SYMMETRIC = Exponents(0.5, 0.5, 0.5)


class DegreeFilter:
    """The filter of some interactions.

    Parameters
    ----------
    x
        (users, items) CSR matrix X of the interactions.
    exponents
        Powers of the degrees.
    """

    def __init__(self, x: Any, exponents: Exponents) -> None:
        x = x.astype(np.float32)
        users, items = degrees(x)
        self.of_item, self.user_degree = items, float(users.mean()) if len(users) else 0.0
        self.to_users = scaled(x.T.tocsr(), power(items, -exponents.q_in))  # (items, users)
        of_users, of_items = power(users, -2 * exponents.p), power(items, -exponents.q_out)
        self.to_items = scaled(x, of_users, of_items)  # (users, items)

    def scores(self, histories: Any) -> NDArray[np.float32]:
        """Return the scores of histories, (B, items), for a (B, items) CSR matrix."""
        histories = histories.astype(np.float32, copy=False)
        if self._many_paths(histories):
            return self.smoothed(histories.toarray())
        result: NDArray[np.float32] = ((histories @ self.to_users) @ self.to_items).toarray()
        return result

    def _many_paths(self, histories: Any) -> bool:
        """Tell whether so many paths lead from histories to items that dense products are faster.

        On MovieLens-1M these are seven times as fast; on sparse logs they are slower.
        """
        n, n_users = histories.shape[0], self.to_items.shape[0]
        visits = min(float(self.of_item[histories.indices].sum()), n * n_users)
        return bool(_SPARSE_COST * visits * self.user_degree > 2.0 * n * self.to_items.nnz)

    def smoothed(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the filter of dense signals, (B, items) -> (B, items)."""
        result = np.empty(scores.shape, np.float32)
        step = max(1, _CELLS // self.to_items.shape[0])
        for start in range(0, len(scores), step):
            block = slice(start, start + step)
            of_users = self.to_users.T @ scores[block].T  # (users, b)
            result[block] = (self.to_items.T @ of_users).T
        return result
