"""The same effort for each model, figures that are checked, and nothing measured twice."""

import json
import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from diffrec_cli import workflows
from diffrec_cli.catalogue import preset
from diffrec_cli.data import store as datasets
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.errors import CorruptError, DeviceError, UsageError
from diffrec_cli.workflows import compare_models
from diffrec_cli.workflows.experiments import trial_process, trials
from diffrec_cli.workflows.experiments.search import Search
from diffrec_cli.workflows.experiments.trials import KeptTrials, Task, measure
from diffrec_cli.workflows.progress import Event, Note, silent

QUICK = {"epochs": 2, "dims": (8,), "batch_size": 20}


@pytest.fixture
def data(checkerboard: Dataset) -> str:
    datasets.save(checkerboard)
    return checkerboard.name


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Task]]:
    """Measure in this process, which is quick; return what was measured."""
    measured: list[Task] = []

    def measure_here(tasks, dataset, budget, keep, listener) -> None:
        for task in tasks:
            measured.append(task)
            keep(*measure(task, dataset, None, listener))

    monkeypatch.setattr(compare_models, "measure_apart", measure_here)
    return measured


def compare(data: str, *models: str, **options):
    values = QUICK if preset("auto", models[0], users=1).trains else {}
    return workflows.compare(data, models, values=values, device="cpu", precision="fp32", **options)


def test_models_stand_in_the_order_of_their_recall(data: str, at_once: list[Task]) -> None:
    results = compare(data, "pop", "ease", "itemknn", seeds=2).results
    recalls = [result.metrics["recall@20"][0] for result in results]
    assert recalls == sorted(recalls, reverse=True)
    assert results[-1].model == "popularity"
    assert results[0].difference is None
    assert results[-1].difference is not None
    assert results[-1].difference.difference == pytest.approx(recalls[0] - recalls[-1])
    assert results[-1].difference.p_value < 0.01


def test_figures_are_those_of_eval(data: str, at_once: list[Task]) -> None:
    (result,) = compare(data, "ease", seeds=1).results
    fitted = workflows.fit(data, variant="ease", device="cpu", precision="fp32")
    evaluated = workflows.evaluate([str(fitted.model)], device="cpu").results[0]
    means = {name: mean for name, (mean, _) in result.metrics.items()}
    assert means == pytest.approx(evaluated.evaluation.means)
    assert result.parameters == fitted.parameters


def test_mean_and_deviation_are_over_seeds(
    data: str, checkerboard: Dataset, at_once: list[Task]
) -> None:
    (result,) = compare(data, "multidae", seeds=3).results
    trials = KeptTrials(checkerboard)
    values = [trials.get(task).test["recall@20"] for task in at_once]
    assert [task.config.seed for task in at_once] == [1, 2, 3]
    assert result.metrics["recall@20"] == pytest.approx((np.mean(values), np.std(values, ddof=1)))


def test_a_model_that_draws_nothing_is_fitted_once(data: str, at_once: list[Task]) -> None:
    (result,) = compare(data, "itemknn", seeds=5).results
    assert (result.seeds, len(at_once)) == (1, 1)
    assert result.metrics["recall@20"][1] == 0.0


def test_every_model_gets_the_same_number_of_trials(data: str, at_once: list[Task]) -> None:
    results = compare(data, "ease", "itemknn", "pop", "multidae", seeds=1, trials=4).results
    tried = {result.model: result.trials for result in results}
    assert tried == {
        "ease": 4,
        "itemknn": 4,
        "multidae": 4,
        "popularity": 0,
    }
    assert sum(not task.final for task in at_once) == 12


def test_the_setting_is_chosen_by_the_valid_part_alone(
    data: str, checkerboard: Dataset, at_once: list[Task]
) -> None:
    (result,) = compare(data, "itemknn", seeds=1, trials=6).results
    trials = KeptTrials(checkerboard)
    trials = [trials.get(task) for task in at_once if not task.final]
    best = max(trials, key=lambda trial: trial.valid["recall@20"])
    assert dict(result.settings) == dict(best.values)
    assert not any(trial.test for trial in trials)


def test_what_was_measured_is_not_measured_again(data: str, at_once: list[Task]) -> None:
    first = compare(data, "ease", "multidae", seeds=2, trials=2)
    before = len(at_once)
    again = compare(data, "ease", "multidae", seeds=2, trials=2)
    assert len(at_once) == before
    assert again.to_dict() == first.to_dict()
    compare(data, "ease", "multidae", seeds=3, trials=2)
    assert len(at_once) == before + 1  # the third seed


def test_an_interrupted_comparison_goes_on_to_the_same_table(
    data: str, at_once: list[Task]
) -> None:
    models = ("ease", "itemknn", "popularity")

    def interrupt(event: Event) -> None:
        if isinstance(event, Note) and event.text.startswith("itemknn: seed"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(data, *models, seeds=1, listener=interrupt)
    interrupted = len(at_once)
    resumed = compare(data, *models, seeds=1)
    assert (interrupted, len(at_once)) == (2, 3)
    table = {result.model: dict(result.metrics) for result in resumed.results}
    for model in models:
        (alone,) = compare(data, model, seeds=1).results
        assert table[model] == dict(alone.metrics)


def test_other_data_of_the_same_name_are_measured_anew(
    data: str, checkerboard: Dataset, at_once: list[Task]
) -> None:
    from dataclasses import replace

    compare(data, "pop", seeds=1)
    other = replace(checkerboard, valid=checkerboard.test, test=checkerboard.valid)
    datasets.save(other, overwrite=True)
    compare(data, "pop", seeds=1)
    assert len(at_once) == 2


def test_what_another_version_measured_is_measured_again(
    data: str, at_once: list[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    compare(data, "pop", "ease", seeds=1)
    monkeypatch.setattr(trials, "__version__", "9.9")
    heard: list[Event] = []
    compare(data, "pop", seeds=1, listener=heard.append)
    assert [task.config.variant for task in at_once] == ["popularity", "ease", "popularity"]
    texts = [event.text for event in heard if isinstance(event, Note)]
    assert texts[0] == "2 kept results are of another version of diffrec and not used"
    compare(data, "pop", seeds=1)
    assert len(at_once) == 3


def test_what_was_kept_without_a_version_is_measured_again(
    data: str, checkerboard: Dataset, at_once: list[Task]
) -> None:
    compare(data, "pop", seeds=1)
    file = KeptTrials(checkerboard).directory / "trials.jsonl"
    trial = json.loads(file.read_text())
    del trial["version"]
    file.write_text(json.dumps(trial) + "\n")
    compare(data, "pop", seeds=1)
    assert len(at_once) == 2


def test_a_model_that_fails_is_left_out_and_told(
    data: str, at_once: list[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    from diffrec_cli import memory

    monkeypatch.setattr(memory, "available_memory", lambda: 1000)
    heard: list[Event] = []
    results = compare(data, "ease", "pop", seeds=1, listener=heard.append).results
    assert [result.model for result in results] == ["popularity", "ease"]
    assert "ease on 40 items needs" in results[1].failure
    assert any("ease is left out" in event.text for event in heard if isinstance(event, Note))


@pytest.mark.parametrize(
    ("models", "options", "word"),
    [
        ([], {}, "no model"),
        (["magic"], {}, "magic"),
        (["pop"], {"seeds": 0}, "--seeds"),
        (["pop"], {"trials": -1}, "--trials"),
        (["pop"], {"budget": 0.0}, "--budget"),
        (["pop", "base"], {"values": {"epohcs": 3}}, "--set epohcs: none of these models"),
        (["base"], {"values": {"seed": 3}}, "--set seed"),
    ],
)
def test_requests_without_sense(data: str, models: list[str], options, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        workflows.compare(data, models, **options)


class TestProcesses:
    def test_a_cell_is_measured_in_a_process_of_its_own(
        self, data: str, checkerboard: Dataset
    ) -> None:
        (result,) = compare(data, "itemknn", seeds=1).results
        here, _ = measure(_task("itemknn", final=True), checkerboard, None, lambda event: None)
        assert {n: mean for n, (mean, _) in result.metrics.items()} == pytest.approx(here.test)
        assert result.peak_bytes > 10**7

    def test_its_memory_is_its_own(self, data: str) -> None:
        held = np.ones(125_000_000)  # 1 GB, far more than a small model needs
        (result,) = compare(data, "itemknn", seeds=1).results
        assert 10**7 < result.peak_bytes < held.nbytes

    def test_a_budget_of_time_begins_no_further_trial(self, checkerboard: Dataset) -> None:
        kept = []
        tasks = [_task("itemknn"), _task("ease")]
        trial_process.measure_apart(
            tasks, checkerboard, 1e-9, lambda *trial: kept.append(trial), lambda event: None
        )
        assert [trial.variant for trial, _ in kept] == ["itemknn"]

    def test_a_process_that_dies_is_an_error_that_names_the_model(
        self, checkerboard: Dataset
    ) -> None:
        with pytest.raises(DeviceError, match=r"trained pop.* died \(exit 9\)"):
            trial_process.measure_apart(
                [Deadly(**vars(_task("pop")))], checkerboard, None, print, print
            )

    @pytest.mark.skipif(os.name == "nt", reason="pipes of Windows have no file descriptors")
    def test_one_that_is_killed_while_it_sends_died_as_well(self) -> None:
        here, there = multiprocessing.Pipe(duplex=False)
        os.write(there.fileno(), b"\0\0\0\x64half of a message")
        there.close()
        killed = SimpleNamespace(join=lambda: None, exitcode=-9)
        with pytest.raises(DeviceError, match=r"died \(exit -9\)"):
            trial_process._received(here, killed, _task("pop"))


def _task(model: str, final: bool = False) -> Task:
    return Task(preset("auto", model, users=60), {}, final, "cpu", "fp32")


@dataclass(frozen=True)
class Deadly(Task):
    """Kills the process that measures it, as the system does when memory runs out."""

    @property
    def key(self) -> str:
        os._exit(9)


def test_a_line_that_a_kill_cut_short_is_no_cell(
    data: str, checkerboard: Dataset, at_once: list[Task], isolated_home: Path
) -> None:
    compare(data, "pop", "itemknn", seeds=1)
    file = KeptTrials(checkerboard).directory / "trials.jsonl"
    file.write_text(file.read_text()[:-20])
    compare(data, "pop", "itemknn", seeds=1)
    assert [task.config.variant for task in at_once] == ["popularity", "itemknn", "itemknn"]


@pytest.mark.parametrize("damage", ["missing", "truncated", "garbage"])
def test_a_final_trial_whose_metrics_are_damaged_is_measured_again(
    data: str, checkerboard: Dataset, at_once: list[Task], damage: str
) -> None:
    first = compare(data, "pop", "itemknn", seeds=1)
    file = KeptTrials(checkerboard).directory / f"{at_once[1].key}.npz"
    whole = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(whole[:-40] if damage == "truncated" else b"garbage")
    again = compare(data, "pop", "itemknn", seeds=1)
    assert [task.config.variant for task in at_once] == ["popularity", "itemknn", "itemknn"]
    metrics = [[result.metrics for result in one.results] for one in (first, again)]
    assert metrics[0] == metrics[1]
    compare(data, "pop", "itemknn", seeds=1)
    assert len(at_once) == 3


def test_metrics_that_are_damaged_meanwhile_are_told(
    data: str, checkerboard: Dataset, at_once: list[Task]
) -> None:
    compare(data, "pop", seeds=1)
    kept = KeptTrials(checkerboard)
    trial = kept.get(at_once[0])
    (kept.directory / f"{trial.key}.npz").write_bytes(b"")
    with pytest.raises(CorruptError, match=trial.key) as caught:
        kept.per_user(trial, "recall@20")
    assert str(kept.directory) in caught.value.fix


def test_a_line_of_bytes_that_are_no_text_costs_that_line_alone(
    data: str, checkerboard: Dataset, at_once: list[Task]
) -> None:
    compare(data, "pop", seeds=1)
    file = KeptTrials(checkerboard).directory / "trials.jsonl"
    file.write_bytes(b"\xff\xfe\n" + file.read_bytes() + b"\xff\xfe")
    compare(data, "pop", "itemknn", seeds=1)
    compare(data, "pop", "itemknn", seeds=1)
    assert [task.config.variant for task in at_once] == ["popularity", "itemknn"]


def test_trials_have_seed_1_whatever_seed_is_asked_for(checkerboard: Dataset) -> None:
    search = Search(checkerboard, 2, None, "cpu", "fp32")
    comparing = compare_models._Comparing(
        search, trials.KeptTrials(checkerboard), {"seed": 7}, silent
    )
    asked: list[int] = []
    object.__setattr__(
        comparing, "_measure", lambda tasks, *_: asked.extend(task.config.seed for task in tasks)
    )
    comparing.trials_of("mf")
    assert asked == [1, 1]
