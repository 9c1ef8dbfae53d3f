"""From data to a published model."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from diffrec_cli.config import FitConfig, ReadOptions, SplitOptions, Variant
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.errors import NotFoundError
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
from diffrec_cli.paths import check_name, runs_dir
from diffrec_cli.presets import preset as find_preset
from diffrec_cli.registry import store as registry
from diffrec_cli.registry.record import ModelRecord, TrainingFacts
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
    interruption
        What interrupted the fit, if anything did: the best so far was published all the same.
    """

    model: str | None
    plan: Mapping[str, Any]
    path: Path | None = None
    training: TrainingFacts | None = None
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
            "parameters": self.plan["parameters"],
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

    @property
    def fingerprint(self) -> str:
        """Equal for fits that compute the same."""
        key = [self.name, self.dataset.content_hash, self.config.to_dict(), self.refit]
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
        Stop training after this time and keep the best.
    resume
        Go on with an interrupted fit of the same data and settings.
    refit
        After selection, train again on every interaction for the chosen number of epochs.
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
    dataset = resolve_data(
        inputs,
        name=dataset_name,
        read=read,
        split=split,
        items=items,
        overwrite=overwrite,
        listener=listener,
    )
    config = find_preset(preset, variant, users=dataset.n_users).with_values(values or {})
    if config.temporal is not None:
        dataset.require_order(variant)
    job = _Job(
        name=check_name(name or f"{dataset.name}-{variant}", "model"),
        dataset=dataset,
        config=config,
        preset=preset,
        device=chosen_device,
        precision=choose_precision(precision, chosen_device),
        refit=refit,
    )
    with memory_errors(chosen_device):
        return _run(job, max_seconds, resume, dry_run, listener)


def _run(
    job: _Job, max_seconds: float | None, resume: bool, dry_run: bool, listener: Listener
) -> Fitted:
    of_item = item_groups(job.dataset, job.config, job.device, listener)
    model = build_model(job.config, job.dataset.n_items, of_item)
    plan = _plan(job, parameter_count(model))
    listener(Plan(_plan_line(plan), plan))
    if dry_run:
        return Fitted(None, plan)
    with ExitStack() as stack:
        run = _open_run(job, resume, listener, stack)
        trained = _select(job, model, run, resume, max_seconds, listener)
        if trained.epoch == 0:
            return Fitted(None, plan, interruption=trained.interruption)
        weights = trained.weights
        if job.refit and trained.interruption is None:
            model = build_model(job.config, job.dataset.n_items, of_item)
            weights = _refit(job, model, trained.epoch, listener)
        model.load_state_dict(weights)
        artifact = registry.publish(
            _record(job, trained, parameter_count(model)),
            stored_weights(scoring_weights(model)),
            job.dataset,
            _epoch_log(run),
        )
    if trained.interruption is None:
        _discard_runs(job)
    return Fitted(
        model=artifact.record.reference,
        plan=plan,
        path=artifact.path,
        training=artifact.record.training,
        interruption=trained.interruption,
    )


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


def _refit(job: _Job, model: Trainable, epochs: int, listener: Listener) -> dict[str, Any]:
    """Train from the start on every interaction for the chosen number of epochs."""
    listener(Note(f"training again on every interaction for {epochs} epochs"))
    config = replace(job.config.training, epochs=epochs)
    stages = _Listening(replace(job.config, training=config), listener)
    trained = train(
        model,
        input_rows(job.dataset.known, job.config.temporal),
        config,
        device=job.device,
        precision=job.precision,
        on_epoch=stages.epoch,
        on_batch=stages.batch,
    )
    if trained.interruption is not None:
        raise trained.interruption
    return trained.weights


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
        self.current, self.best_epoch = 1, 0

    def batch(self, done: int, total: int) -> None:
        self.listener(Step("training", done, total))

    def epoch(self, epoch: Epoch) -> None:
        self.best_epoch = epoch.epoch if epoch.best else self.best_epoch
        waited = epoch.epoch - self.best_epoch if self.best_epoch else 0
        self.listener(
            EpochDone(
                epoch=epoch.epoch,
                epochs=self.config.epochs,
                loss=epoch.loss,
                metrics=epoch.metrics,
                best=epoch.best,
                best_epoch=self.best_epoch,
                users_per_second=epoch.users_per_second,
                patience_left=self.config.patience - waited,
            )
        )


def _open_run(job: _Job, resume: bool, listener: Listener, stack: ExitStack) -> Path:
    """Return a directory that this fit alone writes to: a new one, or the one to resume."""
    root = runs_dir()
    with storage_errors(root):
        root.mkdir(parents=True, exist_ok=True)
        free = [run for run in _interrupted(job) if _try_lock(run, stack if resume else None)]
        if resume and free:
            return free[0]
        if resume:
            raise NotFoundError(
                f"no interrupted fit of {job.name} with this data and these settings",
                "give the options of the interrupted fit again, or leave out --resume",
            )
        if free:
            listener(Note("an interrupted fit of these settings exists: --resume would go on"))
        run = root / f"{job.fingerprint}-{secrets.token_hex(3)}"
        run.mkdir()
        stack.enter_context(FileLock(run / "lock", timeout=0))
        write_atomically(run / "run.json", dump_json({"name": job.name, **job.config.to_dict()}))
        return run


def _interrupted(job: _Job) -> list[Path]:
    """Return the runs of the same data and settings that have a checkpoint, newest first."""
    runs = [run for run in runs_dir().glob(f"{job.fingerprint}-*") if has_checkpoint(run)]
    return sorted(runs, key=lambda path: path.stat().st_mtime, reverse=True)


def _try_lock(run: Path, stack: ExitStack | None) -> bool:
    """Tell whether no other fit holds the run; keep it locked until `stack` closes."""
    try:
        with FileLock(run / "lock", timeout=0):
            pass
        if stack is not None:
            stack.enter_context(FileLock(run / "lock", timeout=0))
    except Timeout:
        return False
    return True


def _discard_runs(job: _Job) -> None:
    """Remove the finished run, and older interrupted ones of the same fit that nobody holds."""
    for run in runs_dir().glob(f"{job.fingerprint}-*"):
        if _try_lock(run, None):
            discard(run)


def _epoch_log(run: Path) -> list[dict[str, Any]]:
    path = run / "epochs.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _record(job: _Job, trained: Trained, parameters: int) -> ModelRecord:
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
            refit=job.refit and trained.interruption is None,
            complete=trained.interruption is None,
            valid=trained.metrics,
        ),
    )


def _plan(job: _Job, parameters: int) -> dict[str, Any]:
    """Return what was decided, and what memory it will need."""
    dataset, config = job.dataset, job.config
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


def _memory(config: FitConfig, dataset: Dataset, parameters: int) -> int:
    """Estimate the peak: weights, gradients, two moments, best copy; dense batches; log."""
    batch = max(config.training.batch_size, batch_size(dataset.n_items))
    wide_arrays = 6  # x_0, noise, x_t, dropout mask, prediction, its gradient
    return (
        5 * 4 * parameters
        + wide_arrays * 4 * batch * dataset.n_items
        + 40 * dataset.known.size
        + 400 * 2**20  # torch itself
    )
