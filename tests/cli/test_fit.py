"""``diffrec fit``."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli

QUICK = ["--epochs", "2", "--set", "dims=8", "--device", "cpu"]
BASE = ["--variant", "base", *QUICK]


@pytest.mark.parametrize("variant", ["base", "l", "t", "lt"])
def test_piped_it_prints_the_reference_alone(cli: Cli, sample, variant: str) -> None:
    outcome = cli("fit", sample[0], "--variant", variant, *QUICK)
    assert outcome.code == 0, outcome.err
    assert outcome.out == f"ratings-{variant}@1\n"


def test_a_second_fit_is_the_next_version_and_the_default(cli: Cli, fitted: Path) -> None:
    assert cli("fit", "ratings", "--name", "shop", *BASE).out == "shop@2\n"
    assert cli("models", "default").out == "shop@2\n"


def test_the_first_line_says_what_was_decided(cli: Cli, fitted: Path) -> None:
    plan = cli("fit", "ratings", *BASE).err.splitlines()[0]
    for word in ("variant base", "preset auto", "seed 1", "cpu", "parameters", "GiB"):
        assert word in plan


def test_a_dry_run_decides_and_trains_nothing(cli: Cli, fitted: Path) -> None:
    outcome = cli("fit", "ratings", "--dry-run", "--format", "json", *BASE)
    plan = json.loads(outcome.out)
    assert plan["model"] is None
    assert plan["config"]["training"]["epochs"] == 2
    assert "shop,1" in cli("models", "ls", "--format", "csv").out
    assert cli("models", "ls", "--format", "csv").out.count("\n") == 2


def test_the_epoch_log_is_kept_with_the_model(cli: Cli, fitted: Path) -> None:
    path = Path(json.loads(cli("fit", "ratings", "--format", "json", *BASE).out)["path"])
    log = [json.loads(line) for line in (path / "epochs.jsonl").read_text().splitlines()]
    assert [entry["epoch"] for entry in log] == [1, 2]
    assert {"loss", "recall@20", "best", "seconds"} <= set(log[0])


def test_nothing_of_a_finished_fit_is_left_in_runs(cli: Cli, fitted: Path) -> None:
    cli("fit", "ratings", *BASE)
    assert list((fitted / "runs").iterdir()) == []


def test_a_mistyped_preset_is_refused_before_the_log_is_prepared(cli: Cli, sample) -> None:
    outcome = cli("fit", sample[0], "--preset", "papre-ml-1m", *BASE)
    assert outcome.code == 2
    assert "papre-ml-1m" in outcome.err
    assert cli("data", "ls", "--format", "csv").out.count("\n") <= 1  # the header at most


def test_time_is_a_limit(cli: Cli, fitted: Path) -> None:
    options = [
        "-v",
        "base",
        "--max-time",
        "0s",
        "--epochs",
        "1000",
        "--set",
        "dims=8",
        "--format",
        "json",
    ]
    result = json.loads(cli("fit", "ratings", *options).out)
    assert (result["stopped"], result["epochs"]) == ("time", 1)


def test_the_environment_and_the_configuration_file_give_defaults(
    cli: Cli, fitted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fitted / "config.toml").write_text('[fit]\nseed = 11\nepochs = 1\n"max-time" = "1h"\n')
    options = ["-v", "base", "--dry-run", "--format", "json"]

    def seed(*more: str) -> int:
        return json.loads(cli("fit", "ratings", *options, *more).out)["seed"]

    assert seed() == 11
    monkeypatch.setenv("DIFFREC_SEED", "12")
    assert seed() == 12
    assert seed("--seed", "13") == 13


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('[fit]\nvarint = "lt"\n', "varint"),
        ('[fti]\nvariant = "lt"\n', "fti"),
        ("fit = 3\n", "fit"),
        ('[models]\nls = "x"\n', "ls"),
        ("[fit]\nepochs = 2020-01-01\n", "neither text nor a number"),
    ],
)
def test_a_mistake_in_the_configuration_file_is_named(
    cli: Cli, fitted: Path, text: str, word: str
) -> None:
    (fitted / "config.toml").write_text(text)
    outcome = cli("fit", "ratings", "-v", "base", "--dry-run")
    assert outcome.code == 2
    assert "config.toml" in outcome.err
    assert word in outcome.err


def test_a_dry_run_prepares_nothing(cli: Cli, sample, isolated_home: Path) -> None:
    assert cli("fit", sample[0], "-v", "l", "--dry-run", *QUICK).code == 0
    assert not isolated_home.exists()


def test_the_log_may_come_from_stdin(cli: Cli, sample, monkeypatch: pytest.MonkeyPatch) -> None:
    with sample[0].open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        outcome = cli("fit", "-", *BASE)
    assert outcome.out == "stdin-base@1\n", outcome.err


def test_the_default_can_be_left_alone(cli: Cli, fitted: Path) -> None:
    assert cli("fit", "ratings", "--no-default", *BASE).out == "ratings-base@1\n"
    assert cli("models", "default").out == "shop@1\n"


def test_a_fit_stopped_by_time_can_go_on(cli: Cli, fitted: Path) -> None:
    options = ["-v", "base", "--epochs", "3", "--set", "dims=8", "--format", "json"]
    first = cli("fit", "ratings", "--max-time", "0s", *options)
    assert "--resume goes on" in first.err
    second = json.loads(cli("fit", "ratings", "--resume", *options).out)
    assert (second["epochs"], second["stopped"]) == (3, "epochs")
    assert list((fitted / "runs").iterdir()) == []


def test_time_that_ends_in_the_warm_up_is_an_error_not_silence(cli: Cli, fitted: Path) -> None:
    warmup = ["--set", "warmup=vae", "--set", "warmup_epochs=50", "--max-time", "0s"]
    outcome = cli("fit", "ratings", "-v", "l", *warmup)
    assert (outcome.code, outcome.out) == (2, "")
    assert "warm-up" in outcome.err
    assert "warmup_epochs" in outcome.err.splitlines()[-1]


def test_an_interrupted_refit_keeps_what_was_selected(
    cli: Cli, fitted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from diffrec_cli.workflows.fitting import training

    original, calls = training.train, []

    def interrupted_the_second_time(*args, on_epoch, **kwargs):
        def hear(epoch) -> None:
            on_epoch(epoch)
            if len(calls) == 2:
                raise KeyboardInterrupt

        calls.append(1)
        return original(*args, on_epoch=hear, **kwargs)

    monkeypatch.setattr(training, "train", interrupted_the_second_time)
    outcome = cli("fit", "ratings", "--refit", *BASE)
    assert (outcome.code, outcome.out) == (130, "ratings-base@1\n")
    assert "--resume" in outcome.err
    shown = json.loads(cli("models", "show", "ratings-base").out)["training"]
    assert (shown["refit"], shown["complete"]) == (False, False)
    assert cli("models", "default").out == "shop@1\n"  # what was interrupted is no default


def test_resuming_takes_the_item_groups_of_the_interrupted_run(
    cli: Cli, fitted: Path, tmp_path: Path
) -> None:
    import numpy as np

    from diffrec_cli.data import store
    from diffrec_cli.registry.versions import resolve

    n_items = store.load("ratings").n_items
    path = tmp_path / "embeddings.npy"
    options = ["-v", "l", "--item-embeddings", path, "--format", "json", *QUICK]
    np.save(path, np.arange(n_items * 2.0).reshape(n_items, 2))
    cli("fit", "ratings", "--max-time", "0s", *options)
    groups = resolve("ratings-l@1").weights()["of_item"]
    np.save(path, np.random.default_rng(1).normal(size=(n_items, 2)))
    assert cli("fit", "ratings", "--resume", *options).code == 0
    np.testing.assert_array_equal(resolve("ratings-l@2").weights()["of_item"], groups)


def test_a_resumed_fit_that_another_process_holds_is_refused(cli: Cli, fitted: Path) -> None:
    from filelock import FileLock

    options = ["-v", "base", "--max-time", "0s", "--epochs", "9", "--set", "dims=8"]
    cli("fit", "ratings", *options)
    (run,) = (fitted / "runs").iterdir()
    with FileLock(run / "lock"):
        outcome = cli("fit", "ratings", "--resume", *options)
    assert outcome.code == 6
    assert "another process" in outcome.err


def test_divergence_is_an_error_with_a_remedy(cli: Cli, fitted: Path) -> None:
    outcome = cli(
        "fit", "ratings", "-v", "base", "--set", "lr=1e30", "--set", "dims=8", "--epochs", "20"
    )
    assert "internal error" not in outcome.err
    assert "lr" in outcome.err


def test_item_embeddings_may_come_from_lightgcn(cli: Cli, fitted: Path) -> None:
    outcome = cli("fit", "ratings", "-v", "l", "--item-embeddings", "lightgcn", *QUICK)
    assert outcome.code == 0, outcome.err
    assert "(lightgcn)" in outcome.err


def test_a_log_too_small_to_validate_still_trains(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "tiny.csv").write_text(
        "user,item\n" + "".join(f"{n % 6},{n % 5}\n" for n in range(9))
    )
    outcome = cli("fit", tmp_path / "tiny.csv", *BASE)
    assert outcome.code == 0, outcome.err
    assert "no valid interactions" in outcome.err
    assert cli("recommend", "--user", "0", "-k", "2").out.count("\n") == 3


def test_bf16_trains(cli: Cli, fitted: Path) -> None:
    result = json.loads(cli("fit", "ratings", "--precision", "bf16", "--format", "json", *BASE).out)
    assert result["precision"] == "bf16"


@pytest.mark.parametrize("variant", ["base", "t"])
def test_smoothing_is_a_corruption_of_its_own(cli: Cli, fitted: Path, variant: str) -> None:
    options = ["--epochs", "2", "--set", "dim=8", "--set", "rank=16"]
    outcome = cli("fit", "ratings", "-v", variant, "--corruption", "smoothing", *options)
    assert outcome.out == f"ratings-{variant}-smoothing@1\n"
    assert f"variant {variant}+smoothing" in outcome.err
    again = cli("fit", "ratings", "-v", f"{variant}+smoothing", *options)
    assert again.out == f"ratings-{variant}-smoothing@2\n"
    assert cli("recommend", "-u", "u0001", "-k", 3, "--why").code == 0


class TestWithoutAVariant:
    def test_the_model_is_named_by_the_dataset_and_the_choice_is_said(
        self, cli: Cli, fitted: Path
    ) -> None:
        outcome = cli("fit", "ratings", "--choose-time", "0s", "--epochs", 2, "--device", "cpu")
        assert outcome.out == "ratings@1\n"
        assert "chose t+masking+graph, valid Recall@20" in outcome.err
        assert "not tried for lack of time" in outcome.err
        shown = json.loads(cli("models", "show", "ratings").out)
        assert shown["choice"]["chosen"] == "t+masking+graph"
        lines = cli("models", "show", "ratings", "--format", "table").out.splitlines()
        (chosen,) = (line for line in lines if line.split()[-1:] == ["chosen"])
        assert chosen.split()[0] == "t+masking+graph"
        assert sum(line.split()[-2:] == ["not", "tried"] for line in lines) == 6

    def test_a_dry_run_names_the_candidates(self, cli: Cli, fitted: Path) -> None:
        outcome = cli("fit", "ratings", "--dry-run", "--format", "json")
        names = json.loads(outcome.out)["candidates"]
        assert names[0] == "t+masking+graph"
        assert {"graph-t", "ease-t", "ials"} < set(names)

    def test_a_setting_of_some_models_needs_one(self, cli: Cli, fitted: Path) -> None:
        outcome = cli("fit", "ratings", "--set", "dims=8")
        assert outcome.code == 2
        assert "--set dims: variant t+masking+graph has no such setting" in outcome.err
        assert "fit --variant base" in outcome.err

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (["--preset", "paper-ml-1m"], "add --variant base, l, t or lt"),
            (["--corruption", "smoothing"], "add --variant base or t"),
            (["--choose-time", "soon"], "for example 90s"),
        ],
    )
    def test_what_goes_with_a_variant(
        self, cli: Cli, fitted: Path, options: list[str], words: str
    ) -> None:
        outcome = cli("fit", "ratings", *options)
        assert outcome.code == 2
        assert words in outcome.err


def test_the_first_line_says_which_form_of_the_loss_runs(cli: Cli, fitted: Path) -> None:
    def form(*options: str) -> tuple[str, str]:
        outcome = cli("fit", "ratings", "--dry-run", "--format", "json", *options)
        return outcome.err.splitlines()[0], json.loads(outcome.out)["loss_form"]

    for options, wanted in (
        (["--variant", "base", "--batch-size", "1"], "scores"),
        (["--variant", "base", "--set", "loss_form=compact"], "compact"),
        (["--variant", "base+smoothing", "--set", "loss_form=compact"], "compact"),
        (["--variant", "l", "--set", "loss_form=compact"], "compact"),
    ):
        line, found = form(*options)
        assert found == wanted
        assert f"loss_form {wanted}" in line
    command = ("fit", "ratings", "--dry-run", "--format", "json", "--variant", "ease")
    assert json.loads(cli(*command).out)["loss_form"] is None


def test_a_form_that_is_impossible_is_refused(cli: Cli, fitted: Path) -> None:
    settings = ["--set", "loss_form=compact", "--set", "prediction=epsilon"]
    outcome = cli("fit", "ratings", *BASE, *settings)
    assert outcome.code == 2
    assert "loss_form" in outcome.err
    assert "prediction=x0" in outcome.err


@pytest.mark.parametrize("variant", ["base", "l"])
def test_both_forms_of_a_loss_train(cli: Cli, fitted: Path, variant: str) -> None:
    command = ["fit", "ratings", "--variant", variant, "--set", "loss_form=compact", *QUICK]
    outcome = cli(*command, "--format", "json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["valid"]["recall@20"] > 0


def test_a_validation_on_a_sample_is_told_and_the_figures_are_of_all_users(
    cli: Cli, fitted: Path
) -> None:
    settings = ["--set", "valid_users=7", "--set", "epoch_updates=3", "--name", "some"]
    outcome = cli("fit", "ratings", *BASE, *settings, "--format", "json")
    assert "a fixed sample of 7 of " in outcome.err
    assert "an epoch is 3 updates" in outcome.err
    valid = json.loads(outcome.out)["valid"]
    measured = json.loads(cli("eval", "some", "--split", "valid", "--format", "json").out)
    wanted = measured["results"][0]["metrics"]
    assert {name: valid[name] for name in wanted} == pytest.approx(wanted)
    log = (Path(json.loads(outcome.out)["path"]) / "epochs.jsonl").read_text().splitlines()
    assert valid["recall@20"] not in [json.loads(line)["recall@20"] for line in log]


class TestWatching:
    """``--log-json`` and ``--track``."""

    def test_stdout_has_events_alone_and_the_result_is_the_last(
        self, cli: Cli, fitted: Path
    ) -> None:
        outcome = cli("fit", "ratings", "--log-json", "-", *BASE)
        events = [json.loads(line) for line in outcome.out.splitlines()]
        assert events[-1]["event"] == "fitted"
        assert events[-1]["result"]["model"].startswith("ratings-base@")
        assert {"plan", "step", "epoch"} <= {event["event"] for event in events}

    def test_a_file_has_the_events_and_stdout_the_reference(
        self, cli: Cli, fitted: Path, tmp_path: Path
    ) -> None:
        path = tmp_path / "events.jsonl"
        outcome = cli("fit", "ratings", "--log-json", path, *BASE)
        assert outcome.out.startswith("ratings-base@")
        last = json.loads(path.read_text().splitlines()[-1])
        assert last["result"]["model"] == outcome.out.strip()

    def test_an_error_is_the_last_event(self, cli: Cli, fitted: Path) -> None:
        outcome = cli("fit", "nothing", "--log-json", "-")
        (event,) = map(json.loads, outcome.out.splitlines())
        assert (outcome.code, event["event"]) == (4, "failed")
        assert event["error"] in outcome.err

    @pytest.mark.parametrize(
        ("options", "what"),
        [
            (["--log-json", "-", "--format", "json"], "both write to stdout"),
            (["--track", "paper"], "--track paper: unknown"),
        ],
    )
    def test_what_cannot_be(self, cli: Cli, fitted: Path, options: list[str], what: str) -> None:
        outcome = cli("fit", "ratings", *options, *BASE)
        assert outcome.code == 2
        assert what in outcome.err
