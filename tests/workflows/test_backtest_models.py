"""At each moment models know the past alone; figures are those of fits and evaluations by hand."""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from diffrec_cli import workflows
from diffrec_cli.config import FitConfig, SplitOptions
from diffrec_cli.data import store as datasets
from diffrec_cli.data.sources.sample import SampleOptions, write_sample
from diffrec_cli.errors import DataError, DeviceError, UsageError
from diffrec_cli.workflows import backtest_models
from diffrec_cli.workflows.experiments.trials import Task, measure
from diffrec_cli.workflows.progress import Event, Note

QUICK = {"epochs": 2, "dims": (8,)}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    options = SampleOptions(users=150, items=60, interactions=4000, seed=5)
    path, _ = write_sample(tmp_path / "orders.csv", options)
    return path


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Task]]:
    """Measure in this process, which is quick; return what was measured."""
    measured: list[Task] = []

    def measure_here(tasks, dataset, budget, keep, listener) -> None:
        for task in tasks:
            measured.append(task)
            keep(*measure(task, dataset, None, listener))

    monkeypatch.setattr(backtest_models, "measure_apart", measure_here)
    return measured


def backtest(log: Path, *models: str, **options):
    values = QUICK if "base" in models else {}
    settings = {"cuts": 3, "horizon": "26w", "values": values} | options
    return workflows.backtest(log, models, device="cpu", precision="fp32", **settings)


def times(log: Path) -> list[int]:
    with log.open(newline="") as stream:
        return [int(row["timestamp"]) for row in csv.DictReader(stream)]


def test_figures_are_those_of_prepare_fit_and_eval_by_hand(log: Path) -> None:
    models = ("base", "ease-t", "graph-t", "popularity")
    done = backtest(log, *models, search="each")
    for number, period in enumerate(done.periods):
        split = SplitOptions(test_from=period.start, until=period.end)
        name = f"by-hand-{number}"
        workflows.prepare([log], name=name, split=split)
        dataset = datasets.load(name)
        assert (period.users, period.interactions) == (
            np.count_nonzero(dataset.test.lengths),
            dataset.test.size,
        )
        for model in models:
            fitted = workflows.fit(
                name,
                variant=model,
                values=QUICK if model == "base" else {},
                device="cpu",
                precision="fp32",
            )
            (result,) = workflows.evaluate(
                [str(fitted.model)], history="train+valid", device="cpu"
            ).results
            assert dict(period.trials[model].test) == pytest.approx(result.evaluation.means)


def test_what_was_found_at_the_first_moment_is_kept_at_the_others(
    log: Path, at_once: list[Task]
) -> None:
    done = backtest(log, "graph-t", "auto", choose_seconds=0.0)
    for model in ("graph-t", "auto"):
        first, *others = (FitConfig.from_dict(p.trials[model].config) for p in done.periods)
        assert first.values()["weights"] is not None
        assert others == [first] * 2
    assert [len(task.candidates) > 0 for task in at_once] == [False, True] + [False] * 4


def test_an_unknown_search_is_refused(log: Path) -> None:
    with pytest.raises(UsageError, match="--search often: unknown"):
        backtest(log, "popularity", search="often")


def test_periods_follow_each_other_to_the_end_of_the_log(log: Path) -> None:
    done = backtest(log, "popularity", cuts=4, horizon="10w")
    starts = [datetime.fromisoformat(period.start) for period in done.periods]
    assert [period.end for period in done.periods] == [
        *(period.start for period in done.periods[1:]),
        None,
    ]
    assert [start.tzinfo for start in starts] == [UTC] * 4
    seconds = [start.timestamp() for start in starts]
    assert np.diff(seconds).tolist() == [10 * 7 * 86_400] * 3
    assert seconds[-1] == max(times(log)) - 10 * 7 * 86_400


def test_means_are_over_users_and_the_best_model_comes_first(log: Path) -> None:
    done = backtest(log, "popularity", "ease-t")
    users = [period.users for period in done.periods]
    for model, means in done.means.items():
        found = [period.trials[model].test["recall@20"] for period in done.periods]
        assert means["recall@20"] == pytest.approx(np.average(found, weights=users))
    recalls = [means["recall@20"] for means in done.means.values()]
    assert recalls == sorted(recalls, reverse=True)
    (last,) = done.differences
    assert last == list(done.means)[1]
    assert done.differences[last].difference == pytest.approx(recalls[0] - recalls[1])


def test_what_was_measured_is_not_measured_again(log: Path, at_once: list[Task]) -> None:
    first = backtest(log, "ease-t", "popularity", cuts=2)
    assert len(at_once) == 4
    second = backtest(log, "ease-t", "popularity", "markov", cuts=2)
    assert [task.config.variant for task in at_once[4:]] == ["markov"] * 2
    for before, after in zip(first.periods, second.periods, strict=True):
        assert before.trials["ease-t"] == after.trials["ease-t"]


def test_auto_chooses_at_each_moment_from_the_past(log: Path, monkeypatch) -> None:
    notes: list[Event] = []
    done = backtest(log, "auto", cuts=1, choose_seconds=0.0, listener=notes.append)
    assert done.periods[0].trials["auto"].variant == "t+masking+graph"
    told = [note.text for note in notes if isinstance(note, Note)]
    assert any("auto, which took t+masking+graph: recall@20" in text for text in told)


def test_few_users_are_told(log: Path) -> None:
    notes: list[Event] = []
    done = backtest(log, "popularity", listener=notes.append)
    users = sum(period.users for period in done.periods)
    told = [note.text for note in notes if isinstance(note, Note)]
    assert any(text.startswith(f"{users} users are measured in all") for text in told)


def test_without_a_valid_part_auto_has_no_choice(log: Path) -> None:
    split = SplitOptions(ratios=(8, 0, 2))
    done = backtest(log, "auto", cuts=1, split=split)
    assert done.periods[0].trials["auto"].variant == "t+masking+graph"


def test_one_name_of_a_model_is_enough(log: Path, at_once: list[Task]) -> None:
    done = backtest(log, "pop", "popularity", cuts=1)
    assert list(done.means) == ["popularity"]
    assert len(at_once) == 1


def test_a_period_without_a_past_is_left_out_and_told(log: Path) -> None:
    rows = [f"u{n},i{(n + day) % 3},5,{86_400 * day + 10**9}" for day in range(3) for n in range(6)]
    log.write_text("user,item,rating,time\nu0,i0,5,990000000\n" + "\n".join(rows) + "\n")
    notes: list[Event] = []
    done = backtest(log, "popularity", cuts=4, horizon="1d", listener=notes.append)
    assert done.periods[0].users == 0
    told = [note.text for note in notes if isinstance(note, Note)]
    assert any("is left out: " in text for text in told)


def test_users_without_a_past_are_counted_apart(log: Path) -> None:
    lines = log.read_text().splitlines()
    last = max(times(log))
    log.write_text("\n".join([*lines, f"nova,i0001,5,{last - 5}", f"nova,i0002,5,{last}"]) + "\n")
    done = backtest(log, "popularity", cuts=2, horizon="4w")
    assert done.periods[-1].newcomers >= 1
    without = backtest(log, "popularity", cuts=2, horizon="4w", split=SplitOptions(until="1h"))
    assert without.periods[-1].newcomers == done.periods[-1].newcomers - 1


def test_a_model_that_fails_is_left_out_and_named(log: Path, monkeypatch) -> None:
    def fail(tasks, *rest) -> None:
        if tasks[0].config.variant == "ease-t":
            raise DeviceError("out of memory", "buy some")
        here(tasks, *rest)

    here = backtest_models.measure_apart
    monkeypatch.setattr(backtest_models, "measure_apart", fail)
    done = backtest(log, "ease-t", "popularity")
    assert done.failures == {"ease-t": "out of memory"}
    assert list(done.means) == ["popularity"]
    with pytest.raises(UsageError, match="each moment: ease-t: out of memory"):
        backtest(log, "ease-t")


@pytest.mark.parametrize(
    ("options", "error", "what"),
    [
        ({"cuts": 0}, UsageError, "--cuts 0"),
        ({"values": {"dims": (8,)}}, UsageError, "--set dims: none of these models"),
        ({"horizon": "soon"}, UsageError, "--horizon soon: no span"),
        ({"horizon": "0d"}, UsageError, "--horizon 0d: no span"),
        ({"horizon": "5000w"}, DataError, "take all of the log"),
        ({"horizon": "0.001h", "cuts": 1}, DataError, "in no period"),
        ({"split": SplitOptions(test_from="7d")}, UsageError, "cuts the log itself"),
    ],
)
def test_what_cannot_be_is_refused(log: Path, options, error, what) -> None:
    if "0.001h" in str(options):  # the last row alone, of a user who has a past; move it away
        lines = log.read_text().splitlines()
        lines.append(f"nova,i0001,5,{max(times(log)) + 10}")
        log.write_text("\n".join(lines) + "\n")
    with pytest.raises(error, match=what):
        backtest(log, "popularity", **options)


def test_unknown_models_and_logs_without_times_are_refused(log: Path) -> None:
    with pytest.raises(UsageError, match="no model"):
        backtest(log)
    with pytest.raises(UsageError, match="--models"):
        backtest(log, "guess")
    workflows.prepare([log], name="orders")
    with pytest.raises(UsageError, match="'orders' is a prepared dataset") as caught:
        backtest("orders", "popularity")
    assert str(log) in caught.value.fix
    log.write_text("user,item\na,1\nb,2\na,2\nb,1\n")
    with pytest.raises(DataError, match="needs timestamps"):
        backtest(log, "popularity")
