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
from diffrec_cli.errors import DiffrecError
from diffrec_cli.evaluation.evaluate import evaluate
from diffrec_cli.files import dump_json, read_record, storage_errors, write_atomically
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.scorer import build_scorer
from diffrec_cli.training.checkpoint import discard
from diffrec_cli.training.devices import memory_errors
from diffrec_cli.training.loop import SELECTION_METRIC
from diffrec_cli.workflows.fitting.plan import Job, plan, plan_line
from diffrec_cli.workflows.fitting.run_directories import interrupted_runs, open_run
from diffrec_cli.workflows.fitting.training import TrainedModel, train_model
from diffrec_cli.workflows.progress import Listener, Note, Plan

#: Two models are tied if their mean difference is below so many of its standard errors.
ERRORS_OF_A_TIE = 2.0
_FILE, _KIND, _SCHEMA_VERSION = "choice.json", "choice", 1

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


@dataclass(frozen=True)
class _Tried:
    candidate: Candidate
    job: Job
    run: Path
    outcome: TrainedModel
    seconds: float

    @property
    def valid(self) -> float:
        """Valid Recall@20; 0 where it could not be measured."""
        return self.outcome.trained.metrics.get(SELECTION_METRIC, 0.0)

    def recalls(self) -> Recalls:
        """Return valid Recall@20 of each user, (U,)."""
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
        return found.values[SELECTION_METRIC]


@dataclass
class _Trials:
    """What came of the candidates so far."""

    tried: list[_Tried] = field(default_factory=list)
    failed: dict[str, DiffrecError] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    interruption: BaseException | None = None


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

    The first one is fitted to its end. Another one is begun if the longest fit so far would fit
    into what is left of the time, and is stopped when the time is over. Of those that valid does
    not separate from the best the first is chosen, and trained to its end if it was stopped.

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
        No candidate could be fitted; the error is that of the first.
    """
    started = time.perf_counter()
    if resume and (job := _chosen_before(jobs)):
        return _go_on(job, max_seconds, listener, stack)
    limit = seconds if max_seconds is None else min(seconds, max_seconds)
    trials = _try_in_turn(jobs, limit, max_seconds, resume, listener, stack)
    if not trials.tried:
        raise trials.interruption or next(iter(trials.failed.values()))
    if trials.interruption is not None:
        best = max(trials.tried, key=lambda one: one.valid)
        outcome = replace(best.outcome, interruption=trials.interruption)
        return Chosen(best.job, best.run, outcome, {})
    chosen, record = _decide(trials, any_model, time.perf_counter() - started, listener)
    for one in trials.tried:
        if one is not chosen:
            discard(one.run)
    kept = {"kind": _KIND, "schema_version": _SCHEMA_VERSION, "choice": record}
    with storage_errors(chosen.run):
        write_atomically(chosen.run / _FILE, dump_json(kept))
    outcome = chosen.outcome
    left = None if max_seconds is None else max_seconds - (time.perf_counter() - started)
    if outcome.trained.stopped == "time" and (left is None or left > 0):
        listener(Note(f"training {chosen.candidate} to its end"))
        outcome = train_model(
            chosen.job, run=chosen.run, resume=True, max_seconds=left, listener=listener
        )
    return Chosen(chosen.job, chosen.run, outcome, record)


def prefer(recalls: Sequence[Recalls]) -> int:
    """Return the place of the first model that the best one is not clearly ahead of.

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
    best = recalls[int(np.argmax([values.mean() for values in recalls]))]
    return next(place for place, values in enumerate(recalls) if not _ahead(best, values))


def _ahead(first: Recalls, second: Recalls) -> bool:
    """Tell whether the first is ahead by more than chance, over users."""
    difference = first - second
    error = difference.std() / np.sqrt(len(difference))
    return bool(difference.mean() > 0 and difference.mean() >= ERRORS_OF_A_TIE * error)


def _try_in_turn(
    jobs: Jobs,
    limit: float,
    max_seconds: float | None,
    resume: bool,
    listener: Listener,
    stack: ExitStack,
) -> _Trials:
    trials, started = _Trials(), time.perf_counter()
    if resume and not any(interrupted_runs(job) for _, job in jobs):
        open_run(jobs[0][1], True, listener, stack)  # says that there is nothing to resume
    for place, (candidate, job) in enumerate(jobs):
        spent = time.perf_counter() - started
        longest = max((one.seconds for one in trials.tried), default=0.0)
        if trials.tried and spent + longest > limit:
            trials.left = [str(later) for later, _ in jobs[place:]]
            break
        most = limit - spent if trials.tried else max_seconds
        try:
            one = _try(candidate, job, most, resume, listener, stack)
        except DiffrecError as error:
            listener(Note(f"{candidate} is left out: {error}"))
            trials.failed[str(candidate)] = error
            continue
        except KeyboardInterrupt as error:
            trials.interruption = error
            break
        trials.interruption = one.outcome.interruption
        if one.outcome.arrays:
            trials.tried.append(one)
        if trials.interruption is not None:
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
    decided = plan(job)
    listener(Plan(plan_line(decided), decided))
    resume = resume and bool(interrupted_runs(job))
    run = open_run(job, resume, listener, stack)
    with memory_errors(job.device):
        outcome = train_model(
            job, run=run, resume=resume, max_seconds=max_seconds, listener=listener
        )
    one = _Tried(candidate, job, run, outcome, time.perf_counter() - started)
    listener(Note(f"{candidate}: valid Recall@20 {one.valid:.4f} after {one.seconds:.0f} s"))
    return one


def _decide(
    trials: _Trials, any_model: bool, seconds: float, listener: Listener
) -> tuple[_Tried, dict[str, Any]]:
    """Return what is chosen, and the record of the choice; say both."""
    tried = trials.tried
    recalls = [one.recalls() for one in tried] if len(tried) > 1 else [np.zeros(1)]
    free = [i for i, one in enumerate(tried) if any_model or not one.candidate.simple]
    free = free or list(range(len(tried)))  # all others failed
    place = free[prefer([recalls[i] for i in free])]
    chosen = tried[place]
    rows = [
        {
            "model": str(one.candidate),
            "variant": one.candidate.variant,
            "values": dict(one.candidate.values),
            "simple": one.candidate.simple,
            f"valid_{SELECTION_METRIC}": one.valid,
            "seconds": one.seconds,
            "stopped": one.outcome.trained.stopped,
            "ahead": _ahead(recalls[i], recalls[place]),
            "behind": _ahead(recalls[place], recalls[i]),
        }
        for i, one in enumerate(tried)
    ]
    record = {
        "chosen": str(chosen.candidate),
        "seconds": seconds,
        "tried": rows,
        "failed": {name: str(error) for name, error in trials.failed.items()},
        "not_tried": trials.left,
    }
    for line in _lines(chosen, record):
        listener(Note(line))
    return chosen, record


def _lines(chosen: _Tried, record: Mapping[str, Any]) -> list[str]:
    """Return what was chosen and why, in a few lines."""
    others = [row for row in record["tried"] if row["model"] != record["chosen"]]
    others.sort(key=lambda row: -row[f"valid_{SELECTION_METRIC}"])
    ties = [row for row in others if not row["ahead"] and not row["behind"]]
    behind = [row for row in others if row["behind"]]
    ahead = [row for row in others if row["ahead"]]  # simple ones, which may not be chosen

    def listed(rows: Sequence[Mapping[str, Any]]) -> str:
        return ", ".join(_beside(row, chosen.valid) for row in rows)

    head = f"chose {chosen.candidate}, valid Recall@20 {chosen.valid:.4f}"
    if not others:
        lines = [f"{head}, the first by the rule; no other one was tried"]
    else:
        lines = [f"{head}, of {len(others) + 1} tried in {record['seconds']:.0f} s"]
    if ties:
        lines.append(f"a tie on valid with {listed(ties)}: the first by the rule is taken")
    if behind:
        lines.append(f"behind it: {listed(behind)}")
    if ahead:
        lines.append(f"ahead of it, but no diffusion: {listed(ahead)}; --any takes the best")
    if record["not_tried"]:
        names = ", ".join(record["not_tried"])
        lines.append(f"not tried for lack of time: {names}; a longer --choose-time tries them")
    return lines


def _beside(row: Mapping[str, Any], chosen: float) -> str:
    value = row[f"valid_{SELECTION_METRIC}"]
    share = f" ({value / chosen - 1:+.1%})" if chosen else ""
    return f"{row['model']} {value:.4f}{share}"


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
