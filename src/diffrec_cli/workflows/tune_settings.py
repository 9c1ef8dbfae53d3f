"""A guided search for one model's settings (extra ``tune``), resumable and in parallel.

Trials are stored in ``tuning/VARIANT-KEY.journal``, which all processes share. A search with the
same model, data, fixed settings and version of diffrec continues the last one.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import multiprocessing
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from diffrec_cli import __version__
from diffrec_cli.catalogue import (
    Row,
    Space,
    Variant,
    all_rows,
    as_file_name,
    check_own_name,
    space,
    write_own,
)
from diffrec_cli.config import FitConfig
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.errors import (
    DeviceError,
    DiffrecError,
    LockedError,
    MissingExtraError,
    UsageError,
)
from diffrec_cli.memory import available_memory
from diffrec_cli.paths import tuning_dir
from diffrec_cli.system_errors import MORE_MEMORY, refusal, writing
from diffrec_cli.training.devices import choose_device, choose_precision
from diffrec_cli.training.loop import SELECTION_METRIC
from diffrec_cli.workflows.experiments.search import Search, check_effort
from diffrec_cli.workflows.experiments.trials import SCHEMA, measure
from diffrec_cli.workflows.experiments.worker import begin_worker
from diffrec_cli.workflows.fitting.plan import Job, plan
from diffrec_cli.workflows.prepare_data import dataset_of
from diffrec_cli.workflows.progress import EpochDone, Event, Listener, Note, silent

_NOT_BEGUN = ("WAITING", "FAIL")  # FAIL: killed; to be run again
_POLL_SECONDS = 0.5
_UNGUIDED = 5  # trials before the search is guided, and before any is given up early
_PATIENT_EPOCHS = 5  # before a trial may be given up


@dataclass(frozen=True)
class Tuned:
    """The outcome of a search.

    Parameters
    ----------
    variant, dataset
        What was tuned, on what.
    value
        Best valid Recall@20.
    values
        The best settings, as ``--set`` takes them.
    finished, pruned, failed
        Number of trials over all sessions: completed, stopped early, refused.
    preset
        Name of the preset that was written, if any.
    """

    variant: str
    dataset: str
    value: float
    values: Mapping[str, Any]
    finished: int
    pruned: int
    failed: int
    preset: str | None = None

    @property
    def options(self) -> str:
        """The settings as options of ``fit``."""
        return " ".join(f"--set {name}={value}" for name, value in self.values.items())

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "variant": self.variant,
            "dataset": self.dataset,
            "valid_recall@20": self.value,
            "values": dict(self.values),
            "trials": {
                "finished": self.finished,
                "pruned": self.pruned,
                "failed": self.failed,
            },
            "preset": self.preset,
        }


@dataclass(frozen=True)
class _Guided:
    """What a process needs to run trials of a guided search."""

    journal: Path
    search: Search
    config: FitConfig
    deadline: float | None
    threads: int | None


def tune(
    data: str | Path | Sequence[str | Path],
    *,
    variant: str = "base",
    trials: int = 20,
    budget: float | None = None,
    jobs: int = 1,
    values: Mapping[str, Any] | None = None,
    write_preset: str | None = None,
    dataset_name: str | None = None,
    device: str = "auto",
    precision: str = "auto",
    listener: Listener = silent,
) -> Tuned:
    """Search for the settings with the best valid Recall@20.

    Parameters
    ----------
    data, dataset_name
        As in :func:`~diffrec_cli.workflows.fit_model.fit`.
    variant
        Name of the model.
    trials
        Trials in all, with those of earlier sessions.
    budget
        Seconds until the search ends, with its running trials.
    jobs
        Trials at a time; fewer if memory is short.
    values
        Settings to hold fixed.
    write_preset
        Store the best settings under this name, for ``fit --preset``.
    device, precision
        As in :func:`~diffrec_cli.workflows.fit_model.fit`.
    listener
        Gets every trial.

    Raises
    ------
    MissingExtraError
        Optuna is not installed.
    UsageError
        The model is unknown or has no settings, or no trial could be finished.
    """
    _check(variant, trials, budget, jobs)
    _optuna()
    if write_preset is not None:
        check_own_name(write_preset)
    device = choose_device(device)
    dataset = dataset_of(data, name=dataset_name, listener=listener)
    variant = str(Variant.parse(variant))
    search = Search(dataset, trials, budget, device, choose_precision(precision, device))
    config = search.settings(variant, values or {}, lenient=False)
    jobs = _affordable(jobs, search.task(config, {}).job(dataset), listener)
    guided = _Guided(
        journal=_journal(dataset, config),
        search=search,
        config=config,
        deadline=None if budget is None else time.time() + budget,
        threads=max(1, (os.cpu_count() or 1) // jobs) if jobs > 1 else None,
    )
    with writing(guided.journal), _alone(guided.journal):
        _mend(guided.journal, listener)
        _run(guided, jobs, listener)
        tuned = _outcome(guided)
    if write_preset is None:
        return tuned
    write_own(write_preset, variant, tuned.values)
    return replace(tuned, preset=write_preset)


def _check(variant: str, trials: int, budget: float | None, jobs: int) -> None:
    if not space(variant):
        raise UsageError(f"{variant} has no settings to search for", "fit it as it is")
    check_effort(trials, budget, least=1)
    if jobs < 1:
        raise UsageError(f"--jobs {jobs}: at least 1", "for example --jobs 2")


def _affordable(jobs: int, job: Job, listener: Listener) -> int:
    """Return how many such trials fit into memory at a time, at most `jobs`."""
    available = available_memory()
    if jobs == 1 or available is None:
        return jobs
    fitting = max(1, available // int(plan(job)["memory_bytes"]))
    if fitting < jobs:
        listener(Note(f"memory is enough for {fitting} trials at a time"))
    return min(jobs, fitting)


def _journal(dataset: Dataset, config: FitConfig) -> Path:
    directory = tuning_dir()
    with writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
    searched = [SCHEMA, __version__, dataset.content_hash, config.to_dict()]
    key = hashlib.sha256(json.dumps(searched, sort_keys=True).encode()).hexdigest()[:16]
    return directory / f"{as_file_name(config.variant)}-{key}.journal"


@contextmanager
def _alone(journal: Path) -> Iterator[None]:
    """Lock a search; raise :class:`LockedError` if another process runs it."""
    try:
        with FileLock(f"{journal}.held", timeout=0):  # Optuna has a .lock of its own
            yield
    except Timeout:
        raise LockedError(
            f"{journal.name}: another process runs this search", "wait for it, or use its --jobs"
        ) from None


def _mend(journal: Path, listener: Listener) -> None:
    """Cut off what a full disk or a kill left half-written: Optuna reads no further than that."""
    lines = journal.read_bytes().splitlines(keepends=True) if journal.exists() else []
    sound = list(itertools.takewhile(_is_entry, lines))
    lost = len(lines) - len(sound)
    if lost == 0:
        return
    kept = ""
    if lost > 1:
        shutil.copy(journal, f"{journal}.damaged")
        kept = f" of {lost} entries (kept in {journal.name}.damaged)"
    os.truncate(journal, sum(map(len, sound)))
    listener(Note(f"the end{kept} of the stored search cannot be read: going on before it"))


def _is_entry(line: bytes) -> bool:
    with suppress(ValueError):
        json.loads(line)
        return line.endswith(b"\n")
    return False


def _run(guided: _Guided, jobs: int, listener: Listener) -> None:
    """Run trials in processes, and note each that ends."""
    study = _study(guided)
    for trial in study.get_trials(deepcopy=False):
        if trial.state.name == "RUNNING":  # when its process was killed
            study.tell(trial.number, state=_optuna().trial.TrialState.FAIL)
    ended = [t for t in study.get_trials(deepcopy=False) if t.state.name in ("COMPLETE", "PRUNED")]
    told = {trial.number for trial in ended}
    if told:
        listener(Note(f"going on after {len(told)} trials"))
    context = multiprocessing.get_context("spawn")
    errors = context.SimpleQueue()
    processes = [
        context.Process(target=_work, args=(guided, worker, all_rows(), errors), daemon=True)
        for worker in range(jobs)
    ]
    try:
        for process in processes:
            process.start()
        while any(process.is_alive() for process in processes):
            time.sleep(_POLL_SECONDS)
            _tell(study, told, listener)
        _tell(study, told, listener)
    finally:
        _end([process for process in processes if process.pid is not None])
    if not errors.empty():
        raise errors.get()
    if all(process.exitcode for process in processes):
        raise DeviceError(
            f"the search's process died (exit {processes[0].exitcode})",
            f"it probably ran out of memory: {MORE_MEMORY}",
        )


def _end(processes: Sequence[BaseProcess]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        process.join()


def _tell(study: Any, told: set[int], listener: Listener) -> None:
    for trial in study.get_trials(deepcopy=False):
        if trial.number in told or trial.state.name not in ("COMPLETE", "PRUNED"):
            continue
        told.add(trial.number)
        how = trial.user_attrs.get("error") or (
            f"valid {SELECTION_METRIC} {trial.value:.4f}"
            if trial.state.name == "COMPLETE"
            else "stopped early"
        )
        values = " ".join(f"{name}={value}" for name, value in trial.params.items())
        listener(Note(f"trial {trial.number}: {how} {values}"))


def _work(guided: _Guided, worker: int, catalogue: list[Row], errors: Any) -> None:
    """Run trials in this process; tell what keeps it from going on."""
    begin_worker(catalogue)
    try:
        _run_trials(guided, worker, catalogue)
    except Exception as error:
        if (refused := refusal(error, guided.journal)) is None:
            raise
        errors.put(refused)


def _run_trials(guided: _Guided, worker: int, catalogue: list[Row]) -> None:
    """Run trials until there are enough or time is up."""
    if guided.threads is not None:
        import torch

        torch.set_num_threads(guided.threads)
    study = _study(guided, seed=1 + worker)
    choices = _choices(guided.config)

    while (trial := _begun(study, guided)) is not None:
        values = {name: trial.suggest_categorical(name, options) for name, options in choices}
        value = _known(study, trial)
        try:
            if value is None:
                value = _trial(guided, values, trial)
        except DiffrecError as error:
            trial.set_user_attr("error", error.what)
        except _optuna().TrialPruned:
            pass
        study.tell(trial, value, state=_optuna().trial.TrialState.PRUNED if value is None else None)


def _begun(study: Any, guided: _Guided) -> Any | None:
    """Return a new trial, or None if there are enough; under a lock."""
    with FileLock(f"{guided.journal}.begin"):
        return None if _enough(study, guided) else study.ask()


def _known(study: Any, trial: Any) -> float | None:
    """Return the value of an earlier trial of the same settings, if there is one."""
    for other in study.get_trials(deepcopy=False):
        if other.state.name == "COMPLETE" and other.params == trial.params:
            return float(other.value)
    return None


def _enough(study: Any, guided: _Guided) -> bool:
    """Tell whether enough trials have begun, or time is up."""
    if guided.deadline is not None and time.time() >= guided.deadline:
        return True
    begun = [t for t in study.get_trials(deepcopy=False) if t.state.name not in _NOT_BEGUN]
    return len(begun) >= guided.search.trials


def _trial(guided: _Guided, values: Mapping[str, Any], trial: Any) -> float:
    """Train with these settings; stop early if most trials were better at that epoch."""
    left = None if guided.deadline is None else max(0.0, guided.deadline - time.time())

    def report(event: Event) -> None:
        if isinstance(event, EpochDone) and SELECTION_METRIC in event.metrics:
            trial.report(event.best_value, event.epoch)
            if trial.should_prune():
                raise _optuna().TrialPruned

    task = guided.search.task(guided.config, values)
    measured, _ = measure(task, guided.search.dataset, left, report)
    return float(measured.valid.get(SELECTION_METRIC, 0.0))


def _choices(config: FitConfig) -> list[tuple[str, list[Any]]]:
    """Return each setting's values as Optuna takes them: the model's own first, then the grid's."""
    grid: Space = space(config.variant)
    own = config.values()
    return [
        (name, list(dict.fromkeys(map(_simple, (own[name], *options)))))
        for name, options in grid.items()
    ]


def _simple(value: Any) -> Any:
    return ",".join(map(str, value)) if isinstance(value, tuple) else value


def _study(guided: _Guided, seed: int = 1) -> Any:
    optuna = _optuna()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(guided.journal))),
        study_name="search",
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=_UNGUIDED),
        pruner=optuna.pruners.MedianPruner(
            n_startup_trials=_UNGUIDED, n_warmup_steps=_PATIENT_EPOCHS
        ),
        load_if_exists=True,
    )
    if not study.get_trials(deepcopy=False):  # the model's own settings come first
        study.enqueue_trial({name: options[0] for name, options in _choices(guided.config)})
    return study


def _outcome(guided: _Guided) -> Tuned:
    trials = _study(guided).get_trials(deepcopy=False)
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    refused = [trial for trial in trials if "error" in trial.user_attrs]
    if not complete:
        why = refused[-1].user_attrs["error"] if refused else "none was finished"
        raise UsageError(f"no trial gave a model: {why}", "give it more time: --budget, --trials")
    best = max(complete, key=lambda trial: trial.value)
    pruned = sum(trial.state.name == "PRUNED" for trial in trials) - len(refused)
    return Tuned(
        variant=guided.config.variant,
        dataset=guided.search.dataset.name,
        value=float(best.value),
        values=dict(best.params),
        finished=len(complete),
        pruned=pruned,
        failed=len(refused),
    )


def _optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise MissingExtraError("tune", "optuna", "tune") from error
    return optuna
