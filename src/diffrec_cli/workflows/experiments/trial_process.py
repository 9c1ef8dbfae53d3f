"""Trials in a separate process, which may be killed, and whose memory is measured."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

from diffrec_cli.catalogue import Row, all_rows
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.errors import DeviceError, DiffrecError
from diffrec_cli.evaluation.evaluate import Evaluation
from diffrec_cli.system_errors import refusal
from diffrec_cli.training.devices import COMPARING_FIX, memory_errors
from diffrec_cli.workflows.experiments.trials import Task, Trial, measure
from diffrec_cli.workflows.experiments.worker import begin_worker
from diffrec_cli.workflows.progress import Event, Listener

Measured = tuple[Trial, Evaluation | None]


def measure_apart(
    tasks: Sequence[Task],
    dataset: Dataset,
    budget: float | None,
    keep: Callable[[Trial, Evaluation | None], None],
    listener: Listener,
) -> None:
    """Measure tasks one after the other in a fresh process.

    Parameters
    ----------
    tasks
        What to measure.
    dataset
        The data.
    budget
        Seconds after which the running task ends and no other begins; ``None``: no limit. The
        first task always begins.
    keep
        Called with every trial when it ends.
    listener
        Gets training progress.

    Raises
    ------
    DeviceError
        The process was killed: in most cases the system ran out of memory.
    DiffrecError
        Settings, device or memory are at fault.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(
        target=_work, args=(there, list(tasks), dataset, budget, all_rows()), daemon=True
    )
    process.start()
    there.close()
    try:
        while (message := _received(here, process, tasks[0])) is not None:
            if isinstance(message, DiffrecError):
                raise message
            if isinstance(message, tuple):
                keep(*message)
            else:
                listener(message)
    finally:
        process.terminate()
        process.join()
        here.close()


def _received(connection: Connection, process: Any, task: Task) -> Any:
    """Return what a process sends; raise DeviceError if it died, be it in the middle of that."""
    try:
        return connection.recv()
    except (EOFError, OSError):
        process.join()
    killed = process.exitcode is None or process.exitcode < 0
    raise DeviceError(
        f"the process that trained {task.config.variant} died (exit {process.exitcode})",
        f"it probably ran out of memory: {COMPARING_FIX}"
        if killed
        else "this is a bug; its traceback is above",
    )


def _work(
    connection: Connection,
    tasks: list[Task],
    dataset: Dataset,
    budget: float | None,
    catalogue: list[Row],
) -> None:
    """Measure in this process; send events, trials, and None at the end."""
    begin_worker(catalogue)
    started = time.perf_counter()

    def tell(event: Event) -> None:
        connection.send(event)

    try:
        for number, task in enumerate(tasks):
            left = None if budget is None else budget - (time.perf_counter() - started)
            if left is not None and left <= 0 and number:
                break
            with memory_errors(task.device, COMPARING_FIX):
                connection.send(measure(task, dataset, left, tell))
        connection.send(None)
    except DiffrecError as error:
        connection.send(error)
    except Exception as error:
        if (refused := refusal(error)) is None:
            raise
        connection.send(refused)
