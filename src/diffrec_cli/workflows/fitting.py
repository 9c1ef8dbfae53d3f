"""From data to a published model."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from diffrec_cli.config import FitConfig, ReadOptions, SplitOptions, Variant
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.errors import LockedError, NotFoundError
from diffrec_cli.evaluation.ranking import batch_size, input_rows
from diffrec_cli.evaluation.report import evaluate
from diffrec_cli.files import dump_json, storage_errors, write_atomically
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.build import (
    build_model,
    parameter_count,
    scoring_weights,
    stored_weights,
)
from diffrec_cli.models.scoring import build_scorer
from diffrec_cli.models.trainable import Trainable
from diffrec_cli.paths import runs_dir
from diffrec_cli.presets import preset as find_preset
from diffrec_cli.registry import store as registry
from diffrec_cli.registry.record import ModelRecord, TrainingFacts
from diffrec_cli.registry.references import check_model_name
from diffrec_cli.training.checkpoint import discard, has_checkpoint
from diffrec_cli.training.devices import (
    choose_device,
    choose_precision,
    device_name,
    memory_errors,
)
from diffrec_cli.training.loop import Epoch, Trained, train
from diffrec_cli.workflows.events import EpochDone, Listener, Note, Plan, Step, silent
from diffrec_cli.workflows.groups import item_groups
from diffrec_cli.workflows.preparing import resolve_data

EPOCHS_WITHOUT_VALIDATION = 50
_STALE_SECONDS = 3600.0


@dataclass(frozen=True)
class Fitted:
    """The outcome of a fit.

    Parameters
    ----------
    model
        Reference of the published model, ``NAME@VERSION``; ``None`` after a dry run, or when a
        fit was interrupted before its first epoch was done.
    plan
        What was decided before training.
    path
        Directory of the model.
    training
        How training went.
    parameters
        Number of trained parameters (the plan's is an estimate for the latent variants).
    interruption
        What interrupted the fit, if anything did: the best so far was published all the same.
    """

    model: str | None
    plan: Mapping[str, Any]
    path: Path | None = None
    training: TrainingFacts | None = None
    parameters: int = 0
    interruption: BaseException | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        if self.training is None:
            return {"model": self.model, **self.plan}
        facts = self.training
        return {
            "model": self.model,
            "epoch": facts.epoch,
            "epochs": facts.epochs,
            "stopped": facts.stopped,
            "valid": dict(facts.valid),
            "seconds": facts.seconds,
            "parameters": self.parameters,
            "device": facts.device,
            "precision": facts.precision,
            "path": str(self.path),
        }


@dataclass(frozen=True)
class _Job:
    """All that a fit computes from, decided before it begins."""

    name: str
    dataset: Dataset
    config: FitConfig
    preset: str
    device: str
    precision: str
    refit: bool
    default: bool

    @property
    def fingerprint(self) -> str:
        """Equal for fits that compute the same."""
        key = [
            self.name,
            self.dataset.content_hash,
            self.config.to_dict(),
            self.precision,
            self.refit,
        ]
        return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]


def fit(
    data: str | Path | Sequence[str | Path],
    *,
    variant: Variant = "base",
    name: str | None = None,
    preset: str = "auto",
    values: Mapping[str, Any] | None = None,
    read: ReadOptions | None = None,
    split: SplitOptions | None = None,
    items: str | Path | None = None,
    dataset_name: str | None = None,
    overwrite: bool = False,
    device: str = "auto",
    precision: str = "auto",
    max_seconds: float | None = None,
    resume: bool = False,
    refit: bool = False,
    default: bool = True,
    dry_run: bool = False,
    listener: Listener = silent,
) -> Fitted:
    """Train a model and publish it as the new default.

    Parameters
    ----------
    data
        Name of a prepared dataset, or log files to prepare on the way.
    variant
        ``base``, ``l``, ``t`` or ``lt``.
    name
        Name of the model; by default ``DATASET-VARIANT``.
    preset, values
        Named settings, and single ones that replace theirs (:meth:`FitConfig.with_values`).
    read, split, items, dataset_name, overwrite
        As in :func:`~diffrec_cli.workflows.preparing.prepare`, for log files.
    device, precision
        See :mod:`diffrec_cli.training.devices`.
    max_seconds
        Stop choosing an epoch after this time and keep the best; a refit comes on top.
    resume
        Go on with an interrupted fit of the same data and settings.
    refit
        After selection, train again on every interaction for the chosen number of epochs.
    default
        Make the model the one that is meant when none is named (unless it was interrupted).
    dry_run
        Decide everything, train nothing.
    listener
        Hears of decisions and progress.

    Raises
    ------
    DiffrecError
        Data, settings, device or storage are at fault; see :mod:`diffrec_cli.errors`.
    """
    inputs = [data] if isinstance(data, str | Path) else list(data)
    chosen_device = choose_device(device)
    chosen_precision = choose_precision(precision, chosen_device)
    if name is not None:
        check_model_name(name)
    dataset = resolve_data(
        inputs,
        name=dataset_name,
        read=read,
        split=split,
        items=items,
        overwrite=overwrite,
        dry_run=dry_run,
        listener=listener,
    )
    config = find_preset(preset, variant, users=dataset.n_users).with_values(values or {})
    if config.temporal is not None:
        dataset.require_order(variant)
    job = _Job(
        name=check_model_name(name or f"{dataset.name}-{variant}"),
        dataset=dataset,
        config=config,
        preset=preset,
        device=chosen_device,
        precision=chosen_precision,
        refit=refit,
        default=default,
    )
    plan = _plan(job)
    listener(Plan(_plan_line(plan), plan))
    if dry_run:
        return Fitted(None, plan)
    with memory_errors(chosen_device), ExitStack() as stack:
        run = _open_run(job, resume, listener, stack)
        return _run(job, plan, run, resume, max_seconds, listener)


def _run(
    job: _Job,
    plan: dict[str, Any],
    run: Path,
    resume: bool,
    max_seconds: float | None,
    listener: Listener,
) -> Fitted:
    of_item = _groups(job, run, resume, listener)
    model = build_model(job.config, job.dataset.n_items, of_item)
    trained = _select(job, model, run, resume, max_seconds, listener)
    if trained.epoch == 0:
        return Fitted(None, plan, interruption=trained.interruption)
    _tell_why_it_stopped(trained, listener)
    weights, interruption = trained.weights, trained.interruption
    refitted = job.refit and interruption is None
    if refitted:
        again = _refit(job, build_model(job.config, job.dataset.n_items, of_item), trained.epoch,
                       listener)  # fmt: skip
        interruption = again.interruption
        refitted = interruption is None
        weights = again.weights if refitted else trained.weights
    model.load_state_dict(weights)
    artifact = registry.publish(
        _record(job, trained, parameter_count(model), refitted, complete=interruption is None),
        stored_weights(scoring_weights(model)),
        job.dataset,
        _epoch_log(run),
        make_default=job.default and interruption is None,
    )
    if interruption is None and trained.stopped != "time":
        _discard_runs(job, run)
    return Fitted(
        model=artifact.record.reference,
        plan=plan,
        path=artifact.path,
        training=artifact.record.training,
        parameters=artifact.record.parameters,
        interruption=interruption,
    )


def _tell_why_it_stopped(trained: Trained, listener: Listener) -> None:
    """Say so when it was neither patience nor the number of epochs."""
    if trained.stopped == "time":
        after = f"time is up after epoch {trained.epochs_run}"
        listener(Note(f"{after}; the same command with --resume goes on"))
    elif trained.stopped == "diverged":
        listener(
            Note(
                f"the loss is no finite number after epoch {trained.epochs_run}: keeping epoch"
                f" {trained.epoch}; a smaller lr (--set lr=...) may go further"
            )
        )


def _groups(job: _Job, run: Path, resume: bool, listener: Listener) -> NDArray[np.int64] | None:
    """Return the item groups of a latent variant: made now, or those of the resumed run."""
    path = run / "groups.npy"
    if resume and path.exists():
        kept: NDArray[np.int64] = np.load(path, allow_pickle=False)
        return kept
    of_item = item_groups(job.dataset, job.config, job.device, listener)
    if of_item is not None:
        with storage_errors(path):
            np.save(path, of_item)
    return of_item


def _select(
    job: _Job,
    model: Trainable,
    run: Path,
    resume: bool,
    max_seconds: float | None,
    listener: Listener,
) -> Trained:
    """Train on the train part, choosing the epoch by the valid part."""
    training, stages = job.config.training, _Listening(job.config, listener)
    validate = _validation(job)
    if validate is None:
        epochs = min(training.epochs, EPOCHS_WITHOUT_VALIDATION)
        training = replace(training, epochs=epochs)
        listener(Note(f"no valid interactions to select by: training {epochs} epochs"))
    return train(
        model,
        input_rows(job.dataset.train, job.config.temporal),
        training,
        device=job.device,
        precision=job.precision,
        validate=validate,
        run=run,
        resume=resume,
        max_seconds=max_seconds,
        on_epoch=stages.epoch,
        on_batch=stages.batch,
    )


def _refit(job: _Job, model: Trainable, epochs: int, listener: Listener) -> Trained:
    """Train from the start on every interaction for the chosen number of epochs."""
    listener(Note(f"training again on every interaction for {epochs} epochs"))
    config = replace(job.config.training, epochs=epochs)
    stages = _Listening(replace(job.config, training=config), listener)
    return train(
        model,
        input_rows(job.dataset.known, job.config.temporal),
        config,
        device=job.device,
        precision=job.precision,
        on_epoch=stages.epoch,
        on_batch=stages.batch,
    )


def _validation(job: _Job) -> Any:
    """Return the function that measures a model on the valid part, or None if that is empty."""
    if job.dataset.valid.size == 0:
        return None
    backend = TorchBackend(job.device)

    def validate(model: Trainable) -> dict[str, float]:
        scorer = build_scorer(job.config, scoring_weights(model), backend)
        return evaluate(scorer, backend, job.dataset, "valid", temporal=job.config.temporal).means

    return validate


class _Listening:
    """Turns the loop's callbacks into events."""

    def __init__(self, config: FitConfig, listener: Listener) -> None:
        self.config, self.listener = config.training, listener

    def batch(self, done: int, total: int) -> None:
        self.listener(Step("training", done, total))

    def epoch(self, epoch: Epoch) -> None:
        waited = epoch.epoch - epoch.best_epoch if epoch.best_epoch else 0
        left = self.config.epochs - epoch.epoch
        self.listener(
            EpochDone(
                epoch=epoch.epoch,
                loss=epoch.loss,
                metrics=epoch.metrics,
                best=epoch.best,
                best_value=epoch.best_value,
                users_per_second=epoch.users_per_second,
                epochs_left=min(left, max(0, self.config.patience - waited)),
            )
        )


def _open_run(job: _Job, resume: bool, listener: Listener, stack: ExitStack) -> Path:
    """Return a directory that this fit alone writes to: a new one, or the one to resume."""
    root = runs_dir()
    with storage_errors(root):
        root.mkdir(parents=True, exist_ok=True)
        _sweep(root)
        interrupted = _interrupted(job)
        if resume:
            return _resumed(job, interrupted, stack)
        if any(_try_lock(run) for run in interrupted):
            listener(Note("an interrupted fit of these settings exists: --resume would go on"))
        run = root / f"{job.fingerprint}-{secrets.token_hex(3)}"
        run.mkdir()
        stack.enter_context(FileLock(run / "lock", timeout=0))
        write_atomically(run / "run.json", dump_json({"name": job.name, **job.config.to_dict()}))
        return run


def _sweep(root: Path) -> None:
    """Remove runs that were killed an hour ago or more, before there was anything to resume."""
    for run in root.iterdir():
        old = run.is_dir() and time.time() - run.stat().st_mtime > _STALE_SECONDS
        if old and not has_checkpoint(run) and _try_lock(run):
            discard(run)


def _interrupted(job: _Job) -> list[Path]:
    """Return the runs of the same data and settings that have a checkpoint, newest first."""
    runs = [run for run in runs_dir().glob(f"{job.fingerprint}-*") if has_checkpoint(run)]
    return sorted(runs, key=lambda path: path.stat().st_mtime, reverse=True)


def _resumed(job: _Job, interrupted: list[Path], stack: ExitStack) -> Path:
    """Return the newest interrupted run that nobody holds, and hold it until `stack` closes."""
    for run in interrupted:
        try:
            stack.enter_context(FileLock(run / "lock", timeout=0))
        except Timeout:
            continue
        return run
    if interrupted:
        raise LockedError(
            f"the interrupted fit of {job.name} is being resumed by another process",
            "wait for it, or leave out --resume to begin anew",
        )
    raise NotFoundError(
        f"no interrupted fit of {job.name} with this data and these settings",
        "give the options of the interrupted fit again, or leave out --resume",
    )


def _try_lock(run: Path) -> bool:
    """Tell whether no other fit holds the run."""
    try:
        with FileLock(run / "lock", timeout=0):
            return True
    except Timeout:
        return False


def _discard_runs(job: _Job, finished: Path) -> None:
    """Remove the finished run, and older interrupted ones of the same fit that nobody holds."""
    for run in _interrupted(job):
        if run != finished and _try_lock(run):
            discard(run)
    discard(finished)


def _epoch_log(run: Path) -> list[dict[str, Any]]:
    path = run / "epochs.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _record(
    job: _Job, trained: Trained, parameters: int, refitted: bool, *, complete: bool
) -> ModelRecord:
    return ModelRecord(
        name=job.name,
        variant=job.config.variant,
        config=job.config.to_dict(),
        parameters=parameters,
        training=TrainingFacts(
            seed=job.config.training.seed,
            epoch=trained.epoch,
            epochs=trained.epochs_run,
            stopped=trained.stopped,
            seconds=trained.seconds,
            device=device_name(job.device),
            precision=job.precision,
            refit=refitted,
            complete=complete,
            valid=trained.metrics,
        ),
    )


def _plan(job: _Job) -> dict[str, Any]:
    """Return what was decided, and what memory it will need."""
    dataset, config = job.dataset, job.config
    parameters = _parameters(config, dataset.n_items)
    return {
        "name": job.name,
        "variant": config.variant,
        "dataset": dataset.name,
        "users": dataset.n_users,
        "items": dataset.n_items,
        "train": dataset.train.size,
        "preset": job.preset,
        "device": device_name(job.device),
        "precision": job.precision,
        "seed": config.training.seed,
        "parameters": parameters,
        "memory_bytes": _memory(config, dataset, parameters),
        "config": config.to_dict(),
    }


def _plan_line(plan: Mapping[str, Any]) -> str:
    return (
        f"{plan['name']}: variant {plan['variant']}, preset {plan['preset']},"
        f" seed {plan['seed']}, {plan['device']}, {plan['precision']},"
        f" {plan['users']:,} users x {plan['items']:,} items,"
        f" {plan['parameters'] / 1e6:.1f}M parameters, about {plan['memory_bytes'] / 2**30:.1f} GiB"
    )


def _parameters(config: FitConfig, n_items: int) -> int:
    """Count the parameters, for the latent variants as if their groups were of one size."""
    if config.latent is not None and n_items < config.latent.C:
        return 0  # which clustering will refuse
    even = None if config.latent is None else np.arange(n_items) % config.latent.C
    with torch.device("meta"):  # shapes alone: nothing is allocated or drawn
        return parameter_count(build_model(config, n_items, even))


def _memory(config: FitConfig, dataset: Dataset, parameters: int) -> int:
    """Estimate the peak: weights, gradients, two moments, best copy; dense batches; log."""
    largest = max(config.training.batch_size, batch_size(dataset.n_items))
    batch = min(dataset.n_users, largest)
    wide_arrays = 6  # x_0, noise, x_t, dropout mask, prediction, its gradient
    return (
        5 * 4 * parameters
        + wide_arrays * 4 * batch * dataset.n_items
        + 40 * dataset.known.size
        + 400 * 2**20  # torch itself
    )
