"""``fit --variant auto``: which candidate is chosen, and what is kept of the others."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from diffrec_cli import workflows
from diffrec_cli.catalogue import Candidate
from diffrec_cli.data import store as datasets
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.errors import (
    ConfigError,
    LockedError,
    NotFoundError,
    TrainingError,
    UsageError,
)
from diffrec_cli.paths import runs_dir
from diffrec_cli.registry import versions as registry
from diffrec_cli.workflows.fitting import choosing, settings
from diffrec_cli.workflows.fitting.choosing import prefer
from diffrec_cli.workflows.fitting.training import train_model
from diffrec_cli.workflows.progress import EpochDone, Event, Note, Plan, Step

SMALL = {"dims": (8,), "batch_size": 10, "epochs": 4}
BAD = Candidate("base", {**SMALL, "lr": 1e-9}, "slow")
GOOD = Candidate("base", {**SMALL, "lr": 3e-2}, "fast")
BROKEN = Candidate("base", {**SMALL, "lr": 1e30}, "broken")
EASE = Candidate("ease", simple=True)


@pytest.fixture
def fit(checkerboard: Dataset, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a fit that chooses among some candidates."""
    datasets.save(checkerboard)

    def fitted(*found: Candidate, **options: Any) -> workflows.Fitted:
        monkeypatch.setattr(settings, "candidates", lambda **log: found)
        return workflows.fit("checkerboard", device="cpu", precision="fp32", **options)

    return fitted


def choice(fitted: workflows.Fitted) -> dict[str, Any]:
    """Return the record of a choice, as it was stored."""
    return dict(registry.resolve(str(fitted.model)).record.choice)


def left_runs() -> list[str]:
    return [path.name for path in runs_dir().iterdir()]


class TestWhatIsPreferred:
    def test_the_best(self) -> None:
        users = np.random.default_rng(1).random(100)
        assert prefer([users, users + 0.1, users + 0.2]) == 2

    def test_of_those_that_users_do_not_separate_the_first(self) -> None:
        recalls = np.random.default_rng(1).random((3, 100))
        means = recalls.mean(axis=1)
        assert abs(means.max() - means[0]) < 0.05
        assert prefer(list(recalls)) == 0

    def test_two_standard_errors_separate(self) -> None:
        # Differences of 0 and 1: a mean of 1/2, a deviation of 1/2, an error of 1/2 / sqrt(n).
        for users, wanted in ((2, 0), (4, 1)):
            second = np.tile([0.0, 1.0], users // 2)
            assert prefer([np.zeros(users), second]) == wanted

    def test_equal_ones_are_tied(self) -> None:
        assert prefer([np.ones(5), np.ones(5)]) == 0

    def test_nothing_that_another_one_is_ahead_of(self) -> None:
        # The last is best and noisy: it is ahead of nothing. The second is clearly ahead of the
        # first.
        first, noise = np.full(8, 0.3), np.tile([0.0, 0.9], 4)
        assert prefer([first, noise]) == 0
        assert prefer([first, first + 0.1, noise]) == 1


def test_the_best_on_valid_becomes_the_model(fit) -> None:
    fitted = fit(BAD, GOOD)
    record = registry.resolve("checkerboard@1").record
    assert fitted.model == "checkerboard@1"
    assert record.config["training"]["lr"] == 3e-2
    assert choice(fitted)["chosen"] == "base (fast)"
    slow, fast = choice(fitted)["tried"]
    assert slow["behind"]
    assert fast["valid_recall@20"] == record.training.valid["recall@20"]
    assert left_runs() == []


def test_the_name_is_that_of_the_data_or_what_was_asked_for(fit) -> None:
    assert fit(GOOD).model == "checkerboard@1"
    assert fit(EASE).model == "checkerboard@2"
    assert fit(GOOD, name="shop").model == "shop@1"


def test_it_says_what_it_chose_and_how_far_others_are_behind(fit, notes, listener) -> None:
    fitted = fit(BAD, GOOD, listener=listener)
    slow, fast = (row["valid_recall@20"] for row in choice(fitted)["tried"])
    assert any(note.startswith(f"chose base (fast), valid Recall@20 {fast:.4f}") for note in notes)
    assert f"behind it: base (slow) {slow:.4f} ({slow / fast - 1:+.1%})" in notes


def test_of_the_models_that_were_tried_the_notes_of_the_chosen_one_alone_are_told(
    fit, notes, listener
) -> None:
    fit(BAD, GOOD, EASE, listener=listener)
    plans = [note for note in notes if note.startswith("checkerboard: variant")]
    assert len(plans) == 1
    assert "variant base" in plans[0]
    assert "trying ease" in notes
    assert not any(note.startswith("fitting ease") for note in notes)


def test_a_tie_is_said_and_goes_to_the_first(fit, notes, listener) -> None:
    again = replace(GOOD, setting="the same")
    assert choice(fit(GOOD, again, listener=listener))["chosen"] == "base (fast)"
    assert any("valid cannot tell it from base (the same)" in note for note in notes)


def test_a_simple_model_that_is_ahead_is_named_but_not_taken(fit, notes, listener) -> None:
    assert choice(fit(BAD, EASE, listener=listener))["chosen"] == "base (slow)"
    (told,) = [note for note in notes if "no diffusion" in note]
    assert "ease" in told
    assert "--any" in told


def test_any_takes_a_simple_model(fit) -> None:
    fitted = fit(BAD, EASE, any_model=True)
    assert registry.resolve(str(fitted.model)).record.variant == "ease"


def test_without_time_the_first_is_taken(fit, notes, listener) -> None:
    fitted = fit(BAD, GOOD, choose_seconds=0.0, listener=listener)
    assert choice(fitted)["chosen"] == "base (slow)"
    assert choice(fitted)["not_tried"] == ["base (fast)"]
    assert fitted.training.epochs == 4  # it is not cut short
    assert any("not tried for lack of time: base (fast)" in note for note in notes)


def test_what_was_stopped_for_lack_of_time_is_trained_to_its_end_if_chosen(
    fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = []

    def stopped_at_once(
        job: Any, *, resume: bool, max_seconds: float | None, **options: Any
    ) -> Any:
        limits.append(max_seconds)
        limit = None if max_seconds is None else 0.0
        return train_model(job, resume=resume, max_seconds=limit, **options)

    monkeypatch.setattr(choosing, "train_model", stopped_at_once)
    good = Candidate("base", {**GOOD.values, "batch_size": 2}, "fast")  # after one epoch, too
    fitted = fit(BAD, good, choose_seconds=60.0)
    assert [row["stopped"] for row in choice(fitted)["tried"]] == ["epochs", "time"]
    assert (fitted.training.stopped, fitted.training.epochs) == ("epochs", 4)
    assert limits[0] is None
    assert 0 < limits[1] < 60
    assert limits[2] is None


def test_max_time_limits_the_choice_and_resuming_does_not_choose_again(
    fit, notes, listener
) -> None:
    first = fit(GOOD, BAD, max_seconds=0.0)
    assert (first.training.stopped, first.training.epochs) == ("time", 1)
    assert choice(first)["not_tried"] == ["base (slow)"]
    second = fit(GOOD, BAD, resume=True, listener=listener)
    assert second.training.epochs == 4
    assert choice(second) == choice(first)
    assert any("was chosen before" in note for note in notes)
    assert left_runs() == []


class Interrupt:
    """A listener that presses Ctrl-C when it sees an event for the nth time."""

    def __init__(self, wanted: Callable[[Event], bool], nth: int = 1) -> None:
        self.wanted, self.left = wanted, nth

    def __call__(self, event: Event) -> None:
        self.left -= self.wanted(event)
        if self.wanted(event) and self.left == 0:
            raise KeyboardInterrupt


def epoch(event: Event) -> bool:
    return isinstance(event, EpochDone)


def note(text: str) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, Note) and event.text.startswith(text)


class TestAnInterruption:
    def test_of_a_later_candidate_keeps_the_best_so_far_and_can_go_on(self, fit) -> None:
        first = fit(GOOD, BAD, listener=Interrupt(epoch, nth=6))
        assert isinstance(first.interruption, KeyboardInterrupt)
        record = registry.resolve(str(first.model)).record
        assert record.config["training"]["lr"] == 3e-2
        assert not record.training.complete
        assert not record.choice
        second = fit(GOOD, BAD, resume=True)
        assert [row["model"] for row in choice(second)["tried"]] == ["base (fast)", "base (slow)"]
        assert left_runs() == []

    def test_of_the_first_epoch_keeps_nothing(self, fit) -> None:
        fitted = fit(GOOD, BAD, listener=Interrupt(note("base (fast)")))
        assert fitted.model == "checkerboard@1"  # its fit was complete by then
        fitted = fit(BAD, GOOD, listener=Interrupt(lambda event: isinstance(event, Step)))
        assert fitted.model is None
        assert isinstance(fitted.interruption, KeyboardInterrupt)

    def test_of_a_simple_model_does_not_take_another_simple_one(self, fit) -> None:
        fitting = note("trying itemknn")
        fitted = fit(BAD, EASE, Candidate("itemknn", simple=True), listener=Interrupt(fitting))
        assert isinstance(fitted.interruption, KeyboardInterrupt)
        assert registry.resolve(str(fitted.model)).record.variant == "base"

    def test_after_the_choice_does_not_lose_what_was_chosen(
        self, fit, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupted(job: Any, *, resume: bool, **options: Any) -> Any:
            outcome = train_model(job, resume=False, **options)
            if resume:
                return replace(outcome, arrays={}, interruption=KeyboardInterrupt())
            return replace(outcome, trained=replace(outcome.trained, stopped="time"))

        monkeypatch.setattr(choosing, "train_model", interrupted)
        fitted = fit(GOOD, BAD, choose_seconds=0.0)
        assert isinstance(fitted.interruption, KeyboardInterrupt)
        assert fitted.model == "checkerboard@1"

    def test_leaves_nothing_behind_once_another_fit_is_complete(self, fit) -> None:
        fit(BAD, GOOD, max_seconds=0.0)
        assert len(left_runs()) == 1
        fit(BAD, GOOD)
        assert left_runs() == []


def test_there_may_be_nothing_to_resume(fit) -> None:
    with pytest.raises(NotFoundError, match="no interrupted fit of checkerboard"):
        fit(GOOD, BAD, resume=True)


def test_a_candidate_that_fails_is_left_out(fit, notes, listener) -> None:
    fitted = fit(BROKEN, GOOD, listener=listener)
    assert choice(fitted)["chosen"] == "base (fast)"
    (failed,) = choice(fitted)["failed"]
    assert (failed["model"], failed["why"][:8]) == ("base (broken)", "the loss")
    assert any(note.startswith("base (broken) is left out: the loss") for note in notes)
    assert left_runs() == []


def test_if_all_fail_the_first_error_is_the_outcome(fit) -> None:
    with pytest.raises(TrainingError, match="the loss of epoch 1"):
        fit(BROKEN, replace(BROKEN, setting="too"))
    with pytest.raises(TrainingError, match="the loss of epoch 1"):
        fit(BROKEN, EASE)  # a simple model is no way out, unless any may be taken
    assert fit(BROKEN, EASE, any_model=True).model == "checkerboard@1"


def test_a_run_that_another_process_resumes_is_no_reason_to_take_another_model(fit) -> None:
    fit(BAD, GOOD, max_seconds=0.0)
    (run,) = runs_dir().iterdir()
    (run / "choice.json").unlink()
    with FileLock(run / "lock"), pytest.raises(LockedError):
        fit(BAD, GOOD, resume=True)


def test_a_missing_package_leaves_its_model_out(
    fit, notes, listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "implicit.cpu.als", None)
    fit(GOOD, Candidate("ials", simple=True), listener=listener)
    (told,) = [note for note in notes if note.startswith("ials is left out")]
    assert "pip install 'diffrec-cli[baselines]'" in told
    assert left_runs() == []


def test_the_first_one_to_fit_is_the_first(fit) -> None:
    fitted = fit(BROKEN, GOOD, BAD, choose_seconds=0.0)
    assert choice(fitted)["chosen"] == "base (fast)"
    assert choice(fitted)["not_tried"] == ["base (slow)"]


def test_what_cannot_be_chosen_any_more_is_not_kept_in_memory(
    fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = []
    decide = choosing._record

    def record(trials: Any, *others: Any) -> Any:
        kept.extend(bool(one.outcome.arrays) for one in trials.tried)
        return decide(trials, *others)

    monkeypatch.setattr(choosing, "_record", record)
    fit(BAD, GOOD, EASE)
    assert kept == [False, True, False]


def test_a_refit_is_of_the_chosen_one_alone(fit, notes, listener) -> None:
    fitted = fit(BAD, GOOD, refit="train+valid", listener=listener)
    assert fitted.training.trained_on == "train+valid"
    assert sum(note.startswith("training again on") for note in notes) == 1


def test_a_dry_run_names_the_candidates_and_tries_none(fit, notes) -> None:
    plans = []

    def listener(event: Event) -> None:
        if isinstance(event, Plan):
            plans.append(event.values["variant"])
        elif isinstance(event, Note):
            notes.append(event.text)

    planned = fit(BAD, EASE, dry_run=True, listener=listener)
    assert planned.to_dict()["candidates"] == ["base (slow)", "ease"]
    assert plans == ["base", "ease"]
    assert "would choose among base (slow), ease" in notes
    assert not runs_dir().exists()


def test_settings_go_to_all_that_have_them(fit) -> None:
    fitted = fit(BAD, GOOD, EASE, values={"epochs": 2, "seed": 5})
    facts = registry.resolve(str(fitted.model)).record.training
    assert (facts.epochs, facts.seed) == (2, 5)


def test_a_setting_that_a_diffusion_lacks_needs_a_variant(fit) -> None:
    with pytest.raises(ConfigError, match=r"t\+masking\+graph has no such setting"):
        fit(Candidate("t+masking+graph"), values={"dims": (8,)})


@pytest.mark.parametrize("options", [{"preset": "paper-ml-1m"}, {"corruption": "smoothing"}])
def test_presets_and_corruptions_need_a_variant(fit, options: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="goes with a variant"):
        fit(GOOD, **options)


def test_without_valid_the_first_is_taken(
    checkerboard: Dataset, monkeypatch: pytest.MonkeyPatch, notes: Sequence[str], listener
) -> None:
    none = replace(
        checkerboard.valid, items=checkerboard.valid.items[:0], indptr=0 * checkerboard.valid.indptr
    )
    datasets.save(replace(checkerboard, valid=none))
    monkeypatch.setattr(settings, "candidates", lambda **log: (BAD, GOOD))
    fitted = workflows.fit("checkerboard", device="cpu", listener=listener)
    record = registry.resolve(str(fitted.model)).record
    assert record.config["training"]["lr"] == BAD.values["lr"]
    assert not record.choice
    assert any("no valid part to choose others by" in note for note in notes)
    assert not any("Recall" in note for note in notes)


def test_the_real_rule_runs_on_a_small_log(checkerboard: Dataset) -> None:
    datasets.save(checkerboard)
    fitted = workflows.fit("checkerboard", device="cpu", values={"epochs": 2})
    tried, failed = choice(fitted)["tried"], choice(fitted)["failed"]
    assert len(tried) + len(failed) == 7
    assert [one["model"] for one in failed] in ([], ["ials"])  # without its package
    assert all(row["valid_recall@20"] > 0.5 for row in tried)  # the board has a known answer


@pytest.mark.parametrize("options", [{"choose_seconds": 9.0}, {"any_model": True}])
def test_options_of_the_choice_say_that_a_named_variant_leaves_none(
    checkerboard: Dataset, notes: list[str], listener, options: dict[str, Any]
) -> None:
    datasets.save(checkerboard)
    workflows.fit("checkerboard", variant="ease", device="cpu", listener=listener, **options)
    assert "--choose-time and --any have no effect: the model is ease" in notes
