"""Times measured side by side, and the memory of a process."""

from __future__ import annotations

import gc
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass


@dataclass(frozen=True)
class Times:
    """Seconds of one way of doing something, a value a round."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def over(self, other: Times) -> float:
        """Return how many times as long this took: the median of the ratios of each round."""
        return statistics.median(a / b for a, b in zip(self.seconds, other.seconds, strict=True))


def side_by_side(
    ways: Mapping[str, Callable[[], object]],
    rounds: int,
    around: Callable[[str], AbstractContextManager[object]] = lambda name: nullcontext(),
) -> dict[str, Times]:
    """Time several ways in turn, so that whatever else the machine does hits all alike.

    One round before the others is not counted, nor what `around` does before and after a way.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, way in ways.items():
            gc.collect()
            with around(name):
                started = time.perf_counter()
                way()
                seconds[name].append(time.perf_counter() - started)
    return {name: Times(tuple(values[1:])) for name, values in seconds.items()}


def run_process(command: Sequence[str], env: Mapping[str, str] | None = None) -> tuple[float, int]:
    """Run a command; return its wall time in seconds and its peak memory in bytes.

    Raises
    ------
    RuntimeError
        It failed; the message ends in what it printed.
    """
    started = time.perf_counter()
    with subprocess.Popen(
        command,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        printed = process.stderr.read() if process.stderr else b""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {printed.decode()[-2000:]}")
    unit = 1 if sys.platform == "darwin" else 1024
    return seconds, usage.ru_maxrss * unit
