"""Choosing a model for a log: candidates are fitted in turn and compared on the valid part."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.catalogue import Candidate
from diffrec_cli.errors import DeviceError, DiffrecError, MissingExtraError, TrainingError
from diffrec_cli.evaluation.evaluate import evaluate
from diffrec_cli.files import dump_json, read_record, write_atomically
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.graph_selection import reused_parts
from diffrec_cli.models.scorer import build_scorer
from diffrec_cli.system_errors import writing
from diffrec_cli.training.checkpoint import discard
from diffrec_cli.training.devices import memory_errors
from diffrec_cli.training.loop import SELECTION_METRIC
from diffrec_cli.workflows.fitting.choice_in_words import VALID, told
from diffrec_cli.workflows.fitting.plan import Job, plan, plan_line
from diffrec_cli.workflows.fitting.run_directories import (
    discard_interrupted,
    interrupted_runs,
    nothing_to_resume,
    open_run,
)
from diffrec_cli.workflows.fitting.training import TrainedModel, train_model
from diffrec_cli.workflows.progress import Event, Listener, Note, Plan

#: One model is ahead of another from so many standard errors of the mean difference on.
ERRORS_AHEAD = 2.0
_FILE, _KIND, _SCHEMA_VERSION = "choice.json", "choice", 1
#: Errors for which a candidate is left out; others end the fit.
_OF_A_CANDIDATE = (TrainingError, DeviceError, MissingExtraError)

Jobs = Sequence[tuple[Candidate, Job]]
Recalls = NDArray[np.float64]


@dataclass(frozen=True)
class Chosen:
    """The model that was chosen.

    Parameters
    ----------
    job
        What was computed.
    run
        Directory of its run.
    outcome
        The fitted model; if choosing was interrupted, the best so far.
    record
        What was tried and how it did, as plain values; empty if choosing was interrupted.
    """

    job: Job
    run: Path
    outcome: TrainedModel
    record: Mapping[str, Any]


@dataclass
class _Tried:
    """A candidate that was fitted; it has no arrays any more once it cannot be chosen."""

    candidate: Candidate
    job: Job
    run: Path
    outcome: TrainedModel
    seconds: float
    notes: Sequence[Note] = ()
    eligible: bool = True
    recalls: Recalls | None = None

    @property
    def valid(self) -> float:
        """Valid Recall@20."""
        return self.outcome.trained.metrics[SELECTION_METRIC]

    def measured(self) -> Recalls:
        """Return valid Recall@20 of each user, (U,)."""
        if self.recalls is None:
            config = self.outcome.config
            scorer = build_scorer(config, self.outcome.arrays, TorchBackend(self.job.device))
            found = evaluate(
                scorer,
                self.job.dataset,
                "valid",
                ks=(20,),
                metrics=("recall",),
                temporal=config.temporal,
            )
            self.recalls = found.values[SELECTION_METRIC]
        return self.recalls


@dataclass
class _Trials:
    """What came of the candidates so far."""

    tried: list[_Tried] = field(default_factory=list)
    failed: dict[str, DiffrecError] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    interruption: BaseException | None = None
    cut_short: _Tried | None = None

    def latest(self, simple: bool) -> float:
        """Return the seconds of the latest fit of this kind; 0 if there was none."""
        alike = (one.seconds for one in reversed(self.tried) if one.candidate.simple == simple)
        return next(alike, 0.0)

    def preferred(self) -> _Tried | None:
        """Return what is chosen of those that were fitted."""
        free = [one for one in self.tried if one.eligible]
        if len(free) < 2:
            return free[0] if free else None
        return free[prefer([one.measured() for one in free])]

    def drop_losers(self) -> None:
        """Free the memory of what cannot be chosen any more."""
        if len(self.tried) < 2:
            return
        free = [one.measured() for one in self.tried if one.eligible]
        for one in self.tried:
            own = one.measured()
            if not one.eligible or any(_ahead(other, own) for other in free):
                one.outcome = replace(one.outcome, arrays={})


def choose(
    jobs: Jobs,
    *,
    seconds: float,
    max_seconds: float | None,
    any_model: bool,
    resume: bool,
    listener: Listener,
    stack: ExitStack,
) -> Chosen:
    """Fit candidates in turn while there is time, and return the one that valid prefers.

    The first one is fitted to its end. Another one is begun if a fit as long as the one before
    would end in time, and its training stops when the time is over. The first one that no other is
    ahead of is chosen, and trained to its end if it was stopped.

    Parameters
    ----------
    jobs
        Candidates in the order of the rule, and what to compute for each.
    seconds
        Time to choose in.
    max_seconds
        Time for the choice and the training of what is chosen; ``None``: no limit.
    any_model
        Whether simple models may be chosen.
    resume
        Whether to go on where it was interrupted: with the choice, or after it.
    listener
        Gets decisions and progress.
    stack
        Holds the locks of the run directories.

    Raises
    ------
    DiffrecError
        Nothing that may be chosen could be fitted; the error is that of the first.
    """
    started = time.perf_counter()
    if resume and (job := _chosen_before(jobs)):
        return _go_on(job, max_seconds, listener, stack)
    if resume and not any(interrupted_runs(job) for _, job in jobs):
        raise nothing_to_resume(jobs[0][1])
    limit = seconds if max_seconds is None else min(seconds, max_seconds)
    listener(Note(f"choosing by trials on valid, begun while {limit:.0f} s last (--choose-time)"))
    with reused_parts():
        trials = _try_in_turn(jobs, limit, max_seconds, any_model, resume, listener, stack)
    chosen = trials.preferred()
    if trials.interruption is not None:
        best = chosen or trials.cut_short
        if best is None:
            raise trials.interruption
        outcome = replace(best.outcome, interruption=trials.interruption)
        return Chosen(best.job, best.run, outcome, {})
    if chosen is None:
        raise next(iter(trials.failed.values()))
    record = _record(trials, chosen, time.perf_counter() - started)
    for note in [*map(Note, told(record)), *chosen.notes]:
        listener(note)
    kept = {"kind": _KIND, "schema_version": _SCHEMA_VERSION, "choice": record}
    with writing(chosen.run):
        write_atomically(chosen.run / _FILE, dump_json(kept))
    _discard_others(jobs, trials, chosen)
    left = None if max_seconds is None else max_seconds - (time.perf_counter() - started)
    return Chosen(chosen.job, chosen.run, _to_its_end(chosen, left, listener), record)


def prefer(recalls: Sequence[Recalls]) -> int:
    """Return the place of the first model that no other one is ahead of, beyond chance.

    Parameters
    ----------
    recalls
        Valid Recall@20 of the same users, (U,), for each model in the order of the rule.

    Examples
    --------
    >>> weak, good, better = np.full(9, 0.1), np.linspace(0, 1, 9), np.linspace(1, 0.01, 9)
    >>> prefer([weak, good, better])
    1
    """
    return next(
        place
        for place, values in enumerate(recalls)
        if not any(_ahead(other, values) for other in recalls)
    )


def _ahead(first: Recalls, second: Recalls) -> bool:
    """Tell whether the first is ahead by more than chance, over users."""
    difference = first - second
    error = difference.std() / np.sqrt(len(difference))
    return bool(difference.mean() > 0 and difference.mean() >= ERRORS_AHEAD * error)


def _try_in_turn(
    jobs: Jobs,
    limit: float,
    max_seconds: float | None,
    any_model: bool,
    resume: bool,
    listener: Listener,
    stack: ExitStack,
) -> _Trials:
    """Fit candidates until the time is over or one is interrupted."""
    trials, started = _Trials(), time.perf_counter()
    for candidate, job in jobs:
        spent = time.perf_counter() - started
        if trials.tried and spent + trials.latest(candidate.simple) > limit:
            trials.left.append(str(candidate))
            continue
        most = limit if trials.tried else max_seconds
        left = None if most is None else max(0.0, most - spent)
        try:
            if trials.tried:
                listener(Note(f"trying {candidate}"))
            one = _try(candidate, job, left, resume, listener, stack)
            one.eligible = any_model or not candidate.simple
            if one.outcome.interruption is not None:
                trials.interruption, trials.cut_short = one.outcome.interruption, one
                break
            trials.tried.append(one)
            seconds = f"{one.seconds:.0f} s"
            listener(Note(f"{candidate}: valid Recall@20 {one.valid:.4f} after {seconds}"))
            trials.drop_losers()
        except _OF_A_CANDIDATE as error:
            listener(Note(f"{candidate} is left out: {error.what} ({error.fix})"))
            error.__cause__ = error.__context__ = None  # their frames hold the model
            trials.failed[str(candidate)] = error.with_traceback(None)
        except KeyboardInterrupt as error:
            trials.interruption = error
            break
    return trials


def _try(
    candidate: Candidate,
    job: Job,
    max_seconds: float | None,
    resume: bool,
    listener: Listener,
    stack: ExitStack,
) -> _Tried:
    """Fit a candidate."""
    started = time.perf_counter()
    held = _Held(listener)
    decided = plan(job)
    held(Plan(plan_line(decided), decided))
    resume = resume and bool(interrupted_runs(job))
    run = open_run(job, resume, held, stack)
    try:
        with memory_errors(job.device):
            outcome = train_model(
                job, run=run, resume=resume, max_seconds=max_seconds, listener=held
            )
    except _OF_A_CANDIDATE:
        discard(run)  # it would fail again
        raise
    outcome = replace(outcome, trained=replace(outcome.trained, weights={}))  # arrays has them
    return _Tried(candidate, job, run, outcome, time.perf_counter() - started, held.notes)


class _Held:
    """A listener that holds back what is said of a candidate: of the chosen one it is told."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.notes: list[Note] = []

    def __call__(self, event: Event) -> None:
        """Keep decisions, pass progress on."""
        if isinstance(event, Note):
            self.notes.append(event)
        elif isinstance(event, Plan):
            self.notes.append(Note(event.text))
        else:
            self.listener(event)


def _discard_others(jobs: Jobs, trials: _Trials, chosen: _Tried) -> None:
    """Remove the runs of what was not chosen, and earlier interrupted ones."""
    for one in trials.tried:
        if one is not chosen:
            discard(one.run)
    for _, job in jobs:
        discard_interrupted(job)


def _record(trials: _Trials, chosen: _Tried, seconds: float) -> dict[str, Any]:
    """Return what was tried and how it did, as plain values."""
    alone = len(trials.tried) == 1
    rows = [
        {
            "model": str(one.candidate),
            "variant": one.candidate.variant,
            "values": dict(one.candidate.values),
            "simple": one.candidate.simple,
            VALID: one.valid,
            "seconds": one.seconds,
            "stopped": one.outcome.trained.stopped,
            "ahead": not alone and _ahead(one.measured(), chosen.measured()),
            "behind": not alone and _ahead(chosen.measured(), one.measured()),
        }
        for one in trials.tried
    ]
    return {
        "chosen": str(chosen.candidate),
        "seconds": seconds,
        "tried": rows,
        "failed": [{"model": name, "why": error.what} for name, error in trials.failed.items()],
        "not_tried": trials.left,
    }


def _to_its_end(chosen: _Tried, left: float | None, listener: Listener) -> TrainedModel:
    """Return what was chosen, trained to its end if time stopped it."""
    if chosen.outcome.trained.stopped != "time" or (left is not None and left <= 0):
        return chosen.outcome
    listener(Note(f"training {chosen.candidate} to its end"))
    outcome = train_model(
        chosen.job, run=chosen.run, resume=True, max_seconds=left, listener=listener
    )
    if outcome.interruption is not None:
        return replace(chosen.outcome, interruption=outcome.interruption)
    return outcome


def _chosen_before(jobs: Jobs) -> Job | None:
    """Return what was chosen before it was interrupted."""
    for _, job in jobs:
        runs = interrupted_runs(job)
        if runs and (runs[0] / _FILE).exists():
            return job
    return None


def _go_on(job: Job, max_seconds: float | None, listener: Listener, stack: ExitStack) -> Chosen:
    """Train what was chosen to its end."""
    decided = plan(job)
    listener(Plan(plan_line(decided), decided))
    run = open_run(job, True, listener, stack)
    record = read_record(run / _FILE, kind=_KIND, schema_version=_SCHEMA_VERSION)["choice"]
    listener(Note(f"{record['chosen']} was chosen before: training it to its end"))
    outcome = train_model(job, run=run, resume=True, max_seconds=max_seconds, listener=listener)
    return Chosen(job, run, outcome, record)
