"""stderr: notes, progress and errors, animated only on a terminal."""

from __future__ import annotations

import os
import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffrec_cli.workflows.events import EpochDone, Event, Step

_LINE_SECONDS = 10.0  # without a terminal, epochs are told no oftener than this


class Screen:
    """Renders a workflow's events. Its methods may be called in any order, from one thread."""

    def __init__(self) -> None:
        self.quiet = False
        self.plain = False
        self._console: Any = None
        self._progress: Any = None
        self._task: Any = None
        self._stage = ""
        self._status = ""
        self._epoch_started = time.monotonic()
        self._last_line = 0.0
        self._best = float("nan")

    def configure(self, *, quiet: bool, no_color: bool) -> None:
        """Set what the command line asked for."""
        self.quiet = quiet
        self.plain = no_color or bool(os.environ.get("NO_COLOR"))

    @property
    def animated(self) -> bool:
        """Whether there is a terminal that may be painted."""
        return sys.stderr.isatty() and not self.plain

    def say(self, text: str) -> None:
        """Print a line, unless quiet."""
        if not self.quiet:
            self._print(text)

    def warn(self, text: str) -> None:
        """Print a line that matters even when quiet."""
        self._print(text)

    def error(self, what: str, fix: str) -> None:
        """Print an error: one line of what and where, one line of fix."""
        self._print(f"error: {what}", style="bold red")
        if fix:
            self._print(f"  fix: {fix}")

    def close(self) -> None:
        """Stop the animation; the last state stays on the screen."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = self._task = None
            self._stage = ""

    def __call__(self, event: Event) -> None:
        """Hear a workflow's event."""
        kind = type(event).__name__
        if kind in ("Note", "Plan"):
            self.say(event.text)  # type: ignore[union-attr]
        elif kind == "EpochDone":
            self._epoch(event)  # type: ignore[arg-type]
        else:
            self._step(event)  # type: ignore[arg-type]

    def _step(self, step: Step) -> None:
        if self.quiet or not self.animated:
            return
        if step.stage != self._stage:
            self._open(step)
        text = self._status if step.stage == "training" else f"{step.done:,} {step.unit}"
        self._progress.update(self._task, completed=step.done, total=step.total, status=text)
        if step.done == step.total and step.stage != "training":
            self.close()

    def _open(self, step: Step) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.close()
        self._stage = step.stage
        columns = [
            TextColumn("{task.description}"),
            BarColumn(bar_width=12),
            TextColumn("{task.fields[status]}"),
        ]
        if step.stage != "training":  # which ends when patience does
            columns.append(TimeRemainingColumn(compact=True))
        self._progress = Progress(*columns, console=self._stderr(), transient=True)
        self._task = self._progress.add_task(step.stage, total=step.total, status="")
        self._progress.start()
        self._epoch_started = time.monotonic()

    def _epoch(self, epoch: EpochDone) -> None:
        now = time.monotonic()
        took, self._epoch_started = now - self._epoch_started, now
        self._status = _epoch_status(epoch, took, self._best)
        if epoch.best:
            self._best = epoch.metrics["recall@20"]
        if self._progress is not None:
            description = f"epoch {epoch.epoch + 1}"
            self._progress.update(self._task, description=description, status=self._status)
        elif not self.animated and now - self._last_line >= _LINE_SECONDS:
            self._last_line = now
            self.say(f"epoch {epoch.epoch}: {self._status}")

    def _print(self, text: str, style: str | None = None) -> None:
        if self.animated:
            from rich.text import Text

            self._stderr().print(Text(text, style=style or ""), soft_wrap=True)
        else:  # no need to load rich
            print(text, file=sys.stderr, flush=True)

    def _stderr(self) -> Any:
        if self._console is None:
            from rich.console import Console

            self._console = Console(stderr=True, highlight=False)
        return self._console


def _epoch_status(epoch: EpochDone, seconds: float, best: float) -> str:
    """Return loss, metric, speed and time left in some 60 characters."""
    parts = [f"loss {epoch.loss:.4g}"]
    if "recall@20" in epoch.metrics:
        value = epoch.metrics["recall@20"]
        parts.append(f"recall@20 {value:.4f}")
        parts.append("(best)" if epoch.best else f"(best {best:.4f})")
    parts.append(f"{epoch.users_per_second:,.0f} users/s")
    left = min(epoch.patience_left, epoch.epochs - epoch.epoch)
    parts.append(f"{timedelta(seconds=round(left * seconds))} left")
    return " ".join(parts)
