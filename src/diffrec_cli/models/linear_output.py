"""Losses of a linear output, h V^T + b, without the scores of the whole catalogue.

The squared error of a sparse history x is, exactly,

    |x - (h V^T + b)|^2 = |x|^2 - 2 (x V) h^T - 2 x b + h (V^T V) h^T + 2 h (V^T b) + |b|^2

Only ``V^T V`` and its gradient read all of V: two products of |I| H^2 a batch, whatever its size.
From the scores it takes three of B |I| H, and several arrays of B |I|. A sparse part s of the
output adds nothing to this: it is the error of the sparse x - s.

The normaliser of a softmax has no such form. It is computed for a block of items at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diffrec_cli.data.sequences import Rows
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.likelihood import wide
from diffrec_cli.models.output import Output

#: Multiply-adds that take as long as the passes over an array of scores: for a user and an item.
PASSES = 1000
_HIDDEN_ARRAYS = 12
_ROWS = 8192  # rows of V in a product; in bfloat16 their products are summed in float32
_ENTRIES = 4096  # entries whose rows of V are copied at a time
_MANY_SCORES = 2**25  # scores of a batch from which blocks of them are faster
_SCORES = 2**20  # scores in a block of the softmax: they stay in the cache


def is_compact(form: str, *, users: int, of_user: int, of_batch: int) -> bool:
    """Return whether to compute a squared error without the scores of all items.

    Parameters
    ----------
    form
        ``scores``, ``compact``, or ``auto``: whatever is cheaper.
    users
        Users in a batch.
    of_user, of_batch
        Multiply-adds for each item: for each user from the scores, and for a batch without them.
    """
    return form == "compact" or (form == "auto" and of_batch < users * (of_user + PASSES))


def is_in_blocks(form: str, scores: int) -> bool:
    """Return whether to compute a softmax in blocks of items, for so many scores in a batch.

    Their gradient multiplies once more, so this saves memory, and time with many scores alone.
    """
    return form == "compact" or (form == "auto" and scores >= _MANY_SCORES)


def compact_bytes(users: int, n_items: int, width: int) -> int:
    """Return about how much memory a compact loss takes, for a table of `width` columns.

    These are parts of its gradient, and some arrays of hidden vectors.
    """
    return 4 * width * (2 * n_items + _HIDDEN_ARRAYS * users)


def squared_errors(
    x: Rows,
    own: Rows,
    xV: Tensor,
    h: Tensor,
    VV: Tensor,
    bV: Tensor,
    b: Tensor,
    backend: TorchBackend,
) -> Tensor:
    """Return ``|x - (h V^T + b)|^2`` of each user, (B,), from products with V.

    Parameters
    ----------
    x
        B histories, or anything as sparse, with each item once at most.
    own
        Their entries of the items of b.
    xV, h
        (B, H).
    VV, bV
        (H, H) and (H,), the sums over all items of :func:`own_products`.
    b
        (|I|,).
    """
    squares = np.bincount(x.row_index, x.values.astype(np.float64) ** 2, len(x))
    with _full_precision(h):
        h, xV = wide(h), wide(xV)
        of_scores = ((h @ VV + 2.0 * bV) * h).sum(dim=1) + backend.summed(b.square().sum())
        of_b = backend.summed(backend.sparse_product(own, b[:, None])[:, 0])
        at_x = (xV * h).sum(dim=1) + of_b
        of_x: Tensor = backend.asarray(squares.astype(x.values.dtype))
        errors: Tensor = of_x - 2.0 * at_x + of_scores
    return errors


def own_products(V: Tensor, b: Tensor, Q: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return ``[V, Q]^T V``, (H + F, H), and ``b [V, Q]``, (H + F,).

    Under autocast the products are in bfloat16, and their sums in float32.

    Parameters
    ----------
    V, b
        (|I|, H) and (|I|,).
    Q
        (|I|, F), a constant.
    """
    found: tuple[Tensor, Tensor] = _OwnProducts.apply(V, b, Q, _product_type(V))  # type: ignore[no-untyped-call]
    return found


def scores_at(h: Tensor, V: Tensor, rows: Rows, backend: TorchBackend) -> Tensor:
    """Return ``h V^T`` at the entries of the rows, (nnz,), for h (B, H) and V (|I|, H)."""
    items, users = backend.asarray(rows.items), backend.asarray(rows.row_index)
    found: Tensor = _ScoresAt.apply(wide(h), V, items, users)  # type: ignore[no-untyped-call]
    return found


def multinomial(output: Output, h: Tensor, x: Rows, backend: TorchBackend) -> Tensor:
    """Return ``-sum_i x_i log softmax(scores)_i``, averaged over users.

    Parameters
    ----------
    output
        The last layers, from h (B, H) to the scores of all items.
    h
        (B, H).
    x
        B histories.
    backend
        Joins the parts of the items.
    """
    at_x, parts, first = h.new_zeros(()), [], 0
    h, own = backend.shared(h), backend.own(x)
    columns = output.columns_of(own.items.astype(np.int64))
    for layer in output.layers:
        last = first + len(layer.b)
        mine = (columns >= first) & (columns < last)
        places = replace(own, items=(columns - first).astype(np.int32)).keep(mine)
        read = wide(h[:, layer.reads])
        with _full_precision(h):
            at_x = at_x + (backend.sparse_product(places, layer.V) * read).sum()
            at_x = at_x + backend.sparse_product(places, layer.b[:, None]).sum()
        parts.append(log_normalisers(read, layer.V, layer.b))
        first = last
    normalisers = backend.log_sum_exp(torch.logsumexp(torch.stack(parts), dim=0))  # (B,)
    lengths = np.bincount(x.row_index, x.values, len(x)).astype(x.values.dtype)
    of_x: Tensor = (backend.asarray(lengths) * normalisers).sum()
    found: Tensor = (of_x - backend.summed(at_x)) / len(x)
    return found


def log_normalisers(h: Tensor, V: Tensor, b: Tensor) -> Tensor:
    """Return ``log sum_i exp(h V^T + b)_i``, (B,), for h (B, H), V (|I|, H) and b (|I|,)."""
    if len(V) == 0:  # a process may have no item of a group
        return h.new_full((len(h),), -torch.inf)
    found: Tensor = _LogNormalisers.apply(h, V, b, _product_type(V))  # type: ignore[no-untyped-call]
    return found


class _OwnProducts(torch.autograd.Function):
    """Products of V and b with V. Their gradient is one product, where autograd takes three."""

    @staticmethod
    def forward(
        ctx: Any, V: Tensor, b: Tensor, Q: Tensor | None, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(V, b, Q)
        ctx.dtype = dtype
        H, F = V.shape[1], 0 if Q is None else Q.shape[1]
        VV = V.new_zeros(H + F, H)
        with _full_precision(V):
            bV = b @ V if Q is None else torch.cat([b @ V, b @ Q])
            for some in _blocks(len(V), _ROWS):
                right = V[some].to(dtype)
                _add_product(VV[:H], right.T, right)
                if Q is not None:
                    _add_product(VV[H:], Q[some].to(dtype).T, right)
        return VV, bV

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        V, b, Q = ctx.saved_tensors
        of_VV, of_bV = gradients  # (H + F, H), (H + F,)
        H, dtype = V.shape[1], ctx.dtype
        of_own, of_fixed = (of_VV[:H] + of_VV[:H].T).to(dtype), of_VV[H:].to(dtype)
        of_V, of_b = torch.empty_like(V), V @ of_bV[:H]
        for some in _blocks(len(V), _ROWS):
            torch.outer(b[some], of_bV[:H], out=of_V[some])
            _add_product(of_V[some], V[some].to(dtype), of_own)
            if Q is not None:
                _add_product(of_V[some], Q[some].to(dtype), of_fixed)
        return of_V, of_b if Q is None else of_b.addmv_(Q, of_bV[H:]), None, None


class _ScoresAt(torch.autograd.Function):
    """Entries of h V^T. Autograd would keep a row of h and one of V for each entry."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, V: Tensor, items: Tensor, users: Tensor) -> Tensor:
        ctx.save_for_backward(h, V, items, users)
        found = h.new_empty(len(items))
        for some in _blocks(len(items), _ENTRIES):
            left, right = h.index_select(0, users[some]), V.index_select(0, items[some])
            torch.linalg.vecdot(left, right, out=found[some])
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        h, V, items, users = ctx.saved_tensors
        (g,) = gradients  # (nnz,)
        of_h = torch.zeros_like(h)
        of_V = torch.zeros_like(V) if ctx.needs_input_grad[1] else None
        for some in _blocks(len(items), _ENTRIES):
            user, item, scale = users[some], items[some], g[some, None]
            of_h.index_add_(0, user, V.index_select(0, item).mul_(scale))
            if of_V is not None:
                of_V.index_add_(0, item, h.index_select(0, user).mul_(scale))
        return of_h, of_V, None, None


class _LogNormalisers(torch.autograd.Function):
    """The normalisers of a softmax, block by block; the gradient computes the scores again."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, V: Tensor, b: Tensor, dtype: torch.dtype) -> Tensor:
        parts = []
        with _full_precision(V):
            for some in _blocks(len(V), max(1, _SCORES // len(h))):
                parts.append(torch.logsumexp(_scores(h, V[some], b[some], dtype), dim=1))
            found = torch.logsumexp(torch.stack(parts), dim=0)  # (B,)
        ctx.save_for_backward(h, V, b, found)
        ctx.dtype = dtype
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        h, V, b, found = ctx.saved_tensors
        (g,) = gradients  # (B,)
        dtype = ctx.dtype
        of_h, of_V, of_b = torch.zeros_like(h), torch.empty_like(V), torch.empty_like(b)
        for some in _blocks(len(V), max(1, _SCORES // len(h))):
            p = _scores(h, V[some], b[some], dtype).sub_(found[:, None]).exp_().mul_(g[:, None])
            of_b[some] = p.sum(dim=0)
            p = p.to(dtype)
            of_V[some] = p.T @ h.to(dtype)
            _add_product(of_h, p, V[some].to(dtype))
        return of_h, of_V, of_b, None


def _scores(h: Tensor, V: Tensor, b: Tensor, dtype: torch.dtype) -> Tensor:
    """Return ``h V^T + b`` in the type of b; its product is of this type."""
    if dtype == b.dtype:
        return torch.addmm(b, h, V.T)
    return (h.to(dtype) @ V.to(dtype).T).to(b.dtype).add_(b)


def _add_product(out: Tensor, a: Tensor, b: Tensor) -> None:
    """Add the product a b to `out`, in its type."""
    if a.dtype == out.dtype:
        out.addmm_(a, b)
    else:
        out += a @ b


def _product_type(like: Tensor) -> torch.dtype:
    """Return the type of products: that of autocast where it is on."""
    kind = like.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else like.dtype


def _full_precision(like: Tensor) -> torch.autocast:
    return torch.autocast(like.device.type, enabled=False)


def _blocks(length: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, length)) for start in range(0, length, size))
