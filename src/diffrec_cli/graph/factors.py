"""Factors of items that restore masked interactions: a diffusion that is fitted in closed steps.

The corruption masks a random share of a user's interactions, as absorbing states do in D3PM (Austin
et al., NeurIPS 2021), here at one share. The denoiser reads what is kept, S, as iALS does (Hu et
al., ICDM 2008): it predicts ``V h`` for the h of least

    sum_{i in S} (1 - v_i h)^2 + alpha_0 |V h|^2 + lambda |h|^2.

A sweep masks, solves every user's h from what is kept, and then every item's row of V from the h
of its users, who count fully where the item was masked. iALS is the case without masks.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.graph.blas import one_thread_each
from diffrec_cli.launch import cores

Array = NDArray[np.float32]

_GROUP_BYTES = 2**25  # of factors that are gathered together
_INITIAL = 0.1  # norm of the factors that the first sweep reads


def masked_factors(
    x: Any,
    rank: int,
    *,
    alpha_0: float,
    lambda_: float,
    mask: float,
    kept_weight: float,
    sweeps: int,
    seed: int | list[int],
) -> tuple[Array, Array]:
    """Return V (items, rank) and P (rank, rank), which :func:`user_factors` reads.

    Parameters
    ----------
    x
        (users, items) CSR matrix of the training histories: float32 strengths, which are weights.
    rank
        Number of factors.
    alpha_0
        Weight of each item as a missing interaction.
    lambda_
        Weight of the penalty, of users and items.
    mask
        Share of the interactions that is masked.
    kept_weight
        Weight, in an item's own solution, of interactions that were not masked.
    sweeps
        How often all are solved.
    seed
        Of the masks and the first factors.
    """
    random = np.random.default_rng(seed)
    V = random.standard_normal((x.shape[1], rank), np.float32) * np.float32(_INITIAL / rank**0.5)
    by_item = x.T.tocsr()
    for _ in range(sweeps):
        masked = random.random(x.nnz) < mask
        kept = _entries(x, ~masked)
        P = inverse(V, alpha_0, lambda_)
        H = user_factors(kept.indptr, kept.indices, kept.data, V, P)
        weights = x.data * np.where(masked, np.float32(1.0), np.float32(kept_weight))
        weights = _transposed(x, weights)
        V = _solved(by_item.indptr, by_item.indices, weights, H, inverse(H, alpha_0, lambda_))
    return V, inverse(V, alpha_0, lambda_)


def user_factors(
    indptr: NDArray[Any], items: NDArray[Any], strengths: Array, V: Array, P: Array
) -> Array:
    """Return the h of histories, (B, rank); 0 for an empty one.

    Parameters
    ----------
    indptr, items, strengths
        Row boundaries, and the items of each history and their weights.
    V, P
        As :func:`masked_factors` returns them.
    """
    return _solved(indptr, items, strengths, V, P)


def inverse(F: Array, alpha_0: float, lambda_: float) -> Array:
    """Return ``P = (alpha_0 F^T F + lambda I)^-1``, (rank, rank)."""
    matrix = alpha_0 * (F.T @ F).astype(np.float64) + lambda_ * np.eye(F.shape[1])
    return np.linalg.inv(matrix).astype(np.float32)


def factors_memory(n_users: int, n_items: int, rank: int) -> int:
    """Return about how many bytes :func:`masked_factors` takes beside the histories."""
    return 4 * rank * (2 * n_items + 2 * n_users) + 4 * cores() * _GROUP_BYTES


def _solved(
    indptr: NDArray[Any], columns: NDArray[Any], weights: Array, F: Array, P: Array
) -> Array:
    """Return for each row the h of least ``sum_i w_i (1 - f_i h)^2 + h P^-1 h``, (rows, rank).

    With the n entries of a row, ``h = P F^T a`` where ``(F P F^T + diag(1 / w)) a = 1``: a system
    of n numbers instead of rank. Rows with more entries than that solve ``P^-1 + F^T diag(w) F``.
    """
    lengths = np.diff(indptr)
    used, place = np.unique(columns, return_inverse=True)
    F = F[used]
    FP = F @ P
    found = np.zeros((len(lengths), F.shape[1]), np.float32)
    P_inverse = np.linalg.inv(P) if lengths.max(initial=0) > F.shape[1] else P

    def solve(rows: NDArray[np.int64]) -> None:
        entries = indptr[rows][:, None] + np.arange(lengths[rows[0]])
        at, w = place[entries], weights[entries]
        if entries.shape[1] <= F.shape[1]:
            found[rows] = _by_entries(F[at], FP[at], w)
        else:
            found[rows] = _by_factors(F[at], w, P_inverse)

    with one_thread_each(), ThreadPoolExecutor(cores()) as pool:
        list(pool.map(solve, _groups(lengths, F.shape[1])))
    return found


def _by_entries(F: Array, FP: Array, w: Array) -> Array:
    """Return h for F (B, n, rank), ``F P`` and weights (B, n)."""
    K = FP @ F.transpose(0, 2, 1)  # (B, n, n)
    diagonal = np.arange(K.shape[1])
    K[:, diagonal, diagonal] += 1.0 / w
    a = np.linalg.solve(K, np.ones((*w.shape, 1), np.float32))  # (B, n, 1)
    return (a.transpose(0, 2, 1) @ FP)[:, 0]


def _by_factors(F: Array, w: Array, P_inverse: Array) -> Array:
    weighted = (F * w[:, :, None]).transpose(0, 2, 1)  # (B, rank, n)
    right = weighted.sum(axis=2, keepdims=True)
    return np.linalg.solve(weighted @ F + P_inverse, right)[:, :, 0]


def _groups(lengths: NDArray[Any], rank: int) -> Iterator[NDArray[np.int64]]:
    """Yield rows of equal length above 0, as many at a time as fit into the memory of a group."""
    order = np.argsort(lengths, kind="stable")
    first = int(np.searchsorted(lengths[order], 1))
    while first < len(order):
        n = int(lengths[order[first]])
        end = int(np.searchsorted(lengths[order], n + 1))
        size = max(1, _GROUP_BYTES // (4 * n * (rank + n)))
        for start in range(first, end, size):
            yield order[start : min(end, start + size)]
        first = end


def _entries(x: Any, chosen: NDArray[np.bool_]) -> Any:
    """Return the CSR matrix of some of the entries."""
    from scipy.sparse import csr_matrix

    before = np.concatenate([[0], np.cumsum(chosen)])
    return csr_matrix((x.data[chosen], x.indices[chosen], before[x.indptr]), x.shape)


def _transposed(x: Any, values: Array) -> Array:
    """Return the values of entries by row in the order of the transposed matrix's entries."""
    from scipy.sparse import csr_matrix

    data: Array = csr_matrix((values, x.indices, x.indptr), x.shape).T.tocsr().data
    return data
