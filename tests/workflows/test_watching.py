"""What programs and trackers see of a fit."""

from __future__ import annotations

import io
import json
import sys
import types
from typing import Any

import pytest

from diffrec_cli import workflows
from diffrec_cli.data import store
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.errors import ConfigError, MissingExtraError, UsageError
from diffrec_cli.workflows import watching
from diffrec_cli.workflows.progress import EpochDone, Note, Plan, Step
from diffrec_cli.workflows.watching import EventStream, watched

EPOCH = EpochDone(2, 0.5, {"recall@20": 0.25}, True, 0.25, 10.0, 3)
PLAN = Plan(
    "shop: variant base",
    {
        "name": "shop",
        "variant": "base",
        "dataset": "log",
        "preset": "auto",
        "seed": 1,
        "precision": "fp32",
        "config": {"training": {"lr": 0.1}},
    },
)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_each_event_is_a_line_with_its_values() -> None:
    stream = io.StringIO()
    for event in (Note("é"), PLAN, EPOCH, Step("training", 5, 10)):
        EventStream(stream)(event)
    found = lines(stream)
    assert [line["event"] for line in found] == ["note", "plan", "epoch", "step"]
    assert {line["schema_version"] for line in found} == {1}
    assert found[0]["text"] == "é"
    assert found[1]["values"]["config"] == {"training": {"lr": 0.1}}
    assert found[2]["metrics"] == {"recall@20": 0.25}
    assert (found[3]["done"], found[3]["total"], found[3]["unit"]) == (5, 10, "users")


def test_lines_are_json_whatever_the_encoding_of_the_stream() -> None:
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, "ascii")
    EventStream(stream)(Note("é\u202e"))
    assert json.loads(written.getvalue())["text"] == "é\u202e"


def test_steps_are_written_at_most_once_a_second_and_at_their_end() -> None:
    stream = io.StringIO()
    events = EventStream(stream)
    for done in range(1, 101):
        events(Step("training", done, 100))
    assert [line["done"] for line in lines(stream)] == [1, 100]


def test_numbers_that_are_not_finite_are_null() -> None:
    stream = io.StringIO()
    EventStream(stream)(EpochDone(1, float("nan"), {}, False, float("nan"), 1.0, 1))
    (line,) = lines(stream)
    assert line["loss"] is None


def test_a_fit_ends_with_its_result(checkerboard: Dataset, tmp_path) -> None:
    store.save(checkerboard)
    path, heard = tmp_path / "events.jsonl", list[Any]()
    for _ in range(2):
        with watched(heard.append, str(path), [], io.StringIO()) as watch:
            values = {"dims": (4,), "epochs": 2}
            fitted = workflows.fit("checkerboard", variant="base", values=values, listener=watch)
            watch.ended("fitted", {"result": fitted.to_dict()})
    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["event"] for line in found if line["event"] == "epoch"] == ["epoch"] * 4
    ends = [line["result"]["model"] for line in found if line["event"] == "fitted"]
    assert ends == ["checkerboard-base@1", "checkerboard-base@2"]  # the second is appended
    assert sum(isinstance(event, EpochDone) for event in heard) == 4


def test_an_error_is_the_last_line() -> None:
    stdout = io.StringIO()
    with (
        pytest.raises(ConfigError),
        watched(list[Any]().append, "-", [], stdout),
    ):
        raise ConfigError("no such setting", "see the list")
    (line,) = lines(stdout)
    assert (line["event"], line["error"], line["fix"]) == (
        "failed",
        "no such setting",
        "see the list",
    )


def test_a_file_that_cannot_be_written(tmp_path) -> None:
    with (
        pytest.raises(UsageError, match="--log-json"),
        watched(list[Any]().append, str(tmp_path / "no" / "file"), [], io.StringIO()),
    ):
        pass


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a device of Linux")
def test_a_full_disk_ends_the_stream_and_not_the_fit() -> None:
    heard: list[Any] = []
    with watched(heard.append, "/dev/full", [], io.StringIO()) as watch:
        watch(EPOCH)
        watch(EPOCH)
    texts = [event.text for event in heard if isinstance(event, Note)]
    assert texts == ["--log-json ends here: No space left on device"]
    assert heard.count(EPOCH) == 2


class Recorder:
    """A tracker that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def begin(self, name: str, settings: Any) -> None:
        self.told.append((name, dict(settings)))

    def log(self, metrics: Any, epoch: int) -> None:
        self.told.append((epoch, dict(metrics)))

    def end(self) -> None:
        self.told.append("end")


def test_a_tracker_gets_settings_and_epochs_a_run_for_each_plan(monkeypatch) -> None:
    recorder = Recorder()
    monkeypatch.setitem(watching.TRACKERS, "mlflow", lambda: recorder)
    with watched(list[Any]().append, None, ["mlflow"], io.StringIO()) as watch:
        for event in (PLAN, EPOCH, PLAN):
            watch(event)
    name, settings = recorder.told[0]
    assert name == "shop"
    assert settings["training.lr"] == 0.1
    assert settings["variant"] == "base"
    figures = {"loss": 0.5, "users_per_second": 10.0, "valid/recall_at_20": 0.25}
    assert recorder.told[1:] == [(2, figures), "end", recorder.told[0], "end"]


def test_a_tracker_that_fails_is_left_out_and_the_fit_goes_on(monkeypatch) -> None:
    recorder, heard = Recorder(), list[Any]()
    monkeypatch.setattr(recorder, "log", lambda *_: 1 / 0)
    monkeypatch.setitem(watching.TRACKERS, "wandb", lambda: recorder)
    with watched(heard.append, None, ["wandb"], io.StringIO()) as watch:
        for event in (PLAN, EPOCH, EPOCH):
            watch(event)
    notes = [event.text for event in heard if isinstance(event, Note)]
    assert notes == ["--track wandb ends here: division by zero"]


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_library_that_is_missing_is_named(monkeypatch, name: str) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with (
        pytest.raises(MissingExtraError, match=name) as raised,
        watched(list[Any]().append, None, [name], io.StringIO()),
    ):
        pass
    assert f"diffrec-cli[{name}]" in raised.value.fix


def test_a_tracker_that_nobody_knows() -> None:
    with (
        pytest.raises(UsageError, match="--track paper"),
        watched(list[Any]().append, None, ["paper"], io.StringIO()),
    ):
        pass


class TestLibraries:
    """The trackers' own libraries, where they are installed."""

    @pytest.fixture(autouse=True)
    def home(self, tmp_path, monkeypatch) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
        monkeypatch.setenv("WANDB_MODE", "offline")

    def watch(self, name: str) -> list[Any]:
        heard: list[Any] = []
        with watched(heard.append, None, [name], io.StringIO()) as watch:
            watch(PLAN)
            watch(EPOCH)
        return [event.text for event in heard if isinstance(event, Note)]

    def test_tensorboard(self, tmp_path) -> None:
        pytest.importorskip("tensorboard")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        assert self.watch("tensorboard") == []
        (run,) = (tmp_path / "runs").iterdir()
        events = EventAccumulator(str(run)).Reload()
        (point,) = events.Scalars("valid/recall_at_20")
        assert (point.step, point.value) == (2, 0.25)

    def test_mlflow(self) -> None:
        mlflow: types.ModuleType = pytest.importorskip("mlflow")
        assert self.watch("mlflow") == []
        (run,) = mlflow.search_runs(output_format="list")
        assert run.data.metrics["valid/recall_at_20"] == 0.25
        assert run.data.params["training.lr"] == "0.1"

    def test_wandb(self, tmp_path) -> None:
        pytest.importorskip("wandb")
        assert self.watch("wandb") == []
        assert list((tmp_path / "wandb").glob("offline-run-*"))
