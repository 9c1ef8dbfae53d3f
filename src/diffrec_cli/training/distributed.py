"""The processes of one training: users are split over one axis of them, items over another.

They are started by ``torchrun``, which also ends them all when one fails. In one process everything
here does nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from diffrec_cli.errors import DistributedError, UsageError
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.item_range import ItemRange
from diffrec_cli.models.mesh_backend import MeshBackend
from diffrec_cli.models.trainable import Trainable

USERS, ITEMS = "users", "items"
#: Seconds without an answer after which a process counts as hung.
TIMEOUT = "DIFFREC_RANK_TIMEOUT"
_DEFAULT_TIMEOUT = 600.0
_SMALL = 2**16  # numbers of a gradient, up to which it is sent together with others


@dataclass(frozen=True)
class Processes:
    """The place of a process among those of its job.

    Parameters
    ----------
    rank, ranks
        Its number, and how many there are.
    mesh
        All of them, (users, items); ``None``: there is one.
    """

    rank: int = 0
    ranks: int = 1
    mesh: DeviceMesh | None = None

    @property
    def first(self) -> bool:
        """Whether it is the one that publishes and speaks."""
        return self.rank == 0

    @property
    def over_users(self) -> tuple[int, int]:
        """Its place on the axis of users, and the length of that."""
        return self._axis(USERS)

    @property
    def over_items(self) -> tuple[int, int]:
        """Its place on the axis of items, and the length of that."""
        return self._axis(ITEMS)

    def _axis(self, name: str) -> tuple[int, int]:
        if self.mesh is None:
            return 0, 1
        return self.mesh.get_local_rank(name), self.mesh.get_group(name).size()

    def items(self, n_items: int) -> ItemRange:
        """Return the items that this process holds."""
        return ItemRange.part(n_items, *self.over_items)

    def backend(self, device: str, n_items: int, batch_size: int = 0) -> TorchBackend:
        """Return the backend that joins what the processes compute."""
        if self.mesh is None:
            return TorchBackend(device)
        return MeshBackend(
            device,
            self.items(n_items),
            self.mesh.get_group(ITEMS),
            self.mesh.get_group(USERS),
            -(-batch_size // self.over_users[1]),
        )

    def part(self, users: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the users of a batch that are this process's; there may be none."""
        rank, ranks = self.over_users
        return users[_bounds(len(users), rank, ranks)]

    def joined(self, values: NDArray[np.float64], of: int) -> NDArray[np.float64]:
        """Return values of all of so many users, from those of each process's part of them."""
        if self.mesh is None:
            return values
        ranks = self.over_users[1]
        device = self._device
        parts = [
            torch.empty(bounds.stop - bounds.start, dtype=torch.float64)
            for bounds in (_bounds(of, rank, ranks) for rank in range(ranks))
        ]
        most = max(len(part) for part in parts)
        padded = torch.zeros(most, dtype=torch.float64)
        padded[: len(values)] = torch.from_numpy(values)
        found = [torch.empty(most, dtype=torch.float64, device=device) for _ in parts]
        dist.all_gather(found, padded.to(device), group=self.mesh.get_group(USERS))
        return np.concatenate(
            [one[: len(part)].cpu().numpy() for one, part in zip(found, parts, strict=True)]
        )

    def add_gradients(self, model: Trainable) -> None:
        """Sum the gradients of all processes that have the same items."""
        if self.mesh is None or self.over_users[1] == 1:
            return
        group = self.mesh.get_group(USERS)
        gradients = []
        for parameter in model.parameters():
            if parameter.grad is None:  # none of its users has a loss
                parameter.grad = torch.zeros_like(parameter)
            gradients.append(parameter.grad)
        small = [gradient for gradient in gradients if gradient.numel() <= _SMALL]
        waiting = [
            dist.all_reduce(gradient, group=group, async_op=True)
            for gradient in gradients
            if gradient.numel() > _SMALL
        ]
        _add_together(small, group)
        for work in waiting:
            work.wait()

    def sum_over_users(self, x: Tensor) -> Tensor:
        """Sum what all processes have of their users, in place."""
        if self.mesh is not None:
            dist.all_reduce(x, group=self.mesh.get_group(USERS))
        return x

    def agreed(self, value: float) -> float:
        """Return what the first process says, so that all do the same."""
        if self.mesh is None:
            return value
        told = torch.tensor([value], dtype=torch.float64, device=self._device)
        dist.broadcast(told, src=0)
        return float(told)

    def wait(self) -> None:
        """Wait until all have come this far."""
        if self.mesh is not None:
            self.agreed(0.0)

    @property
    def _device(self) -> str:
        return "cpu" if self.mesh is None else self.mesh.device_type


#: The place of a process that is alone.
ALONE = Processes()


def started() -> tuple[int, int]:
    """Return this process's rank and how many there are, as ``torchrun`` says; (0, 1) without."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def connected(device: str) -> Iterator[None]:
    """Connect the processes of the job; errors of the connection become a DistributedError.

    Parameters
    ----------
    device
        Of this process.
    """
    rank, ranks = started()
    if ranks == 1:
        yield
        return
    name = "nccl" if device.startswith("cuda") else "gloo"
    timeout = timedelta(seconds=float(os.environ.get(TIMEOUT, _DEFAULT_TIMEOUT)))
    try:
        dist.init_process_group(name, rank=rank, world_size=ranks, timeout=timeout)
        yield
    except RuntimeError as error:
        if not _is_of_connection(error):
            raise
        raise DistributedError(
            "a process of this job has ended, or does not answer",
            "see its own message; the same command with --resume goes on, with any number of them",
        ) from error
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def arranged(device: str, item_ranks: int) -> Processes:
    """Return this process's place if items are split over so many processes.

    Raises
    ------
    UsageError
        The number of processes is no multiple of it.
    """
    rank, ranks = started()
    if ranks % item_ranks:
        raise UsageError(
            f"--item-ranks {item_ranks}: {ranks} processes are no multiple of it",
            f"one of: {', '.join(str(n) for n in divisors(ranks))}",
        )
    if ranks == 1:
        return ALONE
    kind = torch.device(device).type
    mesh = init_device_mesh(kind, (ranks // item_ranks, item_ranks), mesh_dim_names=(USERS, ITEMS))
    return Processes(rank, ranks, mesh)


def divisors(n: int) -> Sequence[int]:
    """Return the divisors of n, ascending."""
    return [d for d in range(1, n + 1) if n % d == 0]


def _bounds(n: int, rank: int, ranks: int) -> slice:
    return slice(n * rank // ranks, n * (rank + 1) // ranks)


def _add_together(gradients: Sequence[Tensor], group: dist.ProcessGroup) -> None:
    """Sum small gradients in one message."""
    if not gradients:
        return
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat, group=group)
    parts = torch.split(flat, [gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def _is_of_connection(error: RuntimeError) -> bool:
    text = str(error).lower()
    signs = ("connection", "timed out", "timeout", "gloo", "nccl", "socket", "peer")
    return isinstance(error, dist.DistError) or any(sign in text for sign in signs)
