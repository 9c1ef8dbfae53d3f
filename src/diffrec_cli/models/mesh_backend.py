"""Torch on one process of a mesh: items are split over one axis, the users of a batch over another.

Arrays with a row for each item have the rows of this process. Whatever follows from sums over all
items is the same in all processes that share the users, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from diffrec_cli.data.sequences import Rows
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.item_range import ItemRange

Group = dist.ProcessGroup


class MeshBackend(TorchBackend):
    """A :class:`TorchBackend` that joins what processes compute of their items and users.

    Parameters
    ----------
    device
        Of this process.
    items
        The items that it holds.
    across_items, across_users
        The processes that hold other items for the same users, and other users with the same items.
    most_users
        The most users of a batch that a process has.
    wait
        Waits for all processes, however long that takes.
    """

    def __init__(
        self,
        device: str,
        items: ItemRange,
        across_items: Group,
        across_users: Group,
        most_users: int,
        wait: Callable[[], None],
    ) -> None:
        super().__init__(device)
        self.items: ItemRange = items
        self.across_items, self.across_users = across_items, across_users
        self.most_users, self.wait = most_users, wait
        self._alone = TorchBackend(device)

    @property
    def alone(self) -> Any:
        """The backend for arrays whose rows are no items."""
        return self._alone

    def own(self, rows: Rows) -> Rows:
        """Return the rows' entries of this process's items, counted from the first of them."""
        return self.items.own(rows)

    def summed(self, x: Tensor) -> Tensor:
        """Return the sum over all items of a term that each process has of its own items."""
        if self.items.is_whole:
            return x
        found: Tensor = _Summed.apply(x, self.across_items)  # type: ignore[no-untyped-call]
        return found

    def shared(self, h: Tensor) -> Tensor:
        """Return h, which all processes go on to multiply with the weights of their own items."""
        if self.items.is_whole:
            return h
        found: Tensor = _Shared.apply(h, self.across_items)  # type: ignore[no-untyped-call]
        return found

    def total(self, x: Tensor) -> Tensor:
        """Sum over all items without a gradient, in place."""
        if not self.items.is_whole:
            dist.all_reduce(x, group=self.across_items)
        return x

    def largest_of_items(self, x: Tensor) -> Tensor:
        """Take the maximum over all items without a gradient, in place."""
        if not self.items.is_whole:
            dist.all_reduce(x, dist.ReduceOp.MAX, group=self.across_items)
        return x

    def log_sum_exp(self, x: Tensor) -> Tensor:
        """Return log sum exp over all items from those over each process's items, (B,)."""
        if self.items.is_whole:
            return x
        most = self.largest_of_items(x.detach().clone())
        return self.summed((x - most).exp()).log() + most

    def made_once(
        self, make: Callable[[], tuple[Any, ...]], shapes: tuple[tuple[int, ...], ...]
    ) -> tuple[Tensor, ...]:
        """Return float32 arrays of these shapes that the first process makes for all."""
        if dist.get_rank() == 0:
            made = tuple(self.asarray(array) for array in make())
        else:
            made = tuple(torch.empty(shape, device=self.device) for shape in shapes)
        self.wait()
        for array in made:
            dist.broadcast(array, src=0)
        return made

    def most_items(self, items: int) -> int:
        """Return how many items a process has at most."""
        return -(-self.items.n_items // self.across_items.size())

    def of_batch(self, x: Tensor) -> Tensor:
        """Return what all processes have of their users, in the order of the batch.

        Where a process has fewer users than others, zeros follow.
        """
        padded = x.new_zeros(self.most_users)
        if not self.stands_in:
            padded[: len(x)] = x.detach()
        parts = [torch.empty_like(padded) for _ in range(self.across_users.size())]
        dist.all_gather(parts, padded, group=self.across_users)
        return torch.cat(parts)

    def of_all_items(self, array: NDArray[Any]) -> list[NDArray[Any]]:
        """Return what each process has of its items, lowest items first; all of one shape."""
        if self.items.is_whole:
            return [array]
        own = torch.from_numpy(np.ascontiguousarray(array)).to(self.device)
        parts = [torch.empty_like(own) for _ in range(self.across_items.size())]
        dist.all_gather(parts, own, group=self.across_items)
        return [self.host(part) for part in parts]


class _Summed(torch.autograd.Function):
    """The sum over processes. All go on with it alike, so each has its whole gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Group) -> Tensor:
        total = x.detach().to(torch.promote_types(x.dtype, torch.float32), copy=True)
        dist.all_reduce(total, group=group)
        return total.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return gradients[0], None


class _Shared(torch.autograd.Function):
    """The same in all processes, which have a part of its gradient each."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, group: Group) -> Tensor:
        ctx.group = group
        return h.view_as(h)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (g,) = gradients
        total = g.to(torch.promote_types(g.dtype, torch.float32), copy=True)
        dist.all_reduce(total, group=ctx.group)
        return total.to(g.dtype), None
