"""Watching a fit: its events as JSON lines, and in trackers of experiments.

A line is an object with ``schema_version``, ``at`` (UTC, ISO 8601) and ``event``:

- ``note``: ``text``, one line worth knowing;
- ``plan``: ``values``, what was decided, with all settings;
- ``step``: ``stage``, ``done``, ``total`` (null: unknown) and ``unit``, at most one a second;
- ``epoch``: ``epoch``, ``loss``, ``metrics`` of the valid part (empty: not measured), ``best``,
  ``best_value``, ``users_per_second`` and ``epochs_left``;
- ``fitted``, the last one: ``result``, what ``fit --format json`` prints;
- ``failed``, the last one: ``error`` and ``fix``.

Later versions may add keys and events, and raise ``schema_version`` for other changes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TextIO

from diffrec_cli.errors import DiffrecError, MissingExtraError, UsageError
from diffrec_cli.launch import launched
from diffrec_cli.registry.record import finite
from diffrec_cli.visible import visible_json
from diffrec_cli.workflows.progress import EpochDone, Event, Listener, Note, Plan, Step

SCHEMA_VERSION = 1
_STEP_SECONDS = 1.0


class EventStream:
    """A listener that writes a line for each event.

    Parameters
    ----------
    stream
        Where to; each line is flushed.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._next_step = 0.0

    def __call__(self, event: Event) -> None:
        """Write an event."""
        if isinstance(event, Step):
            self._step(event)
        elif isinstance(event, EpochDone):
            self.write("epoch", asdict(event))
        elif isinstance(event, Plan):
            self.write("plan", {"values": event.values})
        else:
            self.write("note", {"text": event.text})

    def _step(self, step: Step) -> None:
        now = time.monotonic()
        if now >= self._next_step or step.done == step.total:
            self._next_step = now + _STEP_SECONDS
            self.write("step", asdict(step))

    def write(self, event: str, values: Mapping[str, Any]) -> None:
        """Write a line."""
        head = {"schema_version": SCHEMA_VERSION, "at": datetime.now(UTC).isoformat()}
        line = finite({**head, "event": event, **values})
        self.stream.write(visible_json(line, self.stream.encoding) + "\n")
        self.stream.flush()


class Tracker(Protocol):
    """Keeps the settings and figures of a fit."""

    def begin(self, name: str, settings: Mapping[str, Any]) -> None:
        """Open a run of this name."""

    def log(self, metrics: Mapping[str, float], epoch: int) -> None:
        """Keep the figures of an epoch."""

    def end(self) -> None:
        """Close the run."""


class TensorBoard:
    """Writes to ``runs/`` in the working directory, as its library does."""

    def __init__(self) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._make = SummaryWriter

    def begin(self, name: str, settings: Mapping[str, Any]) -> None:
        """Open a run, with its settings as text."""
        moment = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S")
        self._writer = self._make(f"runs/{name}-{moment}")
        lines = (f"| {key} | {value} |" for key, value in settings.items())
        self._writer.add_text("settings", "\n".join(["| setting | value |", "|---|---|", *lines]))

    def log(self, metrics: Mapping[str, float], epoch: int) -> None:
        """Keep the figures of an epoch."""
        for key, value in metrics.items():
            self._writer.add_scalar(key, value, epoch)

    def end(self) -> None:
        """Close the run."""
        self._writer.close()


class MLflow:
    """Writes where MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME say."""

    def __init__(self) -> None:
        import mlflow  # type: ignore[import-not-found,unused-ignore]  # an extra

        self._mlflow = mlflow

    def begin(self, name: str, settings: Mapping[str, Any]) -> None:
        """Open a run."""
        self._mlflow.start_run(run_name=name)
        self._mlflow.log_params(dict(settings))

    def log(self, metrics: Mapping[str, float], epoch: int) -> None:
        """Keep the figures of an epoch."""
        self._mlflow.log_metrics(dict(metrics), step=epoch)

    def end(self) -> None:
        """Close the run."""
        self._mlflow.end_run()


class WeightsAndBiases:
    """Writes where WANDB_PROJECT, WANDB_MODE and its other variables say."""

    def __init__(self) -> None:
        import wandb  # type: ignore[import-not-found,unused-ignore]  # an extra

        self._wandb = wandb

    def begin(self, name: str, settings: Mapping[str, Any]) -> None:
        """Open a run."""
        self._run = self._wandb.init(name=name, config=dict(settings))

    def log(self, metrics: Mapping[str, float], epoch: int) -> None:
        """Keep the figures of an epoch."""
        self._run.log(dict(metrics), step=epoch)

    def end(self) -> None:
        """Close the run."""
        self._run.finish()


TRACKERS: dict[str, type[Tracker]] = {
    "tensorboard": TensorBoard,
    "mlflow": MLflow,
    "wandb": WeightsAndBiases,
}


class Watch:
    """A listener that tells another one, a stream of events, and trackers.

    What cannot be written is left out from then on, with a note: it does not end a fit. A reader of
    stdout who is gone does.

    Parameters
    ----------
    listener
        Gets all events, and the notes.
    stream
        Where events are written, if anywhere.
    trackers
        By their names.
    """

    def __init__(
        self, listener: Listener, stream: EventStream | None, trackers: dict[str, Tracker]
    ) -> None:
        self._listener, self._stream = listener, stream
        self._trackers, self._open = trackers, dict[str, Tracker]()

    def __call__(self, event: Event) -> None:
        """Pass an event on."""
        self._listener(event)
        self._write(lambda stream: stream(event))
        if isinstance(event, Plan):  # of a choice every candidate has one: a run each
            self.close()
            for name, tracker in list(self._trackers.items()):
                self._open[name] = tracker
                self._do(name, "begin", event.values["name"], _settings(event.values))
        elif isinstance(event, EpochDone):
            for name in list(self._open):
                self._do(name, "log", _figures(event), event.epoch)

    def ended(self, event: str, values: Mapping[str, Any]) -> None:
        """Write the last line."""
        self._write(lambda stream: stream.write(event, values))

    def close(self) -> None:
        """Close the trackers' runs."""
        for name in list(self._open):
            self._do(name, "end")
        self._open.clear()

    def _write(self, write: Callable[[EventStream], None]) -> None:
        if self._stream is None:
            return
        try:
            write(self._stream)
        except BrokenPipeError:
            raise
        except (OSError, UsageError) as error:  # of a file, of stdout
            self._stream = None
            self._listener(
                Note(f"--log-json ends here: {getattr(error, 'strerror', None) or error}")
            )

    def _do(self, name: str, what: str, *values: Any) -> None:
        try:
            getattr(self._open[name], what)(*values)
        except Exception as error:
            self._listener(Note(f"--track {name} ends here: {error}"))
            self._trackers.pop(name, None)
            self._open.pop(name, None)


@contextmanager
def watched(
    listener: Listener, log_json: str | None, trackers: Sequence[str], stdout: TextIO
) -> Iterator[Watch]:
    """Open what watches a fit; an error within the block is the last line of the stream.

    Of several processes the first one is watched.

    Parameters
    ----------
    listener
        Gets all events.
    log_json
        File to append events to; ``-`` is `stdout`; ``None``: none.
    trackers
        Names, of :data:`TRACKERS`.
    stdout
        Standard output.

    Raises
    ------
    UsageError
        The file cannot be written, a name is unknown, or a tracker's library is not installed.
    """
    if launched()[0] > 0:
        log_json, trackers = None, ()
    tracking = {name: _tracker(name) for name in trackers}
    with ExitStack() as stack:
        stream = None
        if log_json is not None:
            file = stdout if log_json == "-" else stack.enter_context(_appending(log_json))
            stream = EventStream(file)
        watch = Watch(listener, stream, tracking)
        stack.callback(watch.close)
        try:
            yield watch
        except DiffrecError as error:
            watch.ended("failed", {"error": error.what, "fix": error.fix})
            raise


@contextmanager
def _appending(path: str) -> Iterator[TextIO]:
    try:
        file = Path(path).open("a", encoding="utf-8")  # noqa: SIM115  # closed below, quietly
    except OSError as error:
        raise UsageError(
            f"--log-json {path}: {error.strerror or error}", "give a file that can be written"
        ) from error
    try:
        yield file
    finally:
        with suppress(OSError):  # what was not written has been said
            file.close()


def _tracker(name: str) -> Tracker:
    if name not in TRACKERS:
        raise UsageError(f"--track {name}: unknown", f"one of: {', '.join(TRACKERS)}")
    try:
        return TRACKERS[name]()
    except ImportError as error:
        raise MissingExtraError(f"--track {name}", name, name) from error


def _settings(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return a plan's settings by flat names."""
    flat = {key: plan[key] for key in ("variant", "dataset", "preset", "seed", "precision")}
    for group, values in plan["config"].items():
        flat |= {f"{group}.{key}": value for key, value in values.items()}
    return flat


def _figures(epoch: EpochDone) -> dict[str, float]:
    """Return an epoch's figures by names that all trackers allow: MLflow knows no ``@``."""
    valid = {f"valid/{key.replace('@', '_at_')}": value for key, value in epoch.metrics.items()}
    return {"loss": epoch.loss, "users_per_second": epoch.users_per_second, **valid}
