"""From a job to a trained model: by epochs, or in closed form."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from diffrec_cli.config import FitConfig
from diffrec_cli.config.options import IN_WORDS, TRAIN
from diffrec_cli.data.arrays import save_array
from diffrec_cli.data.sequences import Sequences, input_rows
from diffrec_cli.evaluation.evaluate import evaluate
from diffrec_cli.graph.judging import Late, never
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.baselines import fit_closed_form
from diffrec_cli.models.build import array_size, build_model, parameter_count, stored_weights
from diffrec_cli.models.graph_parts import NONE
from diffrec_cli.models.scorer import build_scorer
from diffrec_cli.models.trainable import Trainable
from diffrec_cli.system_errors import writing
from diffrec_cli.training.distributed import ALONE
from diffrec_cli.training.loop import Epoch, Trained, train
from diffrec_cli.workflows.fitting.closed_form import fit_on_train
from diffrec_cli.workflows.fitting.graphs import refitted_graphs, with_graphs
from diffrec_cli.workflows.fitting.item_clustering import item_groups
from diffrec_cli.workflows.fitting.plan import Job
from diffrec_cli.workflows.fitting.shared_graphs import parts_by_all
from diffrec_cli.workflows.progress import EpochDone, Listener, Note, Step, silent

Arrays = dict[str, NDArray[Any]]
EPOCHS_WITHOUT_VALIDATION = 50
#: How much of a limited time a model with item graphs may train.
_TRAINING_SHARE = 0.5


@dataclass(frozen=True)
class TrainedModel:
    """The result of a job.

    Parameters
    ----------
    trained
        How training went; its weights are from selection, even after a refit.
    arrays
        The weights that scorers read; empty after an interruption in the first epoch.
    config
        The settings; closed forms find some on the valid part.
    parameters
        Number of trained parameters, or of numbers that a closed form stores.
    trained_on
        What the arrays are from.
    interruption
        What interrupted it, if anything.
    """

    trained: Trained
    arrays: dict[str, NDArray[Any]]
    config: FitConfig
    parameters: int = 0
    trained_on: str = TRAIN
    interruption: BaseException | None = None


def train_model(
    job: Job,
    *,
    run: Path | None = None,
    resume: bool = False,
    max_seconds: float | None = None,
    listener: Listener = silent,
) -> TrainedModel:
    """Train a model on the train part and choose its epoch, or fit one that has no epochs.

    Parameters
    ----------
    job
        What to compute.
    run
        Directory for checkpoints; ``None`` writes nothing.
    resume
        Continue from the checkpoint there.
    max_seconds
        Stop after this time and keep the best epoch; with item graphs training stops after half of
        it, and their search at the end. Closed forms are not limited.
    listener
        Gets progress.
    """
    if not job.config.trains:
        return _in_closed_form(job, listener)
    late = _after(max_seconds)
    of_item = _groups(job, run, resume, listener)
    model = _built(job, of_item, job.dataset.train)
    to_train = max_seconds
    if job.config.graph is not None and max_seconds is not None:
        to_train = _TRAINING_SHARE * max_seconds
    trained = _select(job, model, run, resume, to_train, listener)
    ready: Arrays = {}
    if trained.epoch > 0 and trained.interruption is None:
        try:
            ready = _built_by_all(job, TRAIN, run)
        except KeyboardInterrupt as error:
            trained = replace(trained, interruption=error)
    if trained.epoch == 0 or not job.processes.first:
        return TrainedModel(trained, {}, job.config, interruption=trained.interruption)
    if job.processes.ranks > 1:  # from here on the first process goes alone, with all items
        job = replace(job, processes=ALONE)
        model = _built(job, of_item, job.dataset.train)
    if trained.interruption is None and _valid_sample(job) is not None:
        model.load_state_dict(trained.weights)
        trained = replace(trained, metrics=_measured(job, model, None))
    config, arrays, trained = _summed(job, model, trained, listener, late, ready)
    parameters = parameter_count(model)
    return TrainedModel(trained, arrays, config, parameters, interruption=trained.interruption)


def refit_model(
    job: Job, selected: TrainedModel, *, run: Path | None = None, listener: Listener = silent
) -> TrainedModel:
    """Return a selected model trained again on what the job says; if interrupted, as it was.

    Parameters
    ----------
    job, run, listener
        As for :func:`train_model`.
    selected
        What that returned.
    """
    if job.trained_on == TRAIN or selected.interruption is not None:
        return selected
    if not selected.config.trains:
        return _fitted_again(job, selected, listener)
    try:
        return _trained_again(job, selected, run, listener)
    except KeyboardInterrupt as error:
        return replace(selected, interruption=error)


def _trained_again(
    job: Job, selected: TrainedModel, run: Path | None, listener: Listener
) -> TrainedModel:
    """Train for the chosen number of epochs."""
    job.processes.wait()  # the first one may have built item graphs
    of_item = _groups(job, run, True, listener)
    history = job.dataset.history(job.trained_on)
    fresh = _built(job, of_item, history)
    again = _refit(job, fresh, selected.trained.epoch, run, listener)
    if again.interruption is not None:
        raise again.interruption
    ready = _built_by_all(job, job.trained_on, run)
    if not job.processes.first:
        return selected
    if job.processes.ranks > 1:
        fresh = _built(replace(job, processes=ALONE), of_item, history)
    fresh.load_state_dict(again.weights)
    arrays = _graphs_again(job, selected, stored_weights(fresh.scoring_weights()), ready)
    return replace(selected, arrays=arrays, trained_on=job.trained_on)


def _fitted_again(job: Job, selected: TrainedModel, listener: Listener) -> TrainedModel:
    """Fit a model that has no epochs with the settings that were found."""
    listener(Note(f"fitting again on {IN_WORDS[job.trained_on]}"))
    history, n_items = job.dataset.history(job.trained_on), job.dataset.n_items
    arrays = fit_closed_form(selected.config, input_rows(history, None), n_items)
    arrays = _graphs_again(job, selected, arrays)
    return replace(
        selected, arrays=arrays, parameters=array_size(arrays), trained_on=job.trained_on
    )


def _graphs_again(
    job: Job, selected: TrainedModel, arrays: Arrays, ready: Mapping[str, Any] = NONE
) -> Arrays:
    config, trained_on = selected.config, job.trained_on
    if config.graph is None:
        return arrays
    return refitted_graphs(config, arrays, job.dataset, trained_on, job.device, ready)


def _built_by_all(job: Job, trained_on: str, run: Path | None) -> Arrays:
    """Return what all processes build of item graphs; in one process nothing."""
    settings, dataset = job.config.graph, job.dataset
    if settings is None or run is None or job.processes.ranks == 1:
        return {}
    history = dataset.judged if trained_on == TRAIN else dataset.history(trained_on)
    rows = input_rows(history, job.config.temporal)
    return parts_by_all(settings, rows, dataset.n_items, job.config.seed, run, job.processes)


def _built(job: Job, of_item: NDArray[np.int64] | None, train: Sequences) -> Trainable:
    """Return the model with initial weights: of the items of this process."""
    n_items, config = job.dataset.n_items, job.training
    items = job.processes.items(n_items)
    if job.warm is None:
        return build_model(config, n_items, of_item, train, items)
    sized_by = job.warm.weights.get("of_item")
    model = build_model(config, n_items, of_item, train, items, sized_by)
    job.warm.give(model, config)
    return model


def _after(seconds: float | None) -> Late:
    """Return what tells whether so many seconds have passed from now on."""
    if seconds is None:
        return never
    until = time.monotonic() + seconds
    return lambda: time.monotonic() >= until


def _summed(
    job: Job,
    model: Trainable,
    trained: Trained,
    listener: Listener,
    late: Late,
    ready: Mapping[str, Any],
) -> tuple[FitConfig, Arrays, Trained]:
    """Return the settings and arrays to store of a selected model, and its valid metrics.

    Item graphs are added if that is wanted, but not to an interrupted training: they take a while.
    If they are interrupted, the model is kept without them.
    """
    model.load_state_dict(trained.weights)
    arrays = stored_weights(model.scoring_weights())
    config = job.config
    if config.graph is None:
        return config, arrays, trained
    if trained.interruption is None:
        try:
            dataset, device = job.dataset, job.device
            config, arrays = with_graphs(config, arrays, dataset, device, listener, late, ready)
        except KeyboardInterrupt as error:
            trained = replace(trained, interruption=error)
    if trained.interruption is not None:
        listener(Note("interrupted: keeping the trained model without item graphs"))
        return replace(config, graph=None), arrays, trained
    if job.dataset.valid.size:
        scorer = build_scorer(config, arrays, TorchBackend(job.device))
        found = evaluate(scorer, job.dataset, "valid", temporal=config.temporal)
        trained = replace(trained, metrics=found.means)
    return config, arrays, trained


def _in_closed_form(job: Job, listener: Listener) -> TrainedModel:
    """Fit a model that has no epochs, and measure it on the valid part."""
    dataset = job.dataset
    started = time.perf_counter()
    config, arrays = fit_on_train(replace(job.config, graph=None), dataset, listener)
    if job.config.graph is not None:
        config = replace(config, graph=job.config.graph)
        config, arrays = with_graphs(config, arrays, dataset, job.device, listener)
    seconds = time.perf_counter() - started
    valid: dict[str, float] = {}
    if dataset.valid.size:
        scorer = build_scorer(config, arrays, TorchBackend(job.device))
        valid = evaluate(scorer, dataset, "valid", temporal=config.temporal).means
    trained = Trained({}, 0, 0, valid, "closed form", seconds)
    return TrainedModel(trained, arrays, config, array_size(arrays))


def tell_why_it_stopped(trained: Trained, listener: Listener) -> None:
    """Note if training stopped for lack of time or diverged."""
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


def _groups(
    job: Job, run: Path | None, resume: bool, listener: Listener
) -> NDArray[np.int64] | None:
    """Return the item groups of a latent variant: new ones, or the resumed run's."""
    path = None if run is None else run / "groups.npy"
    if path is not None and not job.processes.first:
        job.processes.wait()
        return np.load(path, allow_pickle=False) if path.exists() else None
    of_item = _first_groups(job, path, resume, listener)
    job.processes.wait()
    return of_item


def _first_groups(
    job: Job, path: Path | None, resume: bool, listener: Listener
) -> NDArray[np.int64] | None:
    if resume and path is not None and path.exists():
        kept: NDArray[np.int64] = np.load(path, allow_pickle=False)
        return kept
    of_item: NDArray[np.int64] | None
    if job.warm is not None and job.config.latent is not None:
        of_item = job.warm.groups()
    else:
        of_item = item_groups(job.dataset, job.config, job.device, listener)
    if of_item is not None and path is not None:
        with writing(path):
            save_array(path, of_item)
    return of_item


def _select(
    job: Job,
    model: Trainable,
    run: Path | None,
    resume: bool,
    max_seconds: float | None,
    listener: Listener,
) -> Trained:
    """Train on the train part, choosing the epoch by the valid part."""
    training, stages = job.training.training, _Listening(job.training, listener)
    if training.epoch_updates is not None:
        passes = training.epoch_updates * training.batch_size / max(1, job.dataset.n_users)
        listener(Note(f"an epoch is {training.epoch_updates} updates, {passes:.2g} passes"))
    validate = _validation(job, listener)
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
        processes=job.processes,
        on_epoch=stages.epoch,
        on_batch=stages.batch,
    )


def _refit(
    job: Job, model: Trainable, epochs: int, run: Path | None, listener: Listener
) -> Trained:
    """Train anew on more than the train part, for the chosen number of epochs."""
    listener(Note(f"training again on {IN_WORDS[job.trained_on]} for {epochs} epochs"))
    config = replace(job.training.training, epochs=epochs)
    stages = _Listening(replace(job.training, training=config), listener)
    own = None  # several processes join their weights in files
    if run is not None and job.processes.ranks > 1:
        own = run / "refit"
        own.mkdir(exist_ok=True)
    return train(
        model,
        input_rows(job.dataset.history(job.trained_on), job.config.temporal),
        config,
        device=job.device,
        precision=job.precision,
        run=own,
        processes=job.processes,
        on_epoch=stages.epoch,
        on_batch=stages.batch,
    )


def _validation(job: Job, listener: Listener) -> Callable[[Trainable], dict[str, float]] | None:
    """Return a function that measures a model on the valid part; None if that is empty."""
    to_find = job.dataset.to_find("valid")
    if to_find.size == 0:
        return None
    users = _valid_sample(job)
    if users is not None:
        of = np.count_nonzero(to_find.lengths)
        listener(Note(f"validating on a fixed sample of {len(users):,} of {of:,} users"))
    return lambda model: _measured(job, model, users)


def _valid_sample(job: Job) -> NDArray[np.int64] | None:
    """Return the users of a validation, the same for all seeds and models; None: all of them."""
    users = np.flatnonzero(job.dataset.to_find("valid").lengths > 0)
    size = job.config.training.valid_users
    if size is None or size >= len(users):
        return None
    return np.sort(np.random.default_rng(0).choice(users, size, replace=False))


def _measured(job: Job, model: Trainable, users: NDArray[np.int64] | None) -> dict[str, float]:
    """Return the metrics of a model on the valid part."""
    model.eval()
    with torch.inference_mode():
        config = replace(job.config, graph=None)
        backend = job.processes.backend(job.device, job.dataset.n_items)
        found = evaluate(
            build_scorer(config, model.scoring_weights(), backend),
            job.dataset,
            "valid",
            temporal=job.config.temporal,
            users=users,
            ranked=job.processes.ranked,
        )
    return found.means


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
