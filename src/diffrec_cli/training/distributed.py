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
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from diffrec_cli.data.sequences import Sequences
from diffrec_cli.errors import DistributedError, UsageError
from diffrec_cli.launch import launched
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.item_range import ItemRange
from diffrec_cli.models.mesh_backend import MeshBackend
from diffrec_cli.models.scorer import Scorer
from diffrec_cli.models.trainable import Trainable
from diffrec_cli.ranking.batches import Ranked, rank, users_at_a_time

USERS, ITEMS = "users", "items"
#: Seconds without an answer after which a process counts as hung.
TIMEOUT = "DIFFREC_RANK_TIMEOUT"
_DEFAULT_TIMEOUT = 600.0
_PATIENCE = timedelta(days=1)  # for what one process does for all
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
    patient
        All of them, for what takes long in one of them.
    """

    rank: int = 0
    ranks: int = 1
    mesh: DeviceMesh | None = None
    patient: dist.ProcessGroup | None = None

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

    def _group(self, name: str) -> dist.ProcessGroup:
        if self.mesh is None:
            raise ValueError("one process has no group")
        return self.mesh.get_group(name)

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
            self.wait,
        )

    def part(self, users: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the users of a batch that are this process's; there may be none."""
        rank, ranks = self.over_users
        return users[_bounds(len(users), rank, ranks)]

    def ranked(
        self,
        scorer: Scorer,
        history: Sequences,
        k: int,
        *,
        users: NDArray[np.int64],
        seen: Sequences | None = None,
        **options: Any,
    ) -> Iterator[Ranked]:
        """Rank as :func:`~diffrec_cli.ranking.batches.rank` does: batches go round the processes.

        All processes get all lists, which are those of one process.
        """
        if self.over_users[1] == 1:
            yield from rank(scorer, history, k, users=users, seen=seen, **options)
            return
        place, ranks = self.over_users
        step = users_at_a_time(scorer)
        for first in range(0, len(history), step * ranks):
            starts = range(first, min(first + step * ranks, len(history)), step)
            lists = np.full((step, k), -1), np.zeros((step, k), np.float32)
            if place < len(starts):
                own = np.arange(starts[place], min(starts[place] + step, len(history)))
                found = rank(
                    scorer,
                    history.take(own),
                    k,
                    users=users[own],
                    seen=None if seen is None else seen.take(own),
                    **options,
                )
                for batch in found:
                    lists[0][: len(own)], lists[1][: len(own)] = batch.items, batch.scores
            items, scores = (self._of_all_users(array) for array in lists)
            for start, some, values in zip(starts, items, scores, strict=False):
                size = min(step, len(history) - start)
                yield Ranked(start, some[:size], values[:size])

    def _of_all_users(self, array: NDArray[Any]) -> list[NDArray[Any]]:
        own = torch.from_numpy(array).to(self._device)
        parts = [torch.empty_like(own) for _ in range(self.over_users[1])]
        dist.all_gather(parts, own, group=self._group(USERS))
        return [part.cpu().numpy() for part in parts]

    def add_gradients(self, model: Trainable) -> None:
        """Sum the gradients of all processes that have the same items."""
        if self.mesh is None or self.over_users[1] == 1:
            return
        group = self.mesh.get_group(USERS)
        parameters = list(model.parameters())
        learning = torch.tensor([p.grad is not None for p in parameters], device=self._device)
        learning = learning.to(torch.int32)
        dist.all_reduce(learning, dist.ReduceOp.MAX, group=group)
        small, waiting = [], []
        for parameter, learns in zip(parameters, learning.tolist(), strict=True):
            if not learns:  # in no process: a stage of the training leaves it as it is
                continue
            if parameter.grad is None:  # none of its users has a loss
                parameter.grad = torch.zeros_like(parameter)
            if hasattr(parameter, "sparse"):
                _add_rows(parameter.grad, group)
            elif parameter.grad.numel() <= _SMALL:
                small.append(parameter.grad)
            else:
                waiting.append(dist.all_reduce(parameter.grad, group=group, async_op=True))
        _add_together(small, group)
        for work in waiting:
            work.wait()

    def sum_over_users(self, x: Tensor) -> Tensor:
        """Sum what all processes have of their users, in place."""
        if self.mesh is not None:
            dist.all_reduce(x, group=self.mesh.get_group(USERS))
        return x

    def agreed(self, decision: bool) -> bool:
        """Return what the first process decides, so that all do the same."""
        return bool(self.number(decision))

    def number(self, own: int) -> int:
        """Return the number that the first process has."""
        if self.mesh is None:
            return own
        told = torch.tensor([own], device=self._device, dtype=torch.int64)
        dist.broadcast(told, src=0)
        return int(told)

    def told(self, text: str = "") -> str:
        """Return the text that the first process gives; all wait for it, however long it takes."""
        if self.mesh is None:
            return text
        said = text.encode()
        size = torch.tensor([len(said)])
        dist.broadcast(size, src=0, group=self.patient)
        content = torch.zeros(int(size), dtype=torch.uint8)
        if self.first:
            content = torch.frombuffer(bytearray(said), dtype=torch.uint8)
        if len(content):
            dist.broadcast(content, src=0, group=self.patient)
        return bytes(content.numpy()).decode()

    def any(self, own: bool) -> bool:
        """Tell whether it is so in one of the processes; all wait for it, however long it takes."""
        if self.mesh is None:
            return own
        found = torch.tensor([own], dtype=torch.int32)
        dist.all_reduce(found, dist.ReduceOp.MAX, group=self.patient)
        return bool(found)

    def wait(self) -> None:
        """Wait until all have come this far, however long it takes."""
        if self.mesh is not None:
            dist.barrier(group=self.patient)

    @property
    def _device(self) -> str:
        return "cpu" if self.mesh is None else self.mesh.device_type


#: The place of a process that is alone.
ALONE = Processes()


@contextmanager
def connected(device: str) -> Iterator[None]:
    """Connect the processes of the job; errors of the connection become a DistributedError.

    Parameters
    ----------
    device
        Of this process.
    """
    rank, ranks = launched()
    if ranks == 1:
        yield
        return
    name = "nccl" if device.startswith("cuda") else "gloo"
    timeout = timedelta(seconds=_timeout())
    if name == "nccl":
        torch.cuda.set_device(torch.device(device))
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


def _timeout() -> float:
    asked = os.environ.get(TIMEOUT, str(_DEFAULT_TIMEOUT))
    try:
        seconds = float(asked)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds < 1e7:
        raise UsageError(f"{TIMEOUT}={asked}: no number of seconds from 1 on", f"unset {TIMEOUT}")
    return seconds


def arranged(device: str, item_ranks: int = 1) -> Processes:
    """Return this process's place if items are split over so many processes.

    Raises
    ------
    UsageError
        The number of processes is no multiple of it.
    """
    rank, ranks = launched()
    if ranks % item_ranks:
        raise UsageError(
            f"--item-ranks {item_ranks}: {ranks} processes are no multiple of it",
            f"one of: {', '.join(str(n) for n in divisors(ranks))}",
        )
    if ranks == 1:
        return ALONE
    kind = torch.device(device).type
    mesh = init_device_mesh(kind, (ranks // item_ranks, item_ranks), mesh_dim_names=(USERS, ITEMS))
    patient = dist.new_group(backend="gloo", timeout=_PATIENCE)
    return Processes(rank, ranks, mesh, patient)


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


def _add_rows(gradient: Tensor, group: dist.ProcessGroup) -> None:
    """Sum a gradient of which most rows are 0: send the others, if that is less."""
    rows = gradient.abs().amax(dim=1).nonzero()[:, 0]
    most = torch.tensor([len(rows)], device=gradient.device)
    dist.all_reduce(most, dist.ReduceOp.MAX, group=group)
    size, ranks = int(most), group.size()
    if size * ranks >= len(gradient):
        dist.all_reduce(gradient, group=group)
        return
    place = rows.new_zeros(size)  # zeros are added to row 0 for what a process has less
    values = gradient.new_zeros(size, gradient.shape[1])
    place[: len(rows)], values[: len(rows)] = rows, gradient[rows]
    places = [torch.empty_like(place) for _ in range(ranks)]
    parts = [torch.empty_like(values) for _ in range(ranks)]
    dist.all_gather(places, place, group=group)
    dist.all_gather(parts, values, group=group)
    gradient.zero_()
    for of_part, part in zip(places, parts, strict=True):
        gradient.index_add_(0, of_part, part)


def _is_of_connection(error: RuntimeError) -> bool:
    text = str(error).lower()
    signs = ("connection", "timed out", "timeout", "gloo", "nccl", "socket", "peer")
    return isinstance(error, dist.DistError) or any(sign in text for sign in signs)
