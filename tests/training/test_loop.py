"""The training loop: stopping, keeping the best, checkpoints, interruption, determinism."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from diffrec_cli.config import FitConfig, TrainingConfig
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.sequences import Rows, input_rows
from diffrec_cli.errors import CorruptError, StorageError, TrainingError
from diffrec_cli.models.build import build_model
from diffrec_cli.models.trainable import Trainable
from diffrec_cli.training import loop
from diffrec_cli.training.checkpoint import append_line
from diffrec_cli.training.loop import Trained, train

CONFIG = FitConfig(training=TrainingConfig(lr=1e-3, batch_size=16, epochs=6, seed=5)).with_values(
    {"dims": (8,), "T": 3}
)


def fit(dataset: Dataset, scores: list[float] | None = None, **options) -> Trained:
    """Train on the checkerboard with made-up validation scores, one an epoch."""
    config = replace(CONFIG.training, **options.pop("training", {}))
    model = build_model(CONFIG, dataset.n_items)
    remaining = iter(scores or [])
    validate = None if scores is None else lambda model: {"recall@20": next(remaining)}
    rows = input_rows(dataset.train, None)
    return train(model, rows, config, validate=validate, **options)


def same_weights(a: Trained, b: Trained) -> bool:
    return all(torch.equal(a.weights[name], b.weights[name]) for name in a.weights)


def test_the_weights_of_the_best_epoch_are_kept(checkerboard: Dataset) -> None:
    trained = fit(checkerboard, [0.1, 0.5, 0.3, 0.2, 0.4, 0.1])
    assert (trained.epoch, trained.epochs_run, trained.stopped) == (2, 6, "epochs")
    assert trained.metrics == {"recall@20": 0.5}
    assert same_weights(trained, fit(checkerboard, training={"epochs": 2}))


def test_training_stops_when_patience_runs_out(checkerboard: Dataset) -> None:
    trained = fit(checkerboard, [0.1, 0.5, 0.3, 0.2, 0.4, 0.1], training={"patience": 2})
    assert (trained.epoch, trained.epochs_run, trained.stopped) == (2, 4, "patience")


def test_only_every_nth_epoch_and_the_last_is_validated(checkerboard: Dataset) -> None:
    epochs = []
    fit(
        checkerboard,
        [0.1, 0.2, 0.3],
        training={"eval_every": 4, "epochs": 6},
        on_epoch=lambda e: epochs.append(bool(e.metrics)),
    )
    assert epochs == [False, False, False, True, False, True]


def test_patience_is_counted_at_validations_only(checkerboard: Dataset) -> None:
    trained = fit(
        checkerboard,
        [0.1, 0.3, 0.2, 0.2],
        training={"eval_every": 5, "epochs": 40, "patience": 3},
    )
    assert (trained.epoch, trained.epochs_run, trained.stopped) == (10, 15, "patience")


def test_an_epoch_is_chosen_even_if_time_ends_before_a_validation_was_due(
    checkerboard: Dataset,
) -> None:
    trained = fit(checkerboard, [0.4], training={"eval_every": 1000}, max_seconds=0.0)
    assert (trained.epoch, trained.metrics) == (1, {"recall@20": 0.4})


def test_the_averaged_weights_are_what_is_validated_and_kept(checkerboard: Dataset) -> None:
    seen = []

    def validate(model: Trainable) -> dict[str, float]:
        seen.append(model.state_dict()["denoiser.V"].clone())
        return {"recall@20": 0.5}

    model = build_model(CONFIG, checkerboard.n_items)
    config = replace(CONFIG.training, ema_decay=0.9, epochs=1)
    trained = train(model, input_rows(checkerboard.train, None), config, validate=validate)
    assert torch.equal(trained.weights["denoiser.V"], seen[0])
    assert not torch.equal(trained.weights["denoiser.V"], model.state_dict()["denoiser.V"])


def test_without_validation_the_last_epoch_is_kept(checkerboard: Dataset) -> None:
    trained = fit(checkerboard)
    assert (trained.epoch, trained.stopped) == (6, "epochs")


def test_time_is_a_limit(checkerboard: Dataset) -> None:
    trained = fit(checkerboard, [0.1], max_seconds=0.0)
    assert (trained.epochs_run, trained.stopped) == (1, "time")


def test_no_epoch_is_begun_that_would_not_end_in_time(
    checkerboard: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]

    def now() -> float:
        clock[0] += 1e-6
        return clock[0]

    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=now))

    def validate(model: Trainable) -> dict[str, float]:
        clock[0] += 10
        return {"recall@20": 0.5}

    model = build_model(CONFIG, checkerboard.n_items)
    rows, config = input_rows(checkerboard.train, None), replace(CONFIG.training, epochs=9)
    trained = train(model, rows, config, validate=validate, max_seconds=35.0)
    assert (trained.stopped, round(clock[0])) == ("time", 30)


def test_the_same_seed_gives_the_same_weights(checkerboard: Dataset) -> None:
    assert same_weights(fit(checkerboard), fit(checkerboard))


def test_another_seed_gives_other_weights(checkerboard: Dataset) -> None:
    assert not same_weights(fit(checkerboard), fit(checkerboard, training={"seed": 6}))


def test_training_lowers_the_loss(checkerboard: Dataset) -> None:
    losses = []
    fit(checkerboard, training={"epochs": 30}, on_epoch=lambda e: losses.append(e.loss))
    assert losses[-1] < 0.7 * losses[0]


def interrupt_after(epoch: int) -> Callable[[loop.Epoch], None]:
    def hear(result: loop.Epoch) -> None:
        if result.epoch == epoch:
            raise KeyboardInterrupt

    return hear


@pytest.fixture
def eager_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(loop, "_CHECKPOINT_SHARE", 0.0)


def test_an_interrupted_training_keeps_its_best(checkerboard: Dataset, tmp_path: Path) -> None:
    trained = fit(checkerboard, [0.1, 0.5, 0.3, 0.2], run=tmp_path, on_epoch=interrupt_after(3))
    assert (trained.epoch, trained.stopped) == (2, "interrupted")
    assert isinstance(trained.interruption, KeyboardInterrupt)
    assert same_weights(trained, fit(checkerboard, training={"epochs": 2}))


@pytest.mark.usefixtures("eager_checkpoints")
@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_a_resumed_training_computes_what_an_undisturbed_one_would(
    checkerboard: Dataset, tmp_path: Path, ema_decay: float
) -> None:
    scores = [0.1, 0.5, 0.3, 0.2, 0.6, 0.1]
    options = {"training": {"ema_decay": ema_decay}}
    undisturbed = fit(checkerboard, scores, **options)
    # Interrupted after epoch 4 was logged and before its checkpoint: epoch 4 runs again.
    fit(checkerboard, scores, run=tmp_path, on_epoch=interrupt_after(4), **options)
    resumed = fit(checkerboard, scores[3:], run=tmp_path, resume=True, **options)
    assert (resumed.epoch, resumed.epochs_run) == (5, 6)
    assert same_weights(resumed, undisturbed)
    log = [json.loads(line) for line in (tmp_path / "epochs.jsonl").read_text().splitlines()]
    assert [entry["epoch"] for entry in log] == [1, 2, 3, 4, 5, 6]
    assert [entry["recall@20"] for entry in log] == scores


@pytest.mark.usefixtures("eager_checkpoints")
def test_a_limit_of_time_is_for_each_sitting(
    checkerboard: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 10**6, 10))  # every look at the clock is ten seconds after the last
    monkeypatch.setattr(loop.time, "perf_counter", lambda: float(next(clock)))
    scores = [0.1] * 6
    first = fit(checkerboard, scores, run=tmp_path, max_seconds=60.0)
    second = fit(checkerboard, scores, run=tmp_path, resume=True, max_seconds=60.0)
    assert first.stopped == "time"
    assert second.epochs_run - first.epochs_run == first.epochs_run
    assert second.seconds > first.seconds


@pytest.mark.usefixtures("eager_checkpoints")
def test_the_best_weights_survive_in_the_checkpoint(checkerboard: Dataset, tmp_path: Path) -> None:
    fit(checkerboard, [0.1, 0.9, 0.3, 0.2], run=tmp_path, on_epoch=interrupt_after(4))
    resumed = fit(checkerboard, [0.2, 0.1, 0.1], run=tmp_path, resume=True)
    assert (resumed.epoch, resumed.metrics) == (2, {"recall@20": 0.9})
    assert same_weights(resumed, fit(checkerboard, training={"epochs": 2}))


@pytest.mark.usefixtures("eager_checkpoints")
def test_a_best_epoch_that_the_checkpoint_does_not_know_is_the_best_still(
    checkerboard: Dataset, tmp_path: Path
) -> None:
    scores = [0.1, 0.5, 0.3, 0.9, 0.2, 0.1]
    # Interrupted after epoch 4 became the best and before its checkpoint.
    fit(checkerboard, scores, run=tmp_path, on_epoch=interrupt_after(4))
    resumed = fit(checkerboard, scores[3:], run=tmp_path, resume=True)
    assert (resumed.epoch, resumed.metrics) == (4, {"recall@20": 0.9})
    assert same_weights(resumed, fit(checkerboard, training={"epochs": 4}))


@pytest.mark.usefixtures("eager_checkpoints")
def test_damaged_best_weights_are_named(checkerboard: Dataset, tmp_path: Path) -> None:
    fit(checkerboard, [0.1, 0.2], run=tmp_path, on_epoch=interrupt_after(2))
    path = tmp_path / "best.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CorruptError, match=r"best\.safetensors"):
        fit(checkerboard, [0.1], run=tmp_path, resume=True)


@pytest.mark.usefixtures("eager_checkpoints")
def test_a_damaged_checkpoint_is_named(checkerboard: Dataset, tmp_path: Path) -> None:
    fit(checkerboard, [0.1, 0.2], run=tmp_path, on_epoch=interrupt_after(2))
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CorruptError, match=r"checkpoint\.safetensors"):
        fit(checkerboard, [0.1], run=tmp_path, resume=True)


def test_a_full_disk_at_a_checkpoint_is_a_storage_error(
    checkerboard: Dataset, isolated_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import safetensors.torch

    run = isolated_home / "runs" / "one"
    run.mkdir(parents=True)

    def full(*args: object, **kwargs: object) -> None:
        raise safetensors.SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(StorageError, match="no space left") as caught:
        fit(checkerboard, [0.1], run=run)
    assert caught.value.exit_code == 6
    assert "free some space" in caught.value.fix


def test_a_loss_that_is_not_finite_is_an_error_with_a_remedy(checkerboard: Dataset) -> None:
    rows = input_rows(checkerboard.train, None)
    rows.values[0] = np.inf
    with pytest.raises(TrainingError, match="epoch 1") as caught:
        train(build_model(CONFIG, 40), rows, CONFIG.training)
    assert "lr=" in caught.value.fix


def test_a_loss_that_ceases_to_be_finite_keeps_the_best_so_far(
    checkerboard: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = loop._epoch

    def diverging(*args, **kwargs):
        if args[3] == 3:
            raise TrainingError("the loss of epoch 3 is nan", "smaller lr")
        return original(*args, **kwargs)

    monkeypatch.setattr(loop, "_epoch", diverging)
    trained = fit(checkerboard, [0.5, 0.4])
    assert (trained.epoch, trained.epochs_run, trained.stopped) == (1, 2, "diverged")


def test_users_without_interactions_are_not_trained_on() -> None:
    from diffrec_cli.data.sequences import Sequences

    rows = input_rows(Sequences.from_rows(np.array([1, 1, 3]), np.array([0, 1, 2]), 5), None)
    seen = []
    train(
        build_model(CONFIG, 40),
        rows,
        replace(CONFIG.training, epochs=1),
        on_batch=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(2, 2)]


def trained_on(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, **options: object
) -> list[list[int]]:
    """Return the users of each update of a training."""
    batches: list[list[int]] = []
    model = build_model(CONFIG, dataset.n_items)
    loss = type(model).loss

    def hear(self: Trainable, rows: Rows, *args: object) -> torch.Tensor:
        batches.append(rows.users.tolist())
        return loss(self, rows, *args)

    monkeypatch.setattr(type(model), "loss", hear)
    fit(dataset, **options)
    return batches


def test_an_epoch_of_updates_goes_on_with_the_pass_of_the_last(
    checkerboard: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    n = len(checkerboard.train)
    assert n == 60
    training = {"epoch_updates": 4, "batch_size": 10, "epochs": 6}
    batches = trained_on(checkerboard, monkeypatch, training=training)
    assert [len(batch) for batch in batches] == [10] * 24
    users = [user for batch in batches for user in batch]
    passes = [users[start : start + n] for start in range(0, len(users), n)]
    assert [sorted(one) for one in passes] == [list(range(n))] * 4
    assert passes[0] != passes[1]


def test_an_epoch_may_be_several_passes(
    checkerboard: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = {"epoch_updates": 13, "batch_size": 10, "epochs": 1}
    batches = trained_on(checkerboard, monkeypatch, training=training)
    users = [user for batch in batches for user in batch]
    assert [users.count(user) for user in range(60)].count(2) == 50
    assert len(users) == 130


def test_progress_of_an_epoch_of_updates_counts_its_users(checkerboard: Dataset) -> None:
    seen = []
    fit(
        checkerboard,
        training={"epoch_updates": 2, "batch_size": 10, "epochs": 1},
        on_batch=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(10, 20), (20, 20)]


@pytest.mark.usefixtures("eager_checkpoints")
def test_a_resumed_training_goes_on_at_the_same_update(
    checkerboard: Dataset, tmp_path: Path
) -> None:
    scores = [0.1, 0.5, 0.3, 0.2, 0.6, 0.1]
    options = {"training": {"epoch_updates": 4, "batch_size": 10}}
    undisturbed = fit(checkerboard, scores, **options)
    fit(checkerboard, scores, run=tmp_path, on_epoch=interrupt_after(4), **options)
    resumed = fit(checkerboard, scores[3:], run=tmp_path, resume=True, **options)
    assert (resumed.epoch, resumed.epochs_run) == (5, 6)
    assert same_weights(resumed, undisturbed)


def test_a_line_that_was_cut_short_takes_no_other_with_it(tmp_path: Path) -> None:
    path = tmp_path / "epochs.jsonl"
    append_line(path, {"epoch": 1})
    with path.open("ab") as stream:
        stream.write(b'{"epo')
    append_line(path, {"epoch": 2})
    append_line(path, {"epoch": 3})
    assert path.read_text().splitlines() == [
        '{"epoch": 1}',
        '{"epo',
        '{"epoch": 2}',
        '{"epoch": 3}',
    ]
