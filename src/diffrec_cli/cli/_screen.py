"""stderr: notes, progress and errors, animated only on a terminal."""

from __future__ import annotations

import os
import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from diffrec_cli.visible import visible

if TYPE_CHECKING:
    from diffrec_cli.workflows.progress import EpochDone, Event, Step

_TRAINING = "training"
_LINE_SECONDS = 10.0  # without a terminal, the least time between lines about epochs


class Screen:
    """Renders a workflow's events; for one thread."""

    def __init__(self) -> None:
        self.quiet = False
        self.plain = False
        self.only_errors = False
        self._console: Any = None
        self._progress: Any = None
        self._task: Any = None
        self._stage = ""
        self._status = ""
        self._last_line = 0.0
        self._epoch_ended: float | None = None
        self._epoch_seconds: float | None = None

    def configure(self, *, quiet: bool, no_color: bool, only_errors: bool = False) -> None:
        """Set what the command line asked for; another process may speak for this one."""
        self.quiet, self.only_errors = quiet or only_errors, only_errors
        self.plain = no_color or bool(os.environ.get("NO_COLOR"))

    @property
    def animated(self) -> bool:
        """Whether stderr may be animated."""
        return sys.stderr.isatty() and not self.plain

    def say(self, text: str) -> None:
        """Print a line, unless quiet."""
        if not self.quiet:
            self._print(text)

    def warn(self, text: str) -> None:
        """Print a line that matters even when quiet."""
        if not self.only_errors:
            self._print(text)

    def error(self, what: str, fix: str) -> None:
        """Print an error: one line of what and where, one line of fix."""
        self._print(f"error: {what}", style="bold red")
        if fix:
            self._print(f"  fix: {fix}")

    def traceback(self, error: BaseException) -> None:
        """Print where an error came from."""
        import traceback

        for line in "".join(traceback.format_exception(error)).rstrip("\n").split("\n"):
            self._print(line)

    def close(self) -> None:
        """Stop the animation."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = self._task = None
            self._stage = ""

    def __call__(self, event: Event) -> None:
        """Show a workflow's event."""
        from diffrec_cli.workflows.progress import EpochDone, Fault, Step

        if isinstance(event, Fault):
            self.warn(event.text)
        elif isinstance(event, EpochDone):
            self._epoch(event)
        elif isinstance(event, Step):
            self._step(event)
        else:
            self.say(event.text)

    def _step(self, step: Step) -> None:
        if self.quiet or not self.animated:
            return
        if step.stage != self._stage:
            self._open(step)
        text = self._status if step.stage == _TRAINING else f"{step.done:,} {step.unit}"
        self._progress.update(self._task, completed=step.done, total=step.total, status=text)
        if step.done == step.total and step.stage != _TRAINING:
            self.close()

    def _open(self, step: Step) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.close()
        self._stage, self._status = step.stage, ""
        columns = [
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=6 if step.stage == _TRAINING else 20),
            TextColumn("{task.fields[status]}", markup=False),
        ]
        if step.stage != _TRAINING:  # its end depends on patience
            columns.append(TimeRemainingColumn(compact=True))
        self._progress = Progress(*columns, console=self._stderr(), transient=True)
        self._task = self._progress.add_task(step.stage, total=step.total, status="")
        self._progress.start()

    def _epoch(self, epoch: EpochDone) -> None:
        self._status = _epoch_status(epoch, self._seconds_an_epoch())
        now = time.monotonic()
        if self._progress is not None:
            description = f"epoch {epoch.epoch}"
            self._progress.update(self._task, description=description, status=self._status)
        elif not self.animated and now - self._last_line >= _LINE_SECONDS:
            self._last_line = now
            self.say(f"epoch {epoch.epoch}: {self._status}")

    def _seconds_an_epoch(self) -> float | None:
        """Return a running mean of the time between epochs; None before the second."""
        now = time.monotonic()
        if self._epoch_ended is not None:
            took = now - self._epoch_ended
            mean = self._epoch_seconds
            self._epoch_seconds = took if mean is None else 0.7 * mean + 0.3 * took
        self._epoch_ended = now
        return self._epoch_seconds

    def _print(self, text: str, style: str | None = None) -> None:
        text = visible(text, sys.stderr.encoding)
        if self.animated:
            from rich.text import Text

            self._stderr().print(Text(text, style=style or ""))
        else:  # no need to load rich
            print(text, file=sys.stderr, flush=True)

    def _stderr(self) -> Any:
        if self._console is None:
            from rich.console import Console

            self._console = Console(stderr=True, highlight=False)
        return self._console


def _epoch_status(epoch: EpochDone, seconds: float | None) -> str:
    """Return loss, metric, speed and time left in some 60 characters."""
    parts = [f"loss {epoch.loss:.4g}"]
    if "recall@20" in epoch.metrics:
        parts.append(f"recall@20 {epoch.metrics['recall@20']:.4f}")
        parts.append("(best)" if epoch.best else f"(best {epoch.best_value:.4f})")
    parts.append(f"{epoch.users_per_second:,.0f} users/s")
    if seconds is not None:  # a better epoch prolongs training
        parts.append(f"{timedelta(seconds=round(epoch.epochs_left * seconds))}+ left")
    return " ".join(parts)
