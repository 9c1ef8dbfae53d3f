"""A search begins with the model's own settings, goes on where it ended, gives up what is bad."""

import errno
import json
import sys
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace

import pytest
from filelock import FileLock

from diffrec_cli import workflows
from diffrec_cli.catalogue import own_preset, preset
from diffrec_cli.data import store as datasets
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.errors import (
    CorruptError,
    LockedError,
    MissingExtraError,
    StorageError,
    UsageError,
)
from diffrec_cli.paths import presets_dir, tuning_dir
from diffrec_cli.workflows import tune_settings
from diffrec_cli.workflows.experiments.search import Search
from diffrec_cli.workflows.progress import Event, Note, silent

optuna = pytest.importorskip("optuna")


@pytest.fixture
def data(checkerboard: Dataset) -> str:
    datasets.save(checkerboard)
    return checkerboard.name


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run trials in this process, which is quick."""

    class Here:
        def __init__(self, target, args, daemon) -> None:
            self.start = lambda: target(*args)

        def is_alive(self) -> bool:
            return False

        terminate = join = is_alive
        pid, exitcode = 1, 0

    context = SimpleNamespace(Process=Here, SimpleQueue=SimpleQueue)
    monkeypatch.setattr(tune_settings.multiprocessing, "get_context", lambda kind: context)
    monkeypatch.setattr(tune_settings, "begin_worker", lambda catalogue: None)


def tune(data: str, variant: str = "itemknn", **options):
    return workflows.tune(data, variant=variant, device="cpu", precision="fp32", **options)


@pytest.mark.usefixtures("at_once")
def test_the_best_trial_wins_and_the_models_own_settings_are_among_them(data: str) -> None:
    heard: list[Event] = []
    tuned = tune(data, trials=6, listener=heard.append)
    told = [event.text for event in heard if isinstance(event, Note)]
    assert told[0].startswith("trial 0: valid recall@20")
    assert told[0].endswith("neighbours=100 shrink=0.0")
    values = [float(text.split()[4]) for text in told]
    assert tuned.value == pytest.approx(max(values), abs=1e-4)
    assert tuned.finished == len(told) == 6
    winner = workflows.fit(
        data, variant="itemknn", values=tuned.values, device="cpu", precision="fp32"
    )
    assert winner.training.valid["recall@20"] == pytest.approx(tuned.value)


@pytest.mark.usefixtures("at_once")
def test_a_search_goes_on_where_it_ended(data: str) -> None:
    tune(data, trials=3)
    heard: list[Event] = []
    tuned = tune(data, trials=5, listener=heard.append)
    texts = [event.text for event in heard if isinstance(event, Note)]
    assert texts[0] == "going on after 3 trials"
    assert [text.split(":")[0] for text in texts[1:]] == ["trial 3", "trial 4"]
    assert tuned.finished == 5


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("after", [b"", b'{"op_code": 4}\n' * 2])
def test_a_search_that_was_stored_in_part_goes_on_before_that(data: str, after: bytes) -> None:
    tune(data, trials=3)
    (journal,) = tuning_dir().glob("*.journal")
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-1]) + lines[-1][: len(lines[-1]) // 2] + after)
    heard: list[Event] = []
    tuned = tune(data, trials=4, listener=heard.append)
    texts = [event.text for event in heard if isinstance(event, Note)]
    lost = f" of 2 entries (kept in {journal.name}.damaged)" if after else ""
    assert texts[0] == f"the end{lost} of the stored search cannot be read: going on before it"
    assert Path(f"{journal}.damaged").exists() == bool(after)
    assert texts[1].startswith("going on after ")
    assert tuned.finished == 4


@pytest.mark.usefixtures("at_once")
def test_a_full_disk_is_told(data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*unused: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(optuna.storages.journal.JournalFileBackend, "append_logs", full)
    with pytest.raises(StorageError, match="no space left"):
        tune(data, trials=1)


@pytest.mark.usefixtures("at_once")
def test_another_version_begins_anew(data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tune(data, trials=2)
    monkeypatch.setattr(tune_settings, "__version__", "9.9")
    assert tune(data, trials=1).finished == 1


@pytest.mark.usefixtures("at_once")
def test_other_settings_held_are_another_search(data: str) -> None:
    quick = {"batch_size": 20, "dims": "8"}
    assert tune(data, "multidae", trials=1, values={**quick, "epochs": "1"}).finished == 1
    assert tune(data, "multidae", trials=1, values={**quick, "epochs": "2"}).finished == 1


@pytest.mark.usefixtures("at_once")
def test_impossible_settings_are_counted_not_fatal(data: str, monkeypatch) -> None:
    def only_impossible(variant: str):
        return {"alpha_min": (0.5,), "T": (2,)}

    monkeypatch.setattr(tune_settings, "space", only_impossible)
    quick = {"epochs": "1", "dims": "8", "batch_size": "20"}
    tuned = tune(data, "base", trials=4, values=quick)
    assert tuned.finished + tuned.failed == 4
    assert tuned.values["alpha_min"] != 0.5


def test_processes_share_a_search(data: str) -> None:
    tuned = tune(data, trials=4, jobs=2)
    assert tuned.finished == 4


def test_a_trial_is_given_up_where_others_had_done_better(
    data: str, checkerboard: Dataset, tmp_path
) -> None:
    config = preset("auto", "multidae", users=60).with_values({"dims": (8,), "epochs": 50})
    search = Search(checkerboard, 1, None, "cpu", "fp32")
    guided = tune_settings._Guided(tmp_path / "journal", search, config, None, None)
    reported: list[int] = []
    trial = SimpleNamespace(
        report=lambda value, epoch: reported.append(epoch), should_prune=lambda: len(reported) == 3
    )
    with pytest.raises(optuna.TrialPruned):
        tune_settings._trial(guided, {}, trial)
    assert reported == [1, 2, 3]


def test_jobs_are_as_many_as_memory_allows(
    checkerboard: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = Search(checkerboard, 1, None, "cpu", "fp32")
    job = search.task(preset("auto", "base", users=60), {}).job(checkerboard)
    monkeypatch.setattr(
        tune_settings, "available_memory", lambda: 3 * tune_settings.plan(job)["memory_bytes"]
    )
    assert tune_settings._affordable(8, job, silent) == 3
    assert tune_settings._affordable(2, job, silent) == 2
    monkeypatch.setattr(tune_settings, "available_memory", lambda: 1000)
    assert tune_settings._affordable(8, job, silent) == 1


@pytest.mark.usefixtures("at_once")
def test_the_winner_can_be_kept_as_a_preset(data: str) -> None:
    tuned = tune(data, trials=3, write_preset="mine")
    kept = own_preset("mine", "itemknn", users=60)
    assert {name: kept.values()[name] for name in tuned.values} == dict(tuned.values)
    fitted = workflows.fit(data, variant="itemknn", preset="mine", device="cpu")
    assert fitted.training.valid["recall@20"] == pytest.approx(tuned.value)
    with pytest.raises(UsageError, match="for itemknn, not for ease"):
        own_preset("mine", "ease", users=60)
    with pytest.raises(UsageError, match="nothing") as caught:
        own_preset("nothing", "ease", users=60)
    assert "mine" in caught.value.fix
    record = presets_dir() / "mine.json"
    for damaged in (None, 3, "x", []):
        record.write_text(json.dumps({**json.loads(record.read_text()), "values": damaged}))
        with pytest.raises(CorruptError, match="preset is damaged"):
            own_preset("mine", "itemknn", users=60)


def test_the_preset_of_diffrec_are_not_replaced(data: str) -> None:
    with pytest.raises(UsageError, match="paper-yelp"):
        tune(data, trials=1, write_preset="paper-yelp")


@pytest.mark.parametrize(
    ("variant", "options", "word"),
    [
        ("magic", {}, "magic"),
        ("pop", {}, "no settings"),
        ("ease", {"trials": 0}, "--trials"),
        ("ease", {"jobs": 0}, "--jobs"),
        ("ease", {"budget": 0.0}, "--budget"),
    ],
)
def test_requests_without_sense(data: str, variant: str, options, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        tune(data, variant, **options)


def test_without_optuna_the_extra_is_named(data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match="optuna") as caught:
        tune(data)
    assert "diffrec-cli[tune]" in caught.value.fix


def test_two_searches_of_the_same_are_not_run_at_once(data: str, checkerboard: Dataset) -> None:
    journal = tune_settings._journal(checkerboard, preset("auto", "itemknn", users=60))
    with FileLock(f"{journal}.held"), pytest.raises(LockedError, match="another process"):
        tune(data)
