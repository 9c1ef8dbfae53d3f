"""How models would have done: fitted on the past alone at several moments, then measured."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.catalogue import AUTO, Variant
from diffrec_cli.config import FitConfig, ReadOptions, SplitOptions
from diffrec_cli.config.options import TRAIN_AND_VALID
from diffrec_cli.data import store
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.errors import DataError, DeviceError, MissingExtraError, UsageError
from diffrec_cli.evaluation.evaluate import Evaluation
from diffrec_cli.evaluation.significance import Paired, paired_randomisation
from diffrec_cli.training.devices import choose_device, choose_precision
from diffrec_cli.training.loop import SELECTION_METRIC
from diffrec_cli.workflows.experiments.search import Search
from diffrec_cli.workflows.experiments.trial_process import measure_apart
from diffrec_cli.workflows.experiments.trials import KeptTrials, Task, Trial
from diffrec_cli.workflows.fitting.settings import require_settings, settings_of
from diffrec_cli.workflows.prepare_data import default_name
from diffrec_cli.workflows.progress import Listener, Note, progress_only, silent

if TYPE_CHECKING:  # Arrow is loaded when a log is read
    from diffrec_cli.data.reading.log import Log

MODELS = (AUTO, "graph-t", "ease-t")
CUTS, HORIZON, CHOOSE_SECONDS = 5, "7d", 60.0
#: With fewer users in all periods together, differences are mostly chance.
_FEW_USERS = 500
#: At which moments auto chooses, and settings are found on valid.
SEARCHES = (FIRST, EACH) = ("first", "each")
#: Errors for which a model is left out; others end the backtest.
_OF_A_MODEL = (DeviceError, MissingExtraError)


@dataclass(frozen=True)
class Period:
    """What was known at a moment, what came next, and how each model did.

    Parameters
    ----------
    start, end
        The first moment that is predicted, and the first that is not any more; the last period
        ends with the log.
    users
        Users with a past and with something new in the period: those who are measured.
    newcomers
        Users of the period who like nothing before.
    interactions
        What is predicted.
    left_out
        Rows of the period and of valid whose items are not in train: no model can rank these.
    trials
        Results by model; test metrics are those of a model that reads all of the past.
    """

    start: str
    end: str | None
    users: int
    newcomers: int
    interactions: int
    left_out: int
    trials: Mapping[str, Trial] = field(default_factory=dict)


@dataclass(frozen=True)
class Backtested:
    """The outcome of a backtest.

    Parameters
    ----------
    name
        Of the log.
    horizon
        Length of a period.
    periods
        Oldest first.
    means
        Means of each model's test metrics over the users of all periods, by model, best first.
    differences
        Paired difference of the best model to each other in Recall@20, over the same users.
    failures
        Why a model was left out.
    """

    name: str
    horizon: str
    periods: list[Period]
    means: Mapping[str, Mapping[str, float]]
    differences: Mapping[str, Paired]
    failures: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON; figures are not rounded."""
        return {
            "data": self.name,
            "horizon": self.horizon,
            "models": [self._model(model) for model in self.means],
            "failures": dict(self.failures),
            "periods": [_period(period) for period in self.periods],
        }

    def _model(self, model: str) -> dict[str, Any]:
        paired = self.differences.get(model)
        return {
            "model": model,
            "metrics": dict(self.means[model]),
            "difference": None
            if paired is None
            else {
                "mean": paired.difference,
                "low": paired.low,
                "high": paired.high,
                "p_value": paired.p_value,
            },
        }


def _period(period: Period) -> dict[str, Any]:
    return {
        "from": period.start,
        "until": period.end,
        "users": period.users,
        "new_users": period.newcomers,
        "interactions": period.interactions,
        "left_out": period.left_out,
        "results": [
            {
                "model": model,
                "variant": trial.variant,
                "metrics": dict(trial.test),
                "valid_recall@20": trial.valid.get(SELECTION_METRIC, 0.0),
                "fit_seconds": trial.fit_seconds,
            }
            for model, trial in period.trials.items()
        ],
    }


def backtest(
    data: str | Path | Sequence[str | Path],
    models: Sequence[str] = MODELS,
    *,
    cuts: int = CUTS,
    horizon: str = HORIZON,
    values: Mapping[str, Any] | None = None,
    choose_seconds: float | None = None,
    search: str = FIRST,
    read: ReadOptions | None = None,
    split: SplitOptions | None = None,
    device: str = "auto",
    precision: str = "auto",
    listener: Listener = silent,
) -> Backtested:
    """Fit models on what was known at several moments, and measure them on what came next.

    The periods follow each other, and the last ends with the log. Each is what
    ``prepare --test-from START --until END`` makes, a fit of each model, and
    ``eval --history train+valid``. What a model leaves to valid, and which model ``auto`` takes, is
    found at the first moment and kept at the others, as who tunes once and fits every night does.
    Results are kept: later calls measure only what is missing.

    Parameters
    ----------
    data
        Log files with times; they are read again, so no prepared dataset.
    models
        Names of models.
    cuts, horizon
        Number of periods, and their length: ``12h``, ``7d``, ``4w``.
    values
        Settings for the named models that have them, such as ``epochs``.
    choose_seconds
        Time that ``auto`` has to choose; ``None``: one minute.
    search
        ``each``: choose and find settings at each moment anew.
    read, split
        How to read the log, and which rows count; what is before a period is cut into train and
        valid by its ``ratios``.
    device, precision
        As in :func:`~diffrec_cli.workflows.fit_model.fit`.
    listener
        Gets progress, and models that failed.

    Raises
    ------
    DataError
        The log has no times, or does not reach back before the first period.
    UsageError
        A model is unknown, none has a setting, or there is nothing to do.
    """
    names = list(
        dict.fromkeys(m if m == AUTO else str(Variant.parse(m, "--models")) for m in models)
    )
    split = split or SplitOptions()
    _check(names, cuts, split, search)
    require_settings(names, values or {})
    device = choose_device(device)
    inputs = [data] if isinstance(data, str | Path) else list(data)
    log, split = _read(inputs, read or ReadOptions(), split, listener)
    running = _Backtest(
        names,
        values or {},
        CHOOSE_SECONDS if choose_seconds is None else choose_seconds,
        device,
        choose_precision(precision, device),
        search,
        listener,
    )
    done = [
        running.period(log, split, start, end, f"period {number} of {cuts}")
        for number, (start, end) in enumerate(_periods(log, cuts, horizon), 1)
    ]
    return running.summary(default_name(str(inputs[0])), horizon, done)


def _check(models: Sequence[str], cuts: int, split: SplitOptions, search: str) -> None:
    if search not in SEARCHES:
        raise UsageError(f"--search {search}: unknown", f"one of: {', '.join(SEARCHES)}")
    if not models:
        raise UsageError("no model to measure", "for example --models auto,graph-t,ease-t")
    if cuts < 1:
        raise UsageError(f"--cuts {cuts}: at least 1", "for example --cuts 5")
    if split.test_from is not None or split.setting == "noisy":
        raise UsageError(
            "a backtest cuts the log itself, and takes it as it is",
            "leave out --test-from and --setting noisy",
        )


def _read(
    inputs: Sequence[str | Path], read: ReadOptions, split: SplitOptions, listener: Listener
) -> tuple[Log, SplitOptions]:
    """Return the rows in the window, and the options without it."""
    from diffrec_cli.data.reading.log import read_logs
    from diffrec_cli.data.splitting.window import within

    first = str(inputs[0])
    if not Path(first).exists() and first in store.names():
        files = store.load(first).source.get("files", [])
        raise UsageError(
            f"{first!r} is a prepared dataset, which keeps no times",
            f"give the log: {' '.join(files) or 'its file'}",
        )
    read = read.for_target(split.target)
    log = read_logs([str(path) for path in inputs], read, stdin=sys.stdin.buffer)
    for note in (*log.taken, *log.notes):
        listener(Note(note))
    if log.time is None:
        raise DataError(
            "a backtest needs timestamps and the log has no time column",
            "name the column with --time-col",
        )
    return within(log, split, Counter()), replace(split, since=None, until=None)


def _periods(log: Log, cuts: int, horizon: str) -> list[tuple[str, str | None]]:
    from diffrec_cli.data.splitting.window import periods

    return periods(log, cuts, horizon, "--horizon")


@dataclass
class _Backtest:
    """What is the same for all periods, and what came of the models so far."""

    models: Sequence[str]
    values: Mapping[str, Any]
    choose_seconds: float
    device: str
    precision: str
    search: str
    listener: Listener
    found: dict[str, FitConfig] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    recalls: dict[str, list[NDArray[np.float64]]] = field(default_factory=dict)

    def period(
        self, log: Log, split: SplitOptions, start: str, end: str | None, stage: str
    ) -> Period:
        """Fit every model on what is before `start`, and measure it until `end`."""
        from diffrec_cli.data.splitting.split import split_log

        try:
            dataset = split_log(log, replace(split, test_from=start, until=end), name=start[:10])
        except DataError as error:
            self.listener(Note(f"{stage}, from {start}, is left out: {error.what}"))
            return Period(start, end, 0, 0, 0, 0)
        users = int(np.count_nonzero(dataset.test.lengths))
        liked_from = dataset.source["split"]["min_rating"]
        empty = Period(
            start,
            end,
            users,
            _newcomers(log, liked_from, start, end),
            dataset.test.size,
            dataset.dropped["item_unseen_in_train"],
        )
        self.listener(
            Note(
                f"{stage}, from {start}: {dataset.train.size + dataset.valid.size:,} interactions"
                f" before, {empty.interactions:,} to predict, of {users:,} users"
                f" ({empty.newcomers:,} others are new; {empty.left_out:,} rows are of items"
                " without one in train)"
            )
        )
        if users == 0:
            return empty
        kept = KeptTrials(dataset)
        return replace(empty, trials=self._trials(dataset, kept, stage))

    def _trials(self, dataset: Dataset, kept: KeptTrials, stage: str) -> dict[str, Trial]:
        found = {}
        for model in self.models:
            if model in self.failures:
                continue
            try:
                trial = self._trial(model, dataset, kept)
            except _OF_A_MODEL as error:
                self.listener(Note(f"{model} is left out: {error.what}; {error.fix}"))
                self.failures[model] = error.what
                continue
            name = model if trial.variant == model else f"{model}, which took {trial.variant}"
            figure = f"{SELECTION_METRIC} {trial.test[SELECTION_METRIC]:.4f}"
            self.listener(Note(f"{stage}: {name}: {figure}, {trial.fit_seconds:.1f} s"))
            self.recalls.setdefault(model, []).append(kept.per_user(trial, SELECTION_METRIC))
            found[model] = trial
            if self.search == FIRST:
                self.found.setdefault(model, FitConfig.from_dict(trial.config))
        return found

    def _trial(self, model: str, dataset: Dataset, kept: KeptTrials) -> Trial:
        task = self._task(model, dataset)
        if (known := kept.get(task)) is not None:
            return known
        measured: list[Trial] = []

        def keep(trial: Trial, evaluation: Evaluation | None) -> None:
            kept.keep(trial, evaluation)
            measured.append(trial)

        measure_apart([task], dataset, None, keep, progress_only(self.listener))
        return measured[0]

    def _task(self, model: str, dataset: Dataset) -> Task:
        search = Search(dataset, 0, None, self.device, self.precision)
        if model in self.found:
            task = search.task(self.found[model], {}, final=True)
            return replace(task, history=TRAIN_AND_VALID)
        if model != AUTO:
            config = search.settings(model, self.values, lenient=True)
            return replace(search.task(config, {}, final=True), history=TRAIN_AND_VALID)
        candidates = tuple(settings_of(AUTO, "auto", {}, dataset))
        if len(candidates) == 1:  # without a valid part there is no choice
            candidate, config = candidates[0]
            changes = candidate.values
            return replace(search.task(config, changes, final=True), history=TRAIN_AND_VALID)
        return Task(
            config=candidates[0][1],
            values={},
            final=True,
            device=self.device,
            precision=self.precision,
            history=TRAIN_AND_VALID,
            candidates=candidates,
            choose_seconds=self.choose_seconds,
        )

    def summary(self, name: str, horizon: str, done: list[Period]) -> Backtested:
        """Return means over periods, and the differences to the best model."""
        whole = [model for model in self.models if model not in self.failures]
        if not whole:
            raise UsageError(
                "no model could be fitted at each moment: "
                + ", ".join(f"{model}: {why}" for model, why in self.failures.items()),
                "give others with --models",
            )
        measured = [period for period in done if period.trials]
        if not measured:
            raise DataError(
                "in no period has a user with a past anything new",
                "give a longer --horizon, or fewer --cuts",
            )
        users = [period.users for period in measured]
        if sum(users) < _FEW_USERS:
            self.listener(
                Note(
                    f"{sum(users):,} users are measured in all: differences are mostly chance"
                    " (a longer --horizon, or --until where the log thins out, has more)"
                )
            )
        means = {
            model: {
                metric: float(
                    np.average([p.trials[model].test[metric] for p in measured], weights=users)
                )
                for metric in measured[0].trials[model].test
            }
            for model in whole
        }
        ranked = sorted(whole, key=lambda model: -means[model][SELECTION_METRIC])
        joined = {model: np.concatenate(self.recalls[model]) for model in whole}
        return Backtested(
            name=name,
            horizon=horizon,
            periods=done,
            means={model: means[model] for model in ranked},
            differences={
                model: paired_randomisation(joined[ranked[0]], joined[model])
                for model in ranked[1:]
            },
            failures=self.failures,
        )


def _newcomers(log: Log, liked_from: float | None, start: str, end: str | None) -> int:
    """Return the number of users who like something in a period, and nothing before it."""
    from diffrec_cli.data.splitting.window import moment

    times = cast("NDArray[np.number[Any]]", log.time)
    liked = np.ones(len(log), np.bool_)
    if log.rating is not None and liked_from is not None:
        liked = log.rating >= np.float32(liked_from)
    before = times < moment(log, start, "--test-from")
    inside = ~before if end is None else ~before & (times < moment(log, end, "--until"))
    return len(np.setdiff1d(log.user[inside & liked], log.user[before & liked]))
