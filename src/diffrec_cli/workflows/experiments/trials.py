"""Trials: one model with one setting, trained and measured, and kept for good.

Those of comparisons lie in ``comparisons/CONTENT/``: ``trials.jsonl`` with a line a trial, and for
every final one the metrics of each user as ``KEY.npz``. The same version of diffrec never measures
a trial twice, whatever comparison asks for it; another version may give other numbers. A line that
a kill cut short is ignored.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli import __version__
from diffrec_cli.config import FitConfig
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.evaluation.evaluate import Evaluation, evaluate
from diffrec_cli.files import storage_errors
from diffrec_cli.memory import peak_memory, reset_peak_memory
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.scorer import build_scorer
from diffrec_cli.paths import comparisons_dir
from diffrec_cli.training.checkpoint import append_line
from diffrec_cli.workflows.fitting.plan import Job
from diffrec_cli.workflows.fitting.training import train_model
from diffrec_cli.workflows.progress import Listener

KS, METRICS = (10, 20), ("recall", "ndcg")
SCHEMA = 2  # of what a trial is: others are not used


@dataclass(frozen=True)
class Trial:
    """What one model with one setting gave.

    Parameters
    ----------
    key
        Equal for trials that compute the same.
    variant, values
        The model, and what its setting changes of the model's own.
    seed
        Of its training.
    valid, test
        Metrics; only a final trial is measured on the test part.
    fit_seconds, rank_seconds
        Time of training, with its validations, and of ranking the test users.
    parameters
        Numbers that were trained.
    peak_bytes
        Peak memory of the process that did this alone, or on CUDA of the device; 0 where that is
        not known.
    epoch
        The chosen one; 0 of a closed form.
    version
        Of diffrec, which measured it; empty where it was not kept.
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


@dataclass(frozen=True)
class Task:
    """A trial to run.

    Parameters
    ----------
    config
        The whole setting, its seed included.
    values
        What it changes of the model's own.
    final
        Whether it is measured on the test part.
    device, precision
        Where to train, and how precisely.
    """

    config: FitConfig
    values: Mapping[str, Any]
    final: bool
    device: str
    precision: str

    def job(self, dataset: Dataset) -> Job:
        """Return what is computed on a dataset."""
        return Job(
            name="trial",
            dataset=dataset,
            config=self.config,
            preset="auto",
            device=self.device,
            precision=self.precision,
            refit=False,
            default=False,
        )

    @property
    def key(self) -> str:
        """Equal for tasks that compute the same, from the same data, by this version of diffrec."""
        parts = [SCHEMA, __version__, self.config.to_dict(), self.final, self.precision]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]


class KeptTrials:
    """The trials of one dataset that are kept.

    Parameters
    ----------
    dataset
        What they were trained on.

    Attributes
    ----------
    outdated
        How many are kept that another version of diffrec measured; they are not used.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.directory = comparisons_dir() / dataset.content_hash[:16]
        with storage_errors(self.directory):
            self.directory.mkdir(parents=True, exist_ok=True)
            kept = _read(self._file)
        self._trials = {trial.key: trial for trial in kept if trial.version == __version__}
        self.outdated = sum(trial.version != __version__ for trial in kept)

    @property
    def _file(self) -> Path:
        return self.directory / "trials.jsonl"

    def get(self, task: Task) -> Trial | None:
        """Return the trial of a task if it was measured before."""
        return self._trials.get(task.key)

    def keep(self, trial: Trial, evaluation: Evaluation | None) -> None:
        """Keep a trial, and of a final one the metrics of each user."""
        if evaluation is not None:
            with storage_errors(self.directory):
                np.savez(self.directory / f"{trial.key}.npz", **evaluation.values)  # type: ignore[arg-type]  # its stub takes a keyword for one of them
        append_line(self._file, asdict(trial))
        self._trials[trial.key] = trial

    def per_user(self, trial: Trial, metric: str) -> NDArray[np.float64]:
        """Return a metric of each user, (users,), of a final trial."""
        with np.load(self.directory / f"{trial.key}.npz", allow_pickle=False) as arrays:
            values: NDArray[np.float64] = arrays[metric]
        return values


def measure(
    task: Task, dataset: Dataset, max_seconds: float | None, listener: Listener
) -> tuple[Trial, Evaluation | None]:
    """Train and measure: on the valid part, and if the task is final on the test part."""
    job = task.job(dataset)
    # A model without training is fitted in main memory, whatever the device.
    measured = task.device if task.config.trains else "cpu"
    reset_peak_memory(measured)
    started = time.perf_counter()
    outcome = train_model(job, max_seconds=max_seconds, listener=listener)
    learning = time.perf_counter() - started
    evaluation, ranking = None, 0.0
    if task.final:
        scorer = build_scorer(task.config, outcome.arrays, TorchBackend(task.device))
        started = time.perf_counter()
        evaluation = evaluate(
            scorer, dataset, "test", ks=KS, metrics=METRICS, temporal=task.config.temporal
        )
        ranking = time.perf_counter() - started
    trial = Trial(
        key=task.key,
        variant=task.config.variant,
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
    )
    return trial, evaluation


def _read(path: Path) -> list[Trial]:
    if not path.exists():
        return []
    trials = []
    for line in path.read_text("utf-8").splitlines():
        try:
            trials.append(Trial(**json.loads(line)))
        except (ValueError, TypeError):  # cut short by a kill, or of another version
            continue
    return trials
