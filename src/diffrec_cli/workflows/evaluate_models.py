"""Metrics of stored models and simple baselines, side by side."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from diffrec_cli.catalogue import closed_forms
from diffrec_cli.config import FitConfig
from diffrec_cli.config.options import ALL, IN_WORDS, TRAIN, TRAIN_AND_VALID
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.sequences import input_rows
from diffrec_cli.data.tables import check_target, write_file
from diffrec_cli.errors import GateError, UsageError
from diffrec_cli.evaluation.evaluate import HISTORIES, Evaluation
from diffrec_cli.evaluation.evaluate import evaluate as evaluate_scorer
from diffrec_cli.evaluation.metrics import METRICS, parse_metric
from diffrec_cli.evaluation.significance import Paired, interval, paired_randomisation
from diffrec_cli.launch import launched
from diffrec_cli.models.backend import Backend, TorchBackend
from diffrec_cli.models.baselines import fit_closed_form
from diffrec_cli.models.baselines.selection import selects_on_valid
from diffrec_cli.models.scorer import Scorer, build_scorer
from diffrec_cli.registry import versions as registry
from diffrec_cli.registry.artifact import Artifact
from diffrec_cli.training.devices import (
    choose_device,
    memory_errors,
    own_device,
    ranking_fix,
    ranking_precision,
)
from diffrec_cli.training.distributed import arranged, connected
from diffrec_cli.workflows.fitting.closed_form import fit_on_train
from diffrec_cli.workflows.fitting.settings import default_settings
from diffrec_cli.workflows.progress import Listener, Note, Step, silent
from diffrec_cli.workflows.serving.loading import load_scorer

SPLITS = ("valid", "test")
_MINIMUM = re.compile(r"\s*([a-z]+@\d+)\s*=\s*([0-9.eE+-]+)\s*")


@dataclass(frozen=True)
class Result:
    """One model's metrics.

    Parameters
    ----------
    model
        Reference, or the name of a baseline.
    split
        ``valid`` or ``test``.
    history
        What the model read: ``train`` or ``train+valid``.
    evaluation
        The figures, per user and in the mean.
    user_ids
        Ids of the evaluated users.
    baseline
        Whether it was fitted for this comparison, not stored.
    difference
        Paired difference of the first model to this one on Recall@20 (or the first metric asked
        for), if their data are the same.
    intervals
        95% interval of each metric's mean over users, if asked for.
    """

    model: str
    split: str
    history: str
    evaluation: Evaluation
    user_ids: list[str] = field(repr=False)
    baseline: bool
    difference: Paired | None = None
    intervals: Mapping[str, tuple[float, float]] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON; figures are not rounded."""
        plain: dict[str, Any] = {
            "model": self.model,
            "split": self.split,
            "history": self.history,
            "users": len(self.evaluation.users),
            "metrics": self.evaluation.means,
        }
        if self.difference is not None:
            plain["difference"] = {
                "mean": self.difference.difference,
                "low": self.difference.low,
                "high": self.difference.high,
                "p_value": self.difference.p_value,
            }
        if self.intervals is not None:
            plain["intervals"] = {
                name: {"low": low, "high": high} for name, (low, high) in self.intervals.items()
            }
        if self.evaluation.groups:
            plain["groups"] = [asdict(group) for group in self.evaluation.groups]
        return plain


@dataclass(frozen=True)
class Evaluated:
    """The results of an evaluation.

    Parameters
    ----------
    results
        Models in the order given, then baselines; all with the first history, then all with the
        other one, if there is one.
    compared
        The metric of the paired differences; ``None`` when there is one result.
    """

    results: list[Result]
    compared: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {"results": [result.to_dict() for result in self.results]}

    @property
    def first_history(self) -> list[Result]:
        """Results with the first history: these are compared, and written for each user."""
        return [result for result in self.results if result.history == self.results[0].history]

    def require(self, minima: Mapping[str, float]) -> None:
        """Raise a :class:`GateError` if a model is below a minimum with the first history.

        Baselines may be.
        """
        for result in self.first_history:
            for metric, minimum in minima.items():
                value = result.evaluation.means[metric]
                if not result.baseline and value < minimum:
                    raise GateError(
                        f"{result.model}: {metric} is {value:.4f}, below {minimum:g}",
                        "do not deploy this model, or lower --min",
                    )


def parse_minima(texts: Sequence[str]) -> dict[str, float]:
    """Return metrics and their minima from texts like ``ndcg@20=0.1``."""
    minima = {}
    for text in texts:
        match = _MINIMUM.fullmatch(text)
        if match is None:
            raise UsageError(f"--min {text}: not METRIC@K=VALUE", "for example --min ndcg@20=0.1")
        parse_metric(match[1])
        try:
            minima[match[1]] = float(match[2])
        except ValueError:
            raise UsageError(f"--min {text}: {match[2]!r} is not a number", "") from None
    return minima


def evaluate(
    models: Sequence[str] = (),
    *,
    split: str = "test",
    ks: Sequence[int] = (10, 20),
    metrics: Sequence[str] = ("recall", "ndcg"),
    history: str | None = None,
    baselines: Sequence[str] = (),
    minima: Mapping[str, float] | None = None,
    per_user: Path | None = None,
    groups: bool = False,
    intervals: bool = False,
    include_seen: bool | None = None,
    device: str = "auto",
    precision: str = "auto",
    listener: Listener = silent,
) -> Evaluated:
    """Measure models on the split they were stored with.

    Parameters
    ----------
    models
        References; none: the default model.
    split
        ``valid`` or ``test``.
    ks, metrics
        Cutoffs, and names out of recall, ndcg, precision, mrr, hit, novelty, coverage.
    history
        Input when testing: ``train`` (the paper's protocol) or ``train+valid``. ``None`` is
        ``train``, but ``train+valid`` if a model was trained on that. If the first model's dataset
        has an order, ``None`` measures with ``train``, then with ``train+valid``, which is what a
        model in use reads.
    baselines
        Simple models to fit on the first model's dataset and measure too.
    minima
        Metrics to compute for :meth:`Evaluated.require`.
    per_user
        A .csv, .jsonl or .parquet file to write every user's metrics to.
    groups
        Also measure thirds of users by activity, and of interactions by item popularity.
    intervals
        Also compute a 95% interval of each mean.
    include_seen
        Whether lists have items of the history too, and are to find them again; ``None``: if the
        log's repeats were kept.
    device
        Where to compute.
    precision
        ``bf16`` finds candidates in bfloat16 and scores them again; ``auto`` is ``fp32``.
    listener
        Gets progress.

    Raises
    ------
    UsageError
        An option has a wrong value, or a model was trained on what it is to predict (``--refit``).
    """
    _check_options(split, ks, metrics, history, baselines)
    for metric in minima or {}:
        name, k = parse_metric(metric)
        metrics, ks = _with(metrics, name), _with(ks, k)
    if per_user is not None:
        check_target(per_user)
    device, precision = own_device(choose_device(device)), ranking_precision(precision)
    backend = TorchBackend(device)
    artifacts = [registry.resolve(model) for model in models] or [registry.resolve(None)]
    for artifact in artifacts:
        _refuse_trained_on(artifact, split)
    trained_on = artifacts[0].record.training.trained_on
    histories = _histories_of(artifacts, split, history, listener)
    options = {"ks": ks, "metrics": metrics, "grouped": groups, "precision": precision}
    options["include_seen"] = include_seen
    with memory_errors(device, ranking_fix(device)), connected(device):
        options["ranked"] = arranged(device).ranked
        scored = [_loaded(artifact, backend) for artifact in artifacts]
        first = scored[0].dataset
        scored += [_fitted(name, first, trained_on, backend, listener) for name in baselines]
        _tell_what_flatters(scored, split, listener)
        _tell_of_repeats(first, split, include_seen, listener)
        results = [
            _measured(one, split, known, options, intervals, listener)
            for known in histories
            for one in scored
        ]
    evaluated = _compared(results, scored, listener)
    if per_user is not None and launched()[0] == 0:
        write_file(per_user, [per_user_table(evaluated)])
    return evaluated


@dataclass(frozen=True)
class _Scored:
    """A model to measure."""

    name: str
    dataset: Dataset
    scorer: Scorer
    config: FitConfig
    baseline: bool = False


def _loaded(artifact: Artifact, backend: Backend) -> _Scored:
    """Return a stored model."""
    config, dataset = artifact.config(), artifact.dataset()
    scorer = load_scorer(artifact, config, dataset, backend)
    return _Scored(artifact.record.reference, dataset, scorer, config)


def _fitted(
    name: str, dataset: Dataset, trained_on: str, backend: Backend, listener: Listener
) -> _Scored:
    """Fit a simple model, in the end on the same part as the models."""
    config, weights = fit_on_train(default_settings(dataset, name), dataset, listener)
    if trained_on != TRAIN:
        known = input_rows(dataset.history(trained_on), None)
        weights = fit_closed_form(config, known, dataset.n_items)
    scorer = build_scorer(config, weights, backend)
    return _Scored(config.variant, dataset, scorer, config, baseline=True)


def _tell_what_flatters(scored: Sequence[_Scored], split: str, listener: Listener) -> None:
    for one in scored:
        if split == "valid" and selects_on_valid(one.config):
            flatter = "its weights were found on valid, so its figures there flatter"
            listener(Note(f"{one.name}: {flatter}"))


def _tell_of_repeats(
    dataset: Dataset, split: str, include_seen: bool | None, listener: Listener
) -> None:
    """Tell whether lists have what users had before, and how much of the part that is."""
    part = dataset.part(split).size
    again = part - dataset.to_find(split, include_seen=False).size
    if dataset.keeps_repeats if include_seen is None else include_seen:
        listener(Note(f"lists have all items; {again:,} of {part:,} to find were had before"))
    elif again:
        listener(
            Note(
                f"lists leave out what users had before: {again:,} of {part:,} interactions of it"
                " do not count (--include-seen)"
            )
        )


def _measured(
    one: _Scored,
    split: str,
    history: str,
    options: Mapping[str, Any],
    intervals: bool,
    listener: Listener,
) -> Result:
    """Measure a model that reads this history."""
    evaluation = evaluate_scorer(
        one.scorer,
        one.dataset,
        split,
        history=history,
        temporal=one.config.temporal,
        on_progress=_progress(one.name, listener),
        **options,
    )
    around = None
    if intervals:
        around = {name: interval(values) for name, values in evaluation.values.items()}
    return Result(
        model=one.name,
        split=split,
        history=history,
        evaluation=evaluation,
        user_ids=one.dataset.user_ids.at(evaluation.users),
        baseline=one.baseline,
        intervals=around,
    )


def _compared(
    results: Sequence[Result], scored: Sequence[_Scored], listener: Listener
) -> Evaluated:
    """Return the results; those with the first history are compared with the first of all."""
    first = results[0].evaluation
    # The metric that selects epochs, or else the first asked for.
    metric = "recall@20" if "recall@20" in first.values else next(iter(first.values), None)
    compared = list(results)
    for index, one in enumerate(scored):
        if index == 0 or metric is None:
            continue
        if one.dataset.content_hash != scored[0].dataset.content_hash:
            listener(Note(f"{one.name} was fitted on other data: no paired test against it"))
            continue
        values = results[index].evaluation.values[metric]
        difference = paired_randomisation(first.values[metric], values)
        compared[index] = replace(results[index], difference=difference)
    return Evaluated(compared, metric if len(scored) > 1 else None)


def _check_options(
    split: str,
    ks: Sequence[int],
    metrics: Sequence[str],
    history: str | None,
    baselines: Sequence[str],
) -> None:
    for option, value, allowed in (("--split", split, SPLITS), ("--history", history, HISTORIES)):
        if value is not None and value not in allowed:
            raise UsageError(f"{option} {value}: unknown", f"one of: {', '.join(allowed)}")
    if not ks or not metrics:
        raise UsageError(
            "no cutoff or no metric to compute", "for example -k 10,20 --metrics recall"
        )
    known = closed_forms()
    for name in baselines:
        if name not in known:
            raise UsageError(f"no baseline {name!r}", f"use some of: {', '.join(known)}")
    for k in ks:
        if not isinstance(k, int | np.integer) or k < 1:
            raise UsageError(f"-k {k}: a cutoff must be 1 or more", "for example -k 10,20")
    for name in metrics:
        if name not in METRICS:
            raise UsageError(f"--metrics {name}: unknown", f"some of: {', '.join(METRICS)}")


def _refuse_trained_on(artifact: Artifact, split: str) -> None:
    """Raise if a model has seen the answers."""
    trained_on = artifact.record.training.trained_on
    if trained_on == ALL or (trained_on == TRAIN_AND_VALID and split == "valid"):
        raise UsageError(
            f"{artifact.record.reference} was trained on {IN_WORDS[trained_on]} (--refit): it has"
            " seen the answers",
            "evaluate the same settings fitted without --refit"
            + ("" if split == "valid" else ", or with --refit train+valid"),
        )


def _histories_of(
    artifacts: Sequence[Artifact], split: str, history: str | None, listener: Listener
) -> list[str]:
    """Return the histories that models read; on valid it is train, whatever was said."""
    if split == "valid":
        return [TRAIN]
    if history is not None:
        return [history]
    for artifact in artifacts:
        if artifact.record.training.trained_on == TRAIN_AND_VALID:
            name = artifact.record.reference
            listener(Note(f"{name} was trained on train and valid: both are read as history"))
            return [TRAIN_AND_VALID]
    dataset = artifacts[0].dataset()
    return [TRAIN, TRAIN_AND_VALID] if dataset.ordered and dataset.test_is_last else [TRAIN]


def _with(values: Sequence[Any], value: Any) -> list[Any]:
    return [*values] if value in values else [*values, value]


def _progress(name: str, listener: Listener) -> Callable[[int, int], None]:
    return lambda done, total: listener(Step(f"ranking with {name}", done, total))


def per_user_table(evaluated: Evaluated) -> Any:
    """Return an Arrow table with one row a model and user: model, user, and every metric."""
    import pyarrow as pa

    tables = []
    for result in evaluated.first_history:
        columns: dict[str, Any] = {
            "model": np.repeat(result.model, len(result.user_ids)),
            "user": result.user_ids,
        }
        tables.append(pa.table(columns | result.evaluation.values))
    return pa.concat_tables(tables)
