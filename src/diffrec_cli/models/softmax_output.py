"""The softmax loss of a linear output layer, without the scores of a whole batch.

Scores are made for some rows at a time, and the gradients with them, so memory is rows x items for
those rows alone, and no product is computed twice.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from diffrec_cli.data.sequences import Rows
from diffrec_cli.models.backend import TorchBackend

#: Scores that are in memory at a time, but those of so many rows at least.
_CELLS, _ROWS = 2**21, 256


def softmax_loss(
    h: Tensor, V: Tensor, b: Tensor, targets: Rows, hidden: Rows | None, backend: TorchBackend
) -> Tensor:
    """Return ``-sum_i y_i log softmax(V h + b)_i``, averaged over rows.

    Parameters
    ----------
    h, V, b
        (n, H), (|I|, H) and (|I|,); V and b may be those of some items only.
    targets
        n rows with the y of each, which sum to 1.
    hidden
        n rows of items that cannot be scored, none of them a target; ``None``: there are none.
    """
    targets = backend.own(targets)
    places = _places(targets, V, backend)
    barred = None if hidden is None else _places(backend.own(hidden), V, backend)
    loss: Tensor = _SoftmaxLoss.apply(  # type: ignore[no-untyped-call]
        h, V, b, backend.asarray(targets.values).to(V.dtype), places, barred, backend
    )
    return loss


def _places(rows: Rows, V: Tensor, backend: TorchBackend) -> tuple[Any, Tensor]:
    """Return the boundaries of the rows, and their entries as places in (n, |I|) scores."""
    return rows.indptr, backend.asarray(rows.row_index * len(V) + rows.items)


def rows_at_a_time(n_items: int) -> int:
    """Return the number of rows whose scores are in memory at a time."""
    return max(_ROWS, _CELLS // n_items)


class _SoftmaxLoss(torch.autograd.Function):
    """The loss, whose forward pass computes the gradients too.

    Under autocast the products are in bfloat16, and all sums in float32. Processes with other items
    tell each other the largest score of each row, and the sums.
    """

    @staticmethod
    def forward(
        ctx: Any,
        h: Tensor,
        V: Tensor,
        b: Tensor,
        y: Tensor,
        targets: Any,
        hidden: Any,
        backend: TorchBackend,
    ) -> Tensor:
        n, width = len(h), len(V)
        step = rows_at_a_time(backend.most_items(width))
        of_h, of_V, of_b = torch.empty_like(h), torch.zeros_like(V), torch.zeros_like(b)
        of_targets, normalisers = h.new_zeros(()), h.new_zeros(())
        kind = torch.get_autocast_dtype(h.device.type) if _autocast(h) else h.dtype
        with torch.autocast(h.device.type, enabled=False):
            factors = h.to(kind), V.to(kind)
            for start in range(0, n, step):
                rows = slice(start, min(start + step, n))
                some, first = factors[0][rows], start * width
                scores = (some @ factors[1].T).to(h.dtype).add_(b)
                flat = scores.view(-1)
                if hidden is not None:
                    flat.index_fill_(0, _between(hidden, rows) - first, -torch.inf)
                at = _between(targets, rows) - first
                weight = y[int(targets[0][rows.start]) : int(targets[0][rows.stop])]
                scores.sub_(backend.largest_of_items(scores.amax(1, keepdim=True)))
                of_targets += (weight * flat[at]).sum()
                scores.exp_()
                sums = backend.total(scores.sum(1, keepdim=True))
                normalisers += sums.log().sum()  # as the y of a row sum to 1
                scores.div_(sums)
                flat.index_add_(0, at, -weight)
                of_b += scores.sum(0)
                errors = scores.to(kind)
                of_h[rows] = errors @ factors[1]
                of_V += errors.T @ some
        ctx.save_for_backward(backend.total(of_h), of_V, of_b)
        ctx.n = n
        loss: Tensor = (normalisers - backend.total(of_targets)) / max(1, n)
        return loss

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        scale = gradients[0] / max(1, ctx.n)
        of_h, of_V, of_b = (gradient.mul_(scale) for gradient in ctx.saved_tensors)
        return of_h, of_V, of_b, None, None, None, None


def _between(rows: tuple[Any, Tensor], some: slice) -> Tensor:
    """Return the places of the entries of some rows."""
    indptr, places = rows
    return places[int(indptr[some.start]) : int(indptr[some.stop])]


def _autocast(x: Tensor) -> bool:
    return torch.is_autocast_enabled(x.device.type)
