"""From data to a published model."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.config import FitConfig, ReadOptions, SplitOptions
from diffrec_cli.evaluation.ranking import input_rows
from diffrec_cli.evaluation.report import evaluate
from diffrec_cli.files import storage_errors
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.baselines import fit_closed_form
from diffrec_cli.models.build import (
    array_size,
    build_model,
    parameter_count,
    stored_weights,
)
from diffrec_cli.models.scoring import build_scorer
from diffrec_cli.models.trainable import Trainable
from diffrec_cli.presets import preset as find_preset
from diffrec_cli.registry import store as registry
from diffrec_cli.registry.artifact import Artifact
from diffrec_cli.registry.record import ModelRecord, TrainingFacts
from diffrec_cli.registry.references import check_model_name
from diffrec_cli.training.devices import (
    choose_device,
    choose_precision,
    device_name,
    memory_errors,
)
from diffrec_cli.training.loop import Epoch, Trained, train
from diffrec_cli.workflows.events import EpochDone, Listener, Note, Plan, Step, silent
from diffrec_cli.workflows.groups import item_groups
from diffrec_cli.workflows.planning import Job, plan, plan_line
from diffrec_cli.workflows.preparing import prepare, stored_dataset
from diffrec_cli.workflows.runs import discard_runs, epoch_log, open_run

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


def fit(
    data: str | Path | Sequence[str | Path],
    *,
    variant: str = "base",
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
    find_preset(preset, variant, users=1)  # a mistyped name must not cost a preparation
    dataset = stored_dataset(inputs, fresh_options=split is not None or items is not None)
    if dataset is None:
        prepared = prepare(
            inputs,
            name=dataset_name,
            read=read,
            split=split,
            items=items,
            overwrite=overwrite,
            dry_run=dry_run,
            listener=listener,
        )
        listener(Note(prepared.line))
        dataset = prepared.dataset
    config = find_preset(preset, variant, users=dataset.n_users).with_values(values or {})
    if config.temporal is not None:
        dataset.require_order(variant)
    job = Job(
        name=check_model_name(name or f"{dataset.name}-{variant.replace('+', 'p')}"),
        dataset=dataset,
        config=config,
        preset=preset,
        device=chosen_device,
        precision=chosen_precision,
        refit=refit,
        default=default,
    )
    decided = plan(job)
    listener(Plan(plan_line(decided), decided))
    if dry_run:
        return Fitted(None, decided)
    with memory_errors(chosen_device), ExitStack() as stack:
        if not config.trains:
            return _fit_closed_form(job, decided, listener)
        run = open_run(job, resume, listener, stack)
        return _run(job, decided, run, resume, max_seconds, listener)


def _run(
    job: Job,
    decided: dict[str, Any],
    run: Path,
    resume: bool,
    max_seconds: float | None,
    listener: Listener,
) -> Fitted:
    of_item = _groups(job, run, resume, listener)
    n_items, train_part = job.dataset.n_items, job.dataset.train
    model = build_model(job.config, n_items, of_item, train_part)
    trained = _select(job, model, run, resume, max_seconds, listener)
    if trained.epoch == 0:
        return Fitted(None, decided, interruption=trained.interruption)
    _tell_why_it_stopped(trained, listener)
    weights, interruption = trained.weights, trained.interruption
    refitted = False
    if job.refit and interruption is None:
        fresh = build_model(job.config, n_items, of_item, job.dataset.known)
        again = _refit(job, fresh, trained.epoch, listener)
        interruption = again.interruption
        refitted = interruption is None  # else what was selected is kept
        weights = again.weights if refitted else weights
        model = fresh if refitted else model
    model.load_state_dict(weights)
    complete = interruption is None
    artifact = registry.publish(
        _record(job, trained, parameter_count(model), refitted, complete=complete),
        stored_weights(model.scoring_weights()),
        job.dataset,
        epoch_log(run),
        make_default=job.default and complete,
    )
    if complete and trained.stopped != "time":
        discard_runs(job, run)
    return _fitted(artifact, decided, interruption)


def _fit_closed_form(job: Job, decided: dict[str, Any], listener: Listener) -> Fitted:
    """Fit a model that has no epochs, and measure it on the valid part."""
    config, dataset, temporal = job.config, job.dataset, job.config.temporal
    started = time.perf_counter()
    listener(Note(f"fitting {config.variant}"))
    weights = fit_closed_form(config, input_rows(dataset.train, temporal), dataset.n_items)
    seconds = time.perf_counter() - started
    valid: dict[str, float] = {}
    if dataset.valid.size:
        scorer = build_scorer(config, weights, TorchBackend(job.device))
        valid = evaluate(scorer, dataset, "valid", temporal=temporal).means
    if job.refit:
        listener(Note("fitting again on every interaction"))
        rows = input_rows(dataset.known, temporal)
        weights = fit_closed_form(config, rows, dataset.n_items)
    trained = Trained({}, 0, 0, valid, "closed form", seconds)
    artifact = registry.publish(
        _record(job, trained, array_size(weights), job.refit, complete=True),
        stored_weights(weights),
        dataset,
        [],
        make_default=job.default,
    )
    return _fitted(artifact, decided, None)


def _fitted(
    artifact: Artifact, decided: dict[str, Any], interruption: BaseException | None
) -> Fitted:
    return Fitted(
        model=artifact.record.reference,
        plan=decided,
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


def _groups(job: Job, run: Path, resume: bool, listener: Listener) -> NDArray[np.int64] | None:
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
    job: Job,
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


def _refit(job: Job, model: Trainable, epochs: int, listener: Listener) -> Trained:
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


def _validation(job: Job) -> Any:
    """Return the function that measures a model on the valid part, or None if that is empty."""
    if job.dataset.valid.size == 0:
        return None
    backend = TorchBackend(job.device)

    def validate(model: Trainable) -> dict[str, float]:
        scorer = build_scorer(job.config, model.scoring_weights(), backend)
        return evaluate(scorer, job.dataset, "valid", temporal=job.config.temporal).means

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


def _record(
    job: Job, trained: Trained, parameters: int, refitted: bool, *, complete: bool
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
