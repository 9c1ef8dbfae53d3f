"""Trials: one model with one setting, trained, measured and stored.

``comparisons/CONTENT/`` has ``trials.jsonl``, one line a trial, and for each final trial the users'
metrics as ``KEY.npz``. All comparisons of one version of diffrec share them. A line that a kill cut
short is ignored, and a final trial whose metrics are damaged is measured again.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli import __version__
from diffrec_cli.catalogue import Candidate
from diffrec_cli.config import FitConfig
from diffrec_cli.config.options import TRAIN
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.errors import CorruptError
from diffrec_cli.evaluation.evaluate import Evaluation, evaluate
from diffrec_cli.files import atomic_file, sweep_incoming
from diffrec_cli.holds import hold
from diffrec_cli.memory import peak_memory, reset_peak_memory
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.scorer import build_scorer
from diffrec_cli.paths import TRIALS, comparisons_dir
from diffrec_cli.system_errors import unreadable, writing
from diffrec_cli.training.checkpoint import append_line
from diffrec_cli.training.loop import SELECTION_METRIC
from diffrec_cli.workflows.fitting.choosing import choose
from diffrec_cli.workflows.fitting.plan import Job
from diffrec_cli.workflows.fitting.run_directories import discard_runs
from diffrec_cli.workflows.fitting.training import (
    TrainedModel,
    tell_why_it_stopped,
    train_model,
)
from diffrec_cli.workflows.progress import Listener

KS, METRICS = (10, 20), ("recall", "ndcg")
SCHEMA = 3  # trials of other versions are not used


@dataclass(frozen=True)
class Trial:
    """The result of one model with one setting.

    Parameters
    ----------
    key
        Equal for equal computations.
    variant, values
        The model, and settings that differ from its defaults.
    seed
        Seed of training.
    valid, test
        Metrics; only a final trial is measured on the test part.
    fit_seconds, rank_seconds
        Time of training with validation, and of ranking the test users.
    parameters
        Number of trained parameters.
    peak_bytes
        Peak memory of the process, or of a CUDA device; 0 if unknown.
    epoch
        The chosen epoch; 0 for a closed form.
    version
        Version of diffrec; empty if the trial is not stored.
    config
        All settings, with what was chosen and found on valid, as :meth:`FitConfig.to_dict`.
    """

    key: str
    variant: str
    values: Mapping[str, Any]
    seed: int
    valid: Mapping[str, float]
    test: Mapping[str, float]
    fit_seconds: float
    rank_seconds: float
    parameters: int
    peak_bytes: int
    epoch: int
    version: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """A trial to run.

    Parameters
    ----------
    config
        All settings, with the seed.
    values
        Settings that differ from the model's defaults.
    final
        Whether to measure on the test part.
    device, precision
        Where to train, and how precisely.
    history
        What the model reads when it is measured on the test part.
    candidates, choose_seconds
        Models to choose from, with their settings, and the time for it; without any `config` is
        fitted.
    """

    config: FitConfig
    values: Mapping[str, Any]
    final: bool
    device: str
    precision: str
    history: str = TRAIN
    candidates: tuple[tuple[Candidate, FitConfig], ...] = ()
    choose_seconds: float = 0.0

    def job(self, dataset: Dataset, config: FitConfig | None = None) -> Job:
        """Return what is computed on a dataset, with these settings or the task's own."""
        config = config or self.config
        return Job(
            name="trial",
            dataset=dataset,
            config=config,
            preset="auto",
            device=self.device,
            precision=self.precision if config.trains else "fp32",
            trained_on=TRAIN,
            default=False,
        )

    @property
    def key(self) -> str:
        """Equal for equal computations by the same version of diffrec."""
        parts = [SCHEMA, __version__, self.config.to_dict(), self.final, self.precision]
        if self.history != TRAIN:
            parts.append(self.history)
        if self.candidates:
            parts += [[config.to_dict() for _, config in self.candidates], self.choose_seconds]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]


class KeptTrials:
    """The stored trials of one dataset.

    Parameters
    ----------
    dataset
        What they were trained on.

    Attributes
    ----------
    outdated
        Number of stored trials of other versions of diffrec, which are not used.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.directory = comparisons_dir() / dataset.content_hash[:16]
        with writing(self.directory):
            self.directory.mkdir(parents=True, exist_ok=True)
            self._file.touch()  # they are used today, and not removed as old meanwhile
            self._held = hold(self._file)
            sweep_incoming(self.directory)
            kept = _read(self._file)
        self._trials = {trial.key: trial for trial in kept if trial.version == __version__}
        self.outdated = sum(trial.version != __version__ for trial in kept)

    @property
    def _file(self) -> Path:
        return self.directory / TRIALS

    def get(self, task: Task) -> Trial | None:
        """Return the trial of a task if it was measured before, and nothing of it is damaged."""
        trial = self._trials.get(task.key)
        if trial is None or not task.final:
            return trial
        try:
            self.per_user(trial, SELECTION_METRIC)
        except CorruptError:
            return None
        return trial

    def keep(self, trial: Trial, evaluation: Evaluation | None) -> None:
        """Store a trial, and the users' metrics of a final one."""
        if evaluation is not None:
            with writing(self.directory), atomic_file(self._users_file(trial)) as stream:
                np.savez(stream, **evaluation.values)  # type: ignore[arg-type]  # its stub takes a keyword for one of them
        append_line(self._file, asdict(trial))
        self._trials[trial.key] = trial

    def per_user(self, trial: Trial, metric: str) -> NDArray[np.float64]:
        """Return a metric of each user, (users,), of a final trial.

        Raises
        ------
        CorruptError
            The file of the metrics is missing or damaged.
        """
        path = self._users_file(trial)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                values: NDArray[np.float64] = arrays[metric]
        # NumPy and zipfile raise many kinds of errors for damaged files.
        except Exception as error:
            raise unreadable(error, path) or CorruptError(
                f"{path}: the metrics are damaged ({error})", f"remove {self.directory}"
            ) from error
        return values

    def _users_file(self, trial: Trial) -> Path:
        return self.directory / f"{trial.key}.npz"


def measure(
    task: Task, dataset: Dataset, max_seconds: float | None, listener: Listener
) -> tuple[Trial, Evaluation | None]:
    """Train and measure on the valid part, and a final task on the test part."""
    # Models in closed form use main memory, whatever the device.
    measured = task.device if task.config.trains else "cpu"
    reset_peak_memory(measured)
    started = time.perf_counter()
    outcome = _fitted(task, dataset, max_seconds, listener)
    tell_why_it_stopped(outcome.trained, listener)
    learning = time.perf_counter() - started
    evaluation, ranking = None, 0.0
    if task.final:
        scorer = build_scorer(outcome.config, outcome.arrays, TorchBackend(task.device))
        started = time.perf_counter()
        evaluation = evaluate(
            scorer,
            dataset,
            "test",
            ks=KS,
            metrics=METRICS,
            history=task.history,
            temporal=outcome.config.temporal,
        )
        ranking = time.perf_counter() - started
    trial = Trial(
        key=task.key,
        variant=outcome.config.variant,
        values=dict(task.values),
        seed=task.config.seed,
        valid=outcome.trained.metrics,
        test=evaluation.means if evaluation else {},
        fit_seconds=learning,
        rank_seconds=ranking,
        parameters=outcome.parameters,
        peak_bytes=peak_memory(measured),
        epoch=outcome.trained.epoch,
        version=__version__,
        config=outcome.config.to_dict(),
    )
    return trial, evaluation


def _fitted(
    task: Task, dataset: Dataset, max_seconds: float | None, listener: Listener
) -> TrainedModel:
    """Fit the model of a task, or choose one of its candidates."""
    if not task.candidates:
        return train_model(task.job(dataset), max_seconds=max_seconds, listener=listener)
    with ExitStack() as stack:
        chosen = choose(
            [(found, task.job(dataset, config)) for found, config in task.candidates],
            seconds=task.choose_seconds,
            max_seconds=max_seconds,
            any_model=False,
            resume=False,
            listener=listener,
            stack=stack,
        )
        discard_runs(chosen.job, chosen.run)
    return chosen.outcome


def _read(path: Path) -> list[Trial]:
    if not path.exists():
        return []
    trials = []
    for line in path.read_bytes().splitlines():
        try:
            trials.append(Trial(**json.loads(line)))
        except (ValueError, TypeError):  # damaged, cut short by a kill, or of another version
            continue
    return trials
