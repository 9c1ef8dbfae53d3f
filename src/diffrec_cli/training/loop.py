"""The training loop of all models: batches of users, AdamW, validation, patience, checkpoints.

All randomness comes from (seed, epoch, update), so a resumed fit gives the result of an undisturbed
one.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffrec_cli.config import TrainingConfig
from diffrec_cli.data.sequences import Rows
from diffrec_cli.diffusion.randomness import Draws
from diffrec_cli.errors import TrainingError
from diffrec_cli.files import write_atomically
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.trainable import Trainable
from diffrec_cli.training.averaging import WeightAverage
from diffrec_cli.training.best import BestEpoch
from diffrec_cli.training.checkpoint import append_line, load_checkpoint, save_checkpoint
from diffrec_cli.training.devices import reused_memory
from diffrec_cli.training.distributed import ALONE, Processes
from diffrec_cli.training.early_stopping import EarlyStopping

SELECTION_METRIC = "recall@20"
_CHECKPOINT_SECONDS = 10.0
_CHECKPOINT_SHARE = 20.0  # checkpoints take at most 1 / 20 of the time


@dataclass(frozen=True, slots=True)
class Epoch:
    """The result of one epoch.

    Parameters
    ----------
    epoch
        From 1.
    loss
        Mean over batches.
    metrics
        Validation metrics; empty where this epoch was not validated.
    best
        Whether it is the best so far.
    best_epoch, best_value
        The best epoch so far (0: none yet), and its Recall@20.
    seconds
        Time of its training, without validation.
    users_per_second
        Training speed.
    """

    epoch: int
    loss: float
    metrics: Mapping[str, float]
    seconds: float
    users_per_second: float
    best: bool = False
    best_epoch: int = 0
    best_value: float = math.nan


@dataclass(frozen=True)
class Trained:
    """The result of training.

    Parameters
    ----------
    weights
        Weights of the chosen epoch, by parameter name.
    epoch, epochs_run
        The chosen epoch (0: none was finished), and how many were run.
    metrics
        Validation metrics of the chosen epoch.
    stopped
        ``patience``, ``epochs``, ``time``, ``diverged``, ``interrupted`` or ``closed form``.
    seconds
        Wall time over all sessions of the run.
    interruption
        The exception that interrupted it, if any.
    """

    weights: dict[str, Tensor]
    epoch: int
    epochs_run: int
    metrics: dict[str, float]
    stopped: str
    seconds: float
    interruption: BaseException | None = None


@dataclass
class _State:
    """What changes from epoch to epoch, besides model and optimiser."""

    stopping: EarlyStopping
    average: WeightAverage
    best: BestEpoch
    epoch: int = 0
    seconds: float = 0.0

    def plain(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "seconds": self.seconds,
            "updates": self.average.updates,
        }


def train(
    model: Trainable,
    rows: Rows,
    config: TrainingConfig,
    *,
    device: str = "cpu",
    precision: str = "fp32",
    validate: Callable[[Trainable], dict[str, float]] | None = None,
    run: Path | None = None,
    resume: bool = False,
    max_seconds: float | None = None,
    processes: Processes = ALONE,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    on_batch: Callable[[int, int], None] = lambda done, total: None,
) -> Trained:
    """Train until patience, epochs or time run out, or until interrupted.

    Parameters
    ----------
    model
        Moved to the device and left there with its last weights.
    rows
        All users' inputs, as NumPy arrays.
    config
        Optimiser, batches and stopping.
    device, precision
        As chosen by :mod:`diffrec_cli.training.devices`.
    validate
        Returns validation metrics; the best ``recall@20`` selects the epoch. ``None`` keeps the
        last epoch.
    run
        Directory for checkpoint and epoch log; ``None`` writes nothing.
    resume
        Whether to continue from the checkpoint in `run`.
    max_seconds
        Stop at the end of the last epoch before this session has run so long, by the time that the
        latest epoch took.
    processes
        Which process this is of several. All must call this; the first one has the weights.
    on_epoch, on_batch
        Called with progress: an :class:`Epoch`; users done and all users.

    Raises
    ------
    TrainingError
        The loss is not finite, or training ended before an epoch could be chosen.
    """
    backend = processes.backend(device, model.n_items, config.batch_size)
    model.to(backend.device)
    optimizer = _optimizer(model, config, backend.device)
    state = _State(
        EarlyStopping(config.patience),
        WeightAverage(model, config.ema_decay),
        BestEpoch(run, model, processes),
    )
    optimizer.register_step_post_hook(lambda *_: state.average.update())
    if resume and run is not None:
        _resume(run, model, optimizer, state, processes)
    loop_began = time.perf_counter()
    earlier = state.seconds
    checkpoints = _Checkpoints(run, processes)
    stopped, interruption = "epochs", None
    try:
        with reused_memory() as reuse:
            # From the first step on: by then all long-lived arrays are allocated.
            optimizer.register_step_post_hook(lambda *_: reuse())
            judging = 0.0  # seconds, of the latest epoch
            while state.epoch < config.epochs:
                epoch, begun = state.epoch + 1, time.perf_counter()
                result = _epoch(
                    model, rows, config, epoch, backend, processes, precision, optimizer, on_batch
                )
                trained = time.perf_counter()
                # Another epoch is begun only if one like this would end in time.
                another = (trained - begun) + judging
                ends = trained - loop_began + judging + another
                late = max_seconds is not None and processes.agreed(ends >= max_seconds)
                last = late or epoch == config.epochs
                result = _judge(model, result, config, state, validate, last)
                judging = time.perf_counter() - trained
                state.epoch, state.seconds = epoch, earlier + time.perf_counter() - loop_began
                if processes.first:
                    _log(run, result)
                on_epoch(result)
                checkpoints.offer(model, optimizer, state, force=late)
                if result.metrics and state.stopping.exhausted(epoch):
                    stopped = "patience"
                    break
                if late:
                    stopped = "time"
                    break
    except TrainingError:
        if state.stopping.best_epoch == 0:
            raise
        stopped = "diverged"
    except KeyboardInterrupt as error:
        stopped, interruption = "interrupted", error
    chosen = None
    # Interrupted processes have stopped at different places: they cannot write together.
    together = interruption is None or processes.ranks == 1
    if validate is None and state.epoch and together:
        state.best.keep(state.epoch, {}, state.average.model.state_dict())
        chosen = state.best.get()
    elif state.stopping.best_epoch:
        chosen = state.best.get()
    if chosen is None and interruption is None:
        raise TrainingError(
            f"training ended ({stopped}) in the warm-up (epoch {state.epoch}): there is no model",
            "give it more time, or use a smaller --set warmup_epochs",
        )
    return Trained(
        weights=chosen.weights if chosen else {},
        epoch=chosen.epoch if chosen else 0,
        epochs_run=state.epoch,
        metrics=chosen.metrics if chosen else {},
        stopped=stopped,
        seconds=earlier + time.perf_counter() - loop_began,
        interruption=interruption,
    )


def _optimizer(
    model: Trainable, config: TrainingConfig, device: torch.device
) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        model.parameter_groups(config.lr),
        lr=config.lr,
        weight_decay=config.weight_decay,
        fused=device.type in ("cpu", "cuda"),  # several times faster
    )


def _epoch(
    model: Trainable,
    rows: Rows,
    config: TrainingConfig,
    epoch: int,
    backend: TorchBackend,
    processes: Processes,
    precision: str,
    optimizer: torch.optim.Optimizer,
    on_batch: Callable[[int, int], None],
) -> Epoch:
    """Train on the users of one epoch."""
    users, lengths = _users(rows, config, epoch), np.diff(rows.indptr)
    model.train()
    model.start_epoch(epoch)
    started = time.perf_counter()
    total = torch.zeros((), device=backend.device)  # summed there, so that no step waits
    updates = math.ceil(len(users) / config.batch_size)
    for i in range(updates):
        batch = users[i * config.batch_size : (i + 1) * config.batch_size]
        own = processes.part(batch)
        share = model.samples(lengths[own]) / max(1, model.samples(lengths[batch]))
        draws = Draws(config.seed, epoch, i, backend.device)
        # All take part, even those that have no user: one stands in, who counts nothing.
        backend.stands_in = len(own) == 0
        with _autocast(backend.device, precision):
            mine = rows.take(own if len(own) else batch[:1])
            loss = share * model.loss(mine, backend, draws)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it so
        processes.add_gradients(model)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)  # here, as gradients are as large as the weights
        total += loss.detach()
        on_batch(min((i + 1) * config.batch_size, len(users)), len(users))
    mean = float(processes.sum_over_users(total)) / max(1, updates)
    seconds = time.perf_counter() - started
    if not math.isfinite(mean):
        raise TrainingError(
            f"the loss of epoch {epoch} is {mean}",
            f"use a smaller learning rate (--set lr={config.lr / 10:g}) or --precision fp32",
        )
    return Epoch(epoch, mean, {}, seconds, len(users) / seconds)


def _users(rows: Rows, config: TrainingConfig, epoch: int) -> NDArray[np.int64]:
    """Return the users of an epoch in the order of training: those with interactions.

    They are all of them in a random order, or the epoch's part of endless passes over them. A part
    depends on the seed and its place alone, so resuming needs no state.
    """
    users = np.flatnonzero(np.diff(rows.indptr) > 0)
    if config.epoch_updates is None or len(users) == 0:
        return np.random.default_rng([config.seed, epoch]).permutation(users)
    size = config.epoch_updates * config.batch_size
    start, stop = (epoch - 1) * size, epoch * size
    first, last = start // len(users), (stop - 1) // len(users)
    passes = [
        np.random.default_rng([config.seed, number]).permutation(users)
        for number in range(first, last + 1)
    ]
    shift = first * len(users)
    return np.concatenate(passes)[start - shift : stop - shift]


def _judge(
    model: Trainable,
    result: Epoch,
    config: TrainingConfig,
    state: _State,
    validate: Callable[[Trainable], dict[str, float]] | None,
    last: bool,
) -> Epoch:
    """Validate the epoch if it is time to, and keep its weights if they are the best."""
    due = last or result.epoch % config.eval_every == 0
    if validate is None or not due or not model.selectable:
        so_far = state.stopping
        return replace(result, best_epoch=so_far.best_epoch, best_value=so_far.best)
    candidate = state.average.model
    candidate.eval()
    with torch.inference_mode():
        metrics = validate(candidate)
    best = state.stopping.better(result.epoch, metrics[SELECTION_METRIC])
    if best:
        state.best.keep(result.epoch, metrics, candidate.state_dict())
    return replace(
        result,
        metrics=metrics,
        best=best,
        best_epoch=state.stopping.best_epoch,
        best_value=state.stopping.best,
    )


def _autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[Any]:
    if precision == "bf16":
        return torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext()


class _Checkpoints:
    """Writes checkpoints, at intervals that depend on their cost."""

    def __init__(self, run: Path | None, processes: Processes) -> None:
        self.run, self.processes = run, processes
        self.next = 0.0

    def offer(
        self, model: Trainable, optimizer: torch.optim.Optimizer, state: _State, *, force: bool
    ) -> None:
        now = time.perf_counter()
        if self.run is None:
            return
        if self.processes.agreed(now < self.next and not force):
            return
        state.best.sync()
        average = state.average.tensors()
        save_checkpoint(self.run, model, optimizer, average, state.plain(), self.processes)
        took = time.perf_counter() - now
        self.next = now + max(_CHECKPOINT_SECONDS, _CHECKPOINT_SHARE * took)


def _resume(
    run: Path,
    model: Trainable,
    optimizer: torch.optim.Optimizer,
    state: _State,
    processes: Processes,
) -> None:
    """Restore model, optimiser and state from the checkpoint; the best epoch may be a later one."""
    plain = load_checkpoint(run, model, optimizer, state.average.tensors())
    state.average.updates = plain["updates"]
    state.epoch, state.seconds = plain["epoch"], plain["seconds"]
    if (best := state.best.figures()) is not None:
        state.stopping.better(best[0], best[1][SELECTION_METRIC])
    log = run / "epochs.jsonl"
    if processes.first and log.exists():  # later epochs will be run and logged again
        lines = log.read_text().splitlines(keepends=True)
        kept = "".join(line for line in lines if _epoch_of(line) <= state.epoch)
        write_atomically(log, kept.encode())


def _epoch_of(line: str) -> float:
    try:
        return float(json.loads(line)["epoch"])
    except (ValueError, KeyError):  # a kill cut the line short
        return math.inf


def _log(run: Path | None, result: Epoch) -> None:
    if run is None:
        return
    append_line(
        run / "epochs.jsonl",
        {
            "epoch": result.epoch,
            "loss": result.loss,
            **result.metrics,
            "best": result.best,
            "seconds": round(result.seconds, 3),
        },
    )
