"""From data to a published model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffrec_cli.catalogue import Variant, as_file_name, hint, reads_order
from diffrec_cli.catalogue import own_preset as find_preset
from diffrec_cli.config import ReadOptions, SplitOptions
from diffrec_cli.config.options import ALL, TRAIN, TRAIN_AND_VALID
from diffrec_cli.errors import UsageError
from diffrec_cli.registry import versions as registry
from diffrec_cli.registry.artifact import Artifact
from diffrec_cli.registry.record import ModelRecord, TrainingFacts
from diffrec_cli.registry.references import check_model_name
from diffrec_cli.training.devices import (
    choose_device,
    choose_precision,
    device_name,
    memory_errors,
)
from diffrec_cli.training.loop import SELECTION_METRIC
from diffrec_cli.workflows.fitting.plan import Job, plan, plan_line
from diffrec_cli.workflows.fitting.run_directories import discard_runs, epoch_log, open_run
from diffrec_cli.workflows.fitting.training import TrainedModel, train_model
from diffrec_cli.workflows.prepare_data import dataset_of
from diffrec_cli.workflows.progress import Listener, Note, Plan, silent


@dataclass(frozen=True)
class Fitted:
    """The outcome of a fit.

    Parameters
    ----------
    model
        Reference of the published model, ``NAME@VERSION``; ``None`` after a dry run, or an
        interruption in the first epoch.
    plan
        What was decided before training.
    path
        Directory of the model.
    training
        How training went.
    parameters
        Number of trained parameters (the plan's is an estimate for the latent variants).
    interruption
        What interrupted the fit, if anything; the best so far is published all the same.
    curve
        Valid Recall@20 of each epoch where it was measured.
    """

    model: str | None
    plan: Mapping[str, Any]
    path: Path | None = None
    training: TrainingFacts | None = None
    parameters: int = 0
    interruption: BaseException | None = None
    curve: tuple[float, ...] = ()

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
    corruption: str | None = None,
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
    refit: str | None = None,
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
        Name of the model, see :func:`~diffrec_cli.catalogue.names`.
    corruption
        ``gaussian``, or for ``base`` and ``t`` ``smoothing`` or ``masking``; ``None``:
        ``gaussian``, with a note.
    name
        Name of the model; by default ``DATASET-VARIANT``.
    preset, values
        Named settings, and single ones that replace theirs (:meth:`FitConfig.with_values`).
    read, split, items, dataset_name, overwrite
        As in :func:`~diffrec_cli.workflows.prepare_data.prepare`, for log files.
    device, precision
        See :mod:`diffrec_cli.training.devices`.
    max_seconds
        Stop selection after this time and keep the best epoch; a refit is not limited.
    resume
        Continue an interrupted fit of the same data and settings.
    refit
        After selection, train again for the chosen number of epochs: on ``all`` interactions, to
        deploy, or on ``train+valid``, so that test may still judge it.
    default
        Make it the default model, unless it was interrupted.
    dry_run
        Return the plan, train nothing.
    listener
        Gets decisions and progress.

    Raises
    ------
    DiffrecError
        Data, settings, device or storage are at fault; see :mod:`diffrec_cli.errors`.
    """
    chosen_device = choose_device(device)
    chosen_precision = choose_precision(precision, chosen_device)
    if name is not None:
        check_model_name(name)
    if refit not in (None, ALL, TRAIN_AND_VALID):
        raise UsageError(f"--refit {refit}: unknown", f"one of: {ALL}, {TRAIN_AND_VALID}")
    meant = Variant.parse(variant)
    if corruption not in (None, meant.corruption):
        meant = meant.corrupted(corruption)
        variant = str(meant)
    find_preset(preset, variant, users=1)  # find a mistyped name before preparing the log
    dataset = dataset_of(
        data,
        name=dataset_name,
        read=read,
        split=split,
        items=items,
        overwrite=overwrite,
        dry_run=dry_run,
        listener=listener,
    )
    config = find_preset(preset, variant, **dataset.size).with_values(values or {})
    if reads_order(config):
        dataset.require_order(variant)
    job = Job(
        name=check_model_name(name or f"{dataset.name}-{as_file_name(variant)}"),
        dataset=dataset,
        config=config,
        preset=preset,
        device=chosen_device,
        precision=chosen_precision if config.trains else "fp32",
        trained_on=refit or TRAIN,
        default=default,
    )
    decided = plan(job)
    listener(Plan(plan_line(decided), decided))
    if corruption is None and preset == "auto" and (advice := hint(meant, **dataset.size)):
        listener(Note(advice))
    if dry_run:
        return Fitted(None, decided)
    with memory_errors(chosen_device), ExitStack() as stack:
        run = open_run(job, resume, listener, stack)
        outcome = train_model(
            job, run=run, resume=resume, max_seconds=max_seconds, listener=listener
        )
        if not outcome.arrays:
            return Fitted(None, decided, interruption=outcome.interruption)
        artifact = _publish(job, outcome, run)
        if outcome.interruption is None and outcome.trained.stopped != "time":
            discard_runs(job, run)
    return Fitted(
        model=artifact.record.reference,
        plan=decided,
        path=artifact.path,
        training=artifact.record.training,
        parameters=artifact.record.parameters,
        interruption=outcome.interruption,
        curve=_valid_curve(artifact),
    )


def _valid_curve(artifact: Artifact) -> tuple[float, ...]:
    values = (entry.get(SELECTION_METRIC) for entry in artifact.epoch_log())
    return tuple(value for value in values if value is not None)


def _publish(job: Job, outcome: TrainedModel, run: Path) -> Artifact:
    trained, complete = outcome.trained, outcome.interruption is None
    record = ModelRecord(
        name=job.name,
        variant=outcome.config.variant,
        config=outcome.config.to_dict(),
        parameters=outcome.parameters,
        training=TrainingFacts(
            seed=job.config.seed,
            epoch=trained.epoch,
            epochs=trained.epochs_run,
            stopped=trained.stopped,
            seconds=trained.seconds,
            device=device_name(job.device),
            precision=job.precision,
            refit=outcome.trained_on != TRAIN,
            trained_on=outcome.trained_on,
            complete=complete,
            valid=trained.metrics,
        ),
    )
    return registry.publish(
        record,
        outcome.arrays,
        job.dataset,
        epoch_log(run),
        make_default=job.default and complete,
    )
