"""What a report gathers, and how it says to repeat a fit."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from diffrec_cli import workflows
from diffrec_cli.data import store
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.sequences import Sequences
from diffrec_cli.errors import NotFoundError, UsageError
from diffrec_cli.workflows.report_model import Report, concentration, setting_text

QUICK = {"epochs": 2, "dims": (8,)}


@pytest.fixture
def fitted(checkerboard: Dataset) -> str:
    store.save(checkerboard, overwrite=False)
    model = workflows.fit("checkerboard", variant="t", values=QUICK, device="cpu").model
    assert model is not None
    return model


def report(model: str, **options: object) -> Report:
    return workflows.report(model, device="cpu", **options)  # type: ignore[arg-type]


def test_concentration_is_the_share_of_the_most_frequent_items() -> None:
    counts = np.zeros(200, np.int64)
    counts[[5, 6]], counts[7:25] = (30, 20), 2  # 50 + 36 places; the first 20 items hold all
    found = concentration(counts)
    assert found.top == {0.01: 50 / 86, 0.1: 1.0}
    assert found.curve[0] == (0.0, 0.0)
    assert found.curve[-1] == (1.0, 1.0)


def test_concentration_of_nothing_is_nothing() -> None:
    assert concentration(np.zeros(4, np.int64)).top == {0.01: 0.0, 0.1: 0.0}


def test_coverage_is_that_of_the_lists(fitted: str) -> None:
    lists = workflows.recommend(fitted, all_users=True, k=20, device="cpu").table().to_pylist()
    reach = report(fitted).catalogue
    for k, covered in reach.covered.items():
        assert covered == len({row["item"] for row in lists if row["rank"] <= k}) / 40
    assert (reach.users, reach.items) == (60, 40)


def test_examples_are_users_of_different_activity(checkerboard: Dataset) -> None:
    # User u has 1 + u % 12 items in train, and 6 more: 7 to 18 in all.
    rows = [checkerboard.train.of(user)[: 1 + user % 12] for user in range(60)]
    lengths = [len(row) for row in rows]
    train = Sequences.from_rows(np.repeat(np.arange(60), lengths), np.concatenate(rows), 60)
    store.save(replace(checkerboard, train=train), overwrite=False)
    model = workflows.fit("checkerboard", variant="pop").model
    examples = report(model or "").examples
    assert [example.interactions for example in examples] == [8, 13, 17]
    assert all(len(example.recommended) == 10 for example in examples)


def test_an_example_shows_the_newest_first(fitted: str, checkerboard: Dataset) -> None:
    (example,) = report(fitted, users=["u3"]).examples
    newest = checkerboard.known.of(3)[::-1][:8]
    assert example.latest == tuple(f"Title {item}" for item in newest)


def test_settings_tell_what_differs_from_auto(fitted: str) -> None:
    changed = {s.key: (s.value, s.auto) for s in report(fitted).settings if s.value != s.auto}
    assert changed == {"dims": ((8,), (200, 600)), "epochs": (2, 1000)}


def test_the_command_has_what_differs_from_auto(fitted: str) -> None:
    recipe = report(fitted).recipe
    (command,) = recipe.commands
    words = shlex.split(command)
    assert words[:4] == ["diffrec", "fit", "checkerboard", "--variant"]
    assert [words[n + 1] for n, word in enumerate(words) if word == "--set"] == [
        "dims=8",
        "epochs=2",
    ]
    assert "was not recorded" in recipe.notes[0]  # how it was prepared


def test_a_fit_that_time_ended_is_repeated_by_its_epochs(checkerboard: Dataset) -> None:
    store.save(checkerboard, overwrite=False)
    model = workflows.fit(
        "checkerboard", variant="base", values={"dims": (8,)}, max_seconds=0.0, device="cpu"
    ).model
    recipe = report(model or "").recipe
    assert "--set epochs=1" in recipe.commands[-1]
    assert any("ended from outside" in note for note in recipe.notes)


def test_an_updated_model_is_repeated_with_its_update(fitted: str, tmp_path: Path) -> None:
    events = tmp_path / "events.csv"
    events.write_text("user,item\nu1,i00\nnew,i02\n")
    updated = workflows.update(fitted, events)
    gathered = report(updated.model)
    assert gathered.recipe.commands[-1] == f"diffrec update checkerboard-t {events}"
    assert gathered.catalogue.users == 61
    changed = [s.key for s in gathered.settings if s.value != s.auto]
    assert changed == ["dims", "epochs"]  # as before: the newcomer changes no preset


def test_a_refitted_model_is_not_measured(checkerboard: Dataset) -> None:
    store.save(checkerboard, overwrite=False)
    model = workflows.fit(
        "checkerboard", variant="base", values=QUICK, refit="all", device="cpu"
    ).model
    gathered = report(model or "")
    assert gathered.evaluated is None
    assert "--refit" in gathered.unmeasured
    assert "--refit" in gathered.recipe.commands[-1]
    assert len(gathered.examples) > 0


def test_what_cannot_be_found_is_refused(fitted: str) -> None:
    with pytest.raises(NotFoundError):
        report(fitted, users=["nobody"])
    with pytest.raises(NotFoundError):
        report("nothing")
    with pytest.raises(UsageError):
        report(fitted, split="train")


@pytest.mark.parametrize(
    ("value", "text"), [((200, 600), "200,600"), (None, "none"), (True, "true"), (1e-3, "0.001")]
)
def test_settings_are_written_as_set_takes_them(value: object, text: str) -> None:
    assert setting_text(value) == text


def test_the_curve_of_a_fit_has_a_value_for_each_epoch_measured(checkerboard: Dataset) -> None:
    store.save(checkerboard, overwrite=False)
    values = {**QUICK, "epochs": 6, "eval_every": 2}
    fitted = workflows.fit("checkerboard", variant="base", values=values, device="cpu")
    assert len(fitted.curve) == 3
    assert fitted.training is not None
    assert max(fitted.curve) == fitted.training.valid["recall@20"]
    assert "curve" not in fitted.to_dict()


def test_a_page_is_written_under_the_name_of_the_model(
    fitted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = workflows.write_report(render=lambda gathered: gathered.record.name, device="cpu")
    assert path == Path("checkerboard-t-1.html")
    assert path.read_text() == "checkerboard-t"
    assert [child.name for child in tmp_path.glob("*.html")] == [path.name]


@pytest.mark.parametrize("out", [".", "no/such/page.html", "mine.html"])
def test_a_page_that_cannot_be_written_is_refused_before_the_work(
    fitted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.html").write_text("mine")
    told: list[object] = []
    with pytest.raises(UsageError):
        workflows.write_report(fitted, out, render=str, listener=told.append)
    assert told == []
    assert Path("mine.html").read_text() == "mine"
    workflows.write_report(fitted, "mine.html", render=lambda _: "new", overwrite=True)
    assert Path("mine.html").read_text() == "new"
