"""From data to a published model."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from diffrec_cli.catalogue import AUTO, MODELS, Candidate, Variant, as_file_name
from diffrec_cli.config import FitConfig, ReadOptions, SplitOptions
from diffrec_cli.config.options import ALL, TRAIN, TRAIN_AND_VALID
from diffrec_cli.data import store
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.errors import StorageError, UsageError
from diffrec_cli.launch import launched
from diffrec_cli.registry import versions as registry
from diffrec_cli.registry.artifact import Artifact
from diffrec_cli.registry.forgotten import Watch
from diffrec_cli.registry.record import ModelRecord, TrainingFacts
from diffrec_cli.registry.references import check_model_name
from diffrec_cli.training.devices import (
    available_on,
    choose_device,
    choose_precision,
    device_name,
    memory_errors,
    own_device,
)
from diffrec_cli.training.distributed import Processes, arranged, connected, divisors
from diffrec_cli.training.loop import SELECTION_METRIC
from diffrec_cli.workflows.fitting.choosing import Chosen, Jobs, choose
from diffrec_cli.workflows.fitting.plan import Job, memory_needed, plan, plan_line
from diffrec_cli.workflows.fitting.run_directories import discard_runs, epoch_log, open_run
from diffrec_cli.workflows.fitting.settings import named, settings_of
from diffrec_cli.workflows.fitting.training import (
    TrainedModel,
    refit_model,
    tell_why_it_stopped,
    train_model,
)
from diffrec_cli.workflows.fitting.warm_start import in_words, warm_start_of
from diffrec_cli.workflows.prepare_data import dataset_of
from diffrec_cli.workflows.progress import Listener, Note, Plan, silent

CHOOSE_SECONDS = 300.0


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
    choice
        What else was tried, and how it did on valid, if ``auto`` chose the model.
    """

    model: str | None
    plan: Mapping[str, Any]
    path: Path | None = None
    training: TrainingFacts | None = None
    parameters: int = 0
    interruption: BaseException | None = None
    curve: tuple[float, ...] = ()
    choice: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        if self.training is None:
            return {"model": self.model, **self.plan}
        facts = self.training
        return {
            "model": self.model,
            "variant": self.plan["variant"],
            "epoch": facts.epoch,
            "epochs": facts.epochs,
            "stopped": facts.stopped,
            "valid": dict(facts.valid),
            "seconds": facts.seconds,
            "parameters": self.parameters,
            "device": facts.device,
            "precision": facts.precision,
            "path": str(self.path),
            "choice": dict(self.choice),
            "warm_start": dict(facts.warm_start),
        }


def fit(
    data: str | Path | Sequence[str | Path],
    *,
    variant: str = AUTO,
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
    choose_seconds: float | None = None,
    any_model: bool = False,
    max_seconds: float | None = None,
    resume: bool = False,
    refit: str | None = None,
    item_ranks: int | None = None,
    warm_start: str | None = None,
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
        Name of the model, see :func:`~diffrec_cli.catalogue.names`; ``auto``: one that is chosen by
        the log and by trials on valid, see :func:`~.fitting.choosing.choose`.
    corruption
        ``gaussian``, or for ``base`` and ``t`` ``smoothing`` or ``masking``; ``None``: that of the
        variant.
    name
        Name of the model; by default ``DATASET-VARIANT``, and with ``auto`` ``DATASET``.
    preset, values
        Named settings, and single ones that replace theirs (:meth:`FitConfig.with_values`).
    read, split, items, dataset_name, overwrite
        As in :func:`~diffrec_cli.workflows.prepare_data.prepare`, for log files.
    device, precision
        See :mod:`diffrec_cli.training.devices`.
    choose_seconds, any_model
        For ``auto``: time to choose in (``None``: 5 minutes), and whether models other than
        diffusion may be chosen.
    max_seconds
        Stop selection before this time is over and keep the best epoch: no epoch is begun that
        would not end in time, and reading the log counts. A refit is not limited.
    resume
        Continue an interrupted fit of the same data and settings.
    refit
        After selection, train again for the chosen number of epochs: on ``all`` interactions, to
        deploy, or on ``train+valid``, so that test may still judge it.
    item_ranks
        Under ``torchrun``, over how many processes items are split, and users over the others;
        ``None``: over as few as memory allows.
    warm_start
        Go on from this model: its settings hold where nothing else is said, also for reading and
        splitting log files, and its weights are carried over by item and user. The new model is its
        next version unless `name` says otherwise. Closed forms are fitted anew.
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
    started, watch = time.perf_counter(), Watch()
    chosen_device = own_device(choose_device(device))
    chosen_precision = choose_precision(precision, chosen_device)
    if name is not None:
        check_model_name(name)
    if refit not in (None, ALL, TRAIN_AND_VALID):
        raise UsageError(f"--refit {refit}: unknown", f"one of: {ALL}, {TRAIN_AND_VALID}")
    warm = None
    if warm_start is not None:
        warm = warm_start_of(warm_start, values or {})
        variant = warm.variant(variant, corruption, preset)
        name = name or warm.artifact.record.name
    else:
        variant = named(variant, corruption, preset)
    _require_parallel(variant, item_ranks)
    with ExitStack() as stack:
        stack.enter_context(connected(chosen_device))
        all_alike = arranged(chosen_device)
        dataset = _dataset(
            all_alike,
            data,
            name=dataset_name,
            read=read,
            split=split,
            items=items,
            overwrite=overwrite,
            dry_run=dry_run,
            like=None if warm is None else warm.dataset,
            listener=listener,
        )
        by_default = dataset.name if variant == AUTO else f"{dataset.name}-{as_file_name(variant)}"
        model_name = check_model_name(name or by_default)
        if warm is None:
            settings = settings_of(variant, preset, values or {}, dataset)
        else:
            warm = replace(warm, today=dataset)
            settings = [(Candidate(variant), warm.changed(values or {}))]
            listener(Note(in_words(warm.facts)))
        processes = _split(all_alike, settings[0][1], dataset, chosen_device, item_ranks)
        jobs = [
            (
                found,
                Job(
                    name=model_name,
                    dataset=dataset,
                    config=config,
                    preset=preset,
                    device=chosen_device,
                    precision=chosen_precision if config.trains else "fp32",
                    trained_on=refit or TRAIN,
                    default=default,
                    processes=processes,
                    warm=warm,
                    watch=watch,
                ),
            )
            for found, config in settings
        ]
        if variant == AUTO:
            listener(Note(_begins(jobs[0][0], dataset)))
        elif any_model or choose_seconds is not None:
            listener(Note(f"--choose-time and --any have no effect: the model is {variant}"))
        if dry_run:
            return _planned(jobs, listener)
        if max_seconds is not None:
            max_seconds = max(0.0, max_seconds - (time.perf_counter() - started))
        with memory_errors(chosen_device):
            if len(jobs) > 1:
                chosen = choose(
                    jobs,
                    seconds=CHOOSE_SECONDS if choose_seconds is None else choose_seconds,
                    max_seconds=max_seconds,
                    any_model=any_model,
                    resume=resume,
                    listener=listener,
                    stack=stack,
                )
            else:
                chosen = _as_told(jobs[0][1], resume, max_seconds, listener, stack)
            return _completed(chosen, listener)


def _require_parallel(variant: str, item_ranks: int | None) -> None:
    """Refuse what one process does alone, if there are several, and the other way round."""
    if launched()[1] == 1:
        if item_ranks is not None:
            raise UsageError(
                f"--item-ranks {item_ranks} is for several processes",
                "start them with torchrun, or leave it out",
            )
        return
    if variant == AUTO:
        raise UsageError(
            "--variant auto tries models in one process",
            "choose one with a plain `diffrec fit` or `compare`, then name it under torchrun",
        )
    model = Variant.parse(variant).model
    if model is not None and not MODELS[model].parallel:
        raise UsageError(
            f"{model} is fitted in one process", "leave torchrun out, or name another variant"
        )


def _dataset(all_alike: Processes, data: Any, *, dry_run: bool, **options: Any) -> Dataset:
    """Return the dataset, which one of several processes prepares."""
    if dry_run or all_alike.ranks == 1:
        return dataset_of(data, dry_run=dry_run, **options)
    if not all_alike.first:
        return store.load(all_alike.told())
    dataset = dataset_of(data, **options)
    all_alike.told(dataset.name)
    return dataset


def _split(
    all_alike: Processes,
    config: FitConfig,
    dataset: Dataset,
    device: str,
    item_ranks: int | None,
) -> Processes:
    """Return the processes with items split over some of them: as few as memory allows."""
    if all_alike.ranks == 1:
        return all_alike
    if item_ranks is not None and item_ranks > dataset.n_items:
        raise UsageError(
            f"--item-ranks {item_ranks}: there are {dataset.n_items} items", "use fewer"
        )
    if item_ranks is None:
        free, ranks = available_on(device), all_alike.ranks
        fits = (
            number
            for number in divisors(ranks)
            if free is None or memory_needed(config, dataset, number, ranks) <= free
        )
        most = max(n for n in divisors(ranks) if n <= dataset.n_items)
        item_ranks = all_alike.number(min(most, next(fits, most)))
    return arranged(device, item_ranks)


def _planned(jobs: Jobs, listener: Listener) -> Fitted:
    """Say what would be computed; return the plan of the first."""
    plans = [plan(job) for _, job in jobs]
    for decided in plans:
        listener(Plan(plan_line(decided), decided))
    if len(jobs) == 1:
        return Fitted(None, plans[0])
    names = [str(found) for found, _ in jobs]
    listener(Note(f"would choose among {', '.join(names)}"))
    return Fitted(None, {**plans[0], "candidates": names})


def _as_told(
    job: Job, resume: bool, max_seconds: float | None, listener: Listener, stack: ExitStack
) -> Chosen:
    """Fit the one model that was asked for."""
    decided = plan(job)
    listener(Plan(plan_line(decided), decided))
    model = Variant.parse(job.config.variant).model
    if job.dataset.weighed and model is not None and not MODELS[model].weighs:
        listener(Note(f"{model} takes all interactions alike: it cannot read their strengths"))
    run = _run_of_all(job, resume, listener, stack)
    outcome = train_model(job, run=run, resume=resume, max_seconds=max_seconds, listener=listener)
    return Chosen(job, run, outcome, {})


def _run_of_all(job: Job, resume: bool, listener: Listener, stack: ExitStack) -> Path:
    """Return the directory that the first process locks for all."""
    if job.processes.first:
        return Path(job.processes.told(str(open_run(job, resume, listener, stack))))
    run = Path(job.processes.told())
    if not run.is_dir():
        raise StorageError(
            f"{run} of the first process is not on this machine",
            "set DIFFREC_HOME to a directory that all machines share",
        )
    return run


def _begins(first: Candidate, dataset: Dataset) -> str:
    """Return what ``auto`` begins with, and why."""
    order = "in an order" if dataset.ordered else "in no order"
    others = "" if dataset.valid.size else ", and there is no valid part to choose others by"
    return f"rows are {order}, so {first} comes first{others}"


def _completed(chosen: Chosen, listener: Listener) -> Fitted:
    """Refit the model if that is wanted, and publish it."""
    tell_why_it_stopped(chosen.outcome.trained, listener)
    job, run = chosen.job, chosen.run
    outcome = refit_model(job, chosen.outcome, run=run, listener=listener)
    decided = plan(job)
    if not outcome.arrays:
        return Fitted(None, decided, interruption=outcome.interruption)
    artifact = _publish(job, outcome, run, chosen.record)
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
        choice=chosen.record,
    )


def _valid_curve(artifact: Artifact) -> tuple[float, ...]:
    values = (entry.get(SELECTION_METRIC) for entry in artifact.epoch_log())
    return tuple(value for value in values if value is not None)


def _publish(job: Job, outcome: TrainedModel, run: Path, choice: Mapping[str, Any]) -> Artifact:
    trained, complete = outcome.trained, outcome.interruption is None
    record = ModelRecord(
        name=job.name,
        variant=outcome.config.variant,
        config=outcome.config.to_dict(),
        parameters=outcome.parameters,
        choice=choice,
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
            warm_start={} if job.warm is None else job.warm.facts,
        ),
    )
    return registry.publish(
        record,
        outcome.arrays,
        job.dataset,
        epoch_log(run),
        make_default=job.default and complete,
        require=job.require_whole,
    )
