"""Many models on one dataset: the same search for each, then final fits over seeds, one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from diffrec_cli.catalogue import Variant, draws, space
from diffrec_cli.config import ReadOptions, SplitOptions
from diffrec_cli.errors import DeviceError, MissingExtraError, UsageError
from diffrec_cli.evaluation.evaluate import Evaluation
from diffrec_cli.evaluation.significance import Paired, paired_randomisation
from diffrec_cli.training.devices import choose_device, choose_precision
from diffrec_cli.training.loop import SELECTION_METRIC
from diffrec_cli.workflows.experiments.search import Search, check_effort
from diffrec_cli.workflows.experiments.trial_process import measure_apart
from diffrec_cli.workflows.experiments.trials import KeptTrials, Task, Trial
from diffrec_cli.workflows.fitting.settings import require_settings
from diffrec_cli.workflows.prepare_data import dataset_of
from diffrec_cli.workflows.progress import Listener, Note, progress_only, silent

#: Most trials if only time is limited.
_MANY = 1000


@dataclass(frozen=True)
class Compared:
    """One model of a comparison.

    Parameters
    ----------
    model
        Its name.
    seeds
        Number of final fits; 1 if the model is not random.
    metrics
        Test metrics by name: mean and standard deviation over seeds.
    valid
        Mean valid Recall@20 of the final fits.
    difference
        Paired difference of the best model to this one in test Recall@20, averaged over seeds;
        ``None`` for the best.
    trials
        Number of settings tried.
    settings
        Chosen settings that differ from the model's defaults.
    fit_seconds, rank_seconds
        Mean time of training, and of ranking the test users.
    parameters, peak_bytes
        Trained parameters; largest peak memory of a final fit, of the process or CUDA device.
    failure
        Why the model failed; else empty.
    """

    model: str
    seeds: int = 0
    metrics: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    valid: float = 0.0
    difference: Paired | None = None
    trials: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    fit_seconds: float = 0.0
    rank_seconds: float = 0.0
    parameters: int = 0
    peak_bytes: int = 0
    failure: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON; figures are not rounded."""
        if self.failure:
            return {"model": self.model, "failure": self.failure}
        paired = self.difference
        return {
            "model": self.model,
            "seeds": self.seeds,
            "metrics": {n: {"mean": mean, "sd": sd} for n, (mean, sd) in self.metrics.items()},
            "valid_recall@20": self.valid,
            "difference": None
            if paired is None
            else {
                "mean": paired.difference,
                "low": paired.low,
                "high": paired.high,
                "p_value": paired.p_value,
            },
            "fit_seconds": self.fit_seconds,
            "rank_seconds": self.rank_seconds,
            "parameters": self.parameters,
            "peak_bytes": self.peak_bytes,
            "trials": self.trials,
            "settings": dict(self.settings),
        }


@dataclass(frozen=True)
class Comparison:
    """The outcome of a comparison, best first.

    Parameters
    ----------
    dataset
        Name of the data.
    users
        Users of the test part.
    results
        One entry a model; those that failed come last.
    """

    dataset: str
    users: int
    results: list[Compared]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        results = [result.to_dict() for result in self.results]
        return {"dataset": self.dataset, "users": self.users, "results": results}


def compare(
    data: str | Path | Sequence[str | Path],
    models: Sequence[str],
    *,
    seeds: int = 3,
    trials: int = 0,
    budget: float | None = None,
    values: Mapping[str, Any] | None = None,
    read: ReadOptions | None = None,
    split: SplitOptions | None = None,
    items: str | Path | None = None,
    dataset_name: str | None = None,
    device: str = "auto",
    precision: str = "auto",
    listener: Listener = silent,
) -> Comparison:
    """Search settings with the same effort for each model, fit over seeds, and compare.

    Settings are chosen by valid Recall@20. Results are kept: later calls measure only what is
    missing, or all of it with another version of diffrec.

    Parameters
    ----------
    data, read, split, items, dataset_name
        As in :func:`~diffrec_cli.workflows.fit_model.fit`.
    models
        Names of models, see :func:`~diffrec_cli.catalogue.names`.
    seeds
        Final fits of each random model, with seeds 1, 2, ...
    trials
        Settings to try for each model, with its defaults; 0: only its defaults.
    budget
        Seconds of search for each model.
    values
        Settings for all models that have them, such as ``epochs``.
    device, precision
        As in :func:`~diffrec_cli.workflows.fit_model.fit`.
    listener
        Gets progress, and models that failed.

    Raises
    ------
    UsageError
        A model is unknown, none has a setting, or there is nothing to compare.
    """
    _check(models, seeds, trials, budget)
    models = list(dict.fromkeys(str(Variant.parse(model, "--models")) for model in models))
    _check_values(models, values or {})
    device = choose_device(device)
    dataset = dataset_of(
        data,
        read=read,
        split=split,
        items=items,
        name=dataset_name,
        listener=listener,
    )
    search = Search(
        dataset=dataset,
        trials=trials or (_MANY if budget is not None else 0),
        budget=budget,
        device=device,
        precision=choose_precision(precision, device),
    )
    comparing = _Comparing(search, KeptTrials(dataset), values or {}, listener)
    if outdated := comparing.kept.outdated:
        listener(Note(f"{outdated} kept results are of another version of diffrec and not used"))
    done: list[Compared] = []
    finals: dict[str, list[Trial]] = {}
    for place, model in enumerate(models, start=1):
        listener(Note(f"{model} ({place} of {len(models)})"))
        try:
            tried = comparing.trials_of(model)
            finals[model] = comparing.finals_of(model, tried, seeds)
            done.append(_summary(model, tried, finals[model]))
        except (DeviceError, MissingExtraError, UsageError) as error:
            listener(Note(f"{model} is left out: {error.what}; {error.fix}"))
            done.append(Compared(model, failure=error.what))
    users = int(np.count_nonzero(dataset.test.lengths))
    return Comparison(dataset.name, users, _with_differences(done, finals, comparing.kept))


@dataclass(frozen=True)
class _Comparing:
    """What is the same for all models of a comparison."""

    search: Search
    kept: KeptTrials
    values: Mapping[str, Any]
    listener: Listener

    def trials_of(self, model: str) -> list[Trial]:
        """Return a model's trials; none without settings to choose from."""
        own = self.search.settings(model, self.values, lenient=True)
        if self.search.trials == 0 or not space(own.variant):
            return []
        tasks = []
        of_trials = own.with_values({"seed": 1})
        for changes in draws(own, seed=1):
            tasks.append(self.search.task(of_trials, changes))
            if len(tasks) == self.search.trials:
                break
        known = [trial for task in tasks if (trial := self.kept.get(task)) is not None]
        missing = [task for task in tasks if self.kept.get(task) is None]
        left = self.search.budget
        if left is not None:
            left -= sum(trial.fit_seconds for trial in known)
        if missing and (left is None or left > 0 or not known):
            self._measure(missing, left, f"{model}: trial", len(known), len(tasks))
        return [trial for task in tasks if (trial := self.kept.get(task)) is not None]

    def finals_of(self, model: str, tried: Sequence[Trial], seeds: int) -> list[Trial]:
        """Return the final fits of the settings that were best on the valid part."""
        best = max(tried, key=lambda trial: trial.valid.get(SELECTION_METRIC, 0.0), default=None)
        chosen = {} if best is None else best.values
        own = self.search.settings(model, self.values, lenient=True)
        numbers = range(1, seeds + 1) if own.is_random else [1]
        tasks = [
            self.search.task(own.with_values({"seed": seed}), chosen, final=True)
            for seed in numbers
        ]
        for number, task in enumerate(tasks):
            if self.kept.get(task) is None:  # one process each, to measure its peak memory
                self._measure([task], None, f"{model}: seed", number, len(tasks))
        return [trial for task in tasks if (trial := self.kept.get(task)) is not None]

    def _measure(
        self, tasks: Sequence[Task], budget: float | None, stage: str, done: int, total: int
    ) -> None:
        count = done

        def keep(trial: Trial, evaluation: Evaluation | None) -> None:
            nonlocal count
            count += 1
            self.kept.keep(trial, evaluation)
            figure = trial.valid.get(SELECTION_METRIC, 0.0)
            self.listener(
                Note(
                    f"{stage} {count} of {total}: valid {SELECTION_METRIC} {figure:.4f},"
                    f" {trial.fit_seconds:.1f} s{_told(trial.values)}"
                )
            )

        measure_apart(tasks, self.search.dataset, budget, keep, progress_only(self.listener))


def _told(values: Mapping[str, Any]) -> str:
    """Return settings as on the command line."""
    return "".join(f" {name}={_plain(value)}" for name, value in values.items())


def _plain(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _check(models: Sequence[str], seeds: int, trials: int, budget: float | None) -> None:
    if not models:
        raise UsageError("no model to compare", "for example --models base,t,ease,itemknn")
    if seeds < 1:
        raise UsageError(f"--seeds {seeds}: at least 1", "for example --seeds 3")
    check_effort(trials, budget, least=0)


def _check_values(models: Sequence[str], values: Mapping[str, Any]) -> None:
    if "seed" in values:
        raise UsageError("--set seed: each model is fitted with seeds 1, 2, ...", "use --seeds")
    require_settings(models, values)


def _summary(model: str, tried: Sequence[Trial], finals: Sequence[Trial]) -> Compared:
    names = finals[0].test
    figures = {name: np.array([trial.test[name] for trial in finals]) for name in names}
    spread = 1 if len(finals) > 1 else 0  # 0 for one seed
    return Compared(
        model=model,
        seeds=len(finals),
        metrics={n: (float(v.mean()), float(v.std(ddof=spread))) for n, v in figures.items()},
        valid=float(np.mean([trial.valid.get(SELECTION_METRIC, 0.0) for trial in finals])),
        trials=len(tried),
        settings=finals[0].values,
        fit_seconds=float(np.mean([trial.fit_seconds for trial in finals])),
        rank_seconds=float(np.mean([trial.rank_seconds for trial in finals])),
        parameters=finals[0].parameters,
        peak_bytes=max(trial.peak_bytes for trial in finals),
    )


def _with_differences(
    done: Sequence[Compared], finals: Mapping[str, Sequence[Trial]], kept: KeptTrials
) -> list[Compared]:
    """Sort, best first, and test each other model against the best."""
    ranked = sorted(
        (result for result in done if not result.failure),
        key=lambda result: -result.metrics[SELECTION_METRIC][0],
    )

    def per_user(model: str) -> Any:
        values = [kept.per_user(trial, SELECTION_METRIC) for trial in finals[model]]
        return np.mean(values, axis=0)  # (users,)

    tested = ranked[:1]
    for result in ranked[1:]:
        paired = paired_randomisation(per_user(ranked[0].model), per_user(result.model))
        tested.append(replace(result, difference=paired))
    return [*tested, *(result for result in done if result.failure)]
