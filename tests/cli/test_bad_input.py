"""Everything a user can get wrong: an exit code, one line of what and where, one line of fix."""

import errno
import json
from pathlib import Path

import pytest

from diffrec_cli.data import store
from tests.cli.conftest import Cli, Outcome

GOOD = "user,item,rating,timestamp\n" + "".join(
    f"u{u},i{i},{5 - (u + i) % 2},{1000 + i}\n" for u in range(12) for i in range(u % 3, 12)
)


def refused(outcome: Outcome, code: int, *words: str) -> None:
    """Check the form of an error and that its first line has these words."""
    assert outcome.code == code, outcome.err
    lines = [line for line in outcome.err.splitlines() if line]
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1, outcome.err
    assert lines[-1].startswith("  fix: ")
    assert len(lines[-1]) > len("  fix: ")
    assert "Traceback" not in outcome.err
    for word in words:
        assert word in errors[0], outcome.err
    assert outcome.out == ""


def with_line(line: str, number: int = 3) -> str:
    lines = GOOD.splitlines(keepends=True)
    return "".join([*lines[: number - 1], line + "\n", *lines[number - 1 :]])


LOGS = {
    "missing column": ("a,b,rating\n1,2,5\n3,4,5\n", ["log.csv"]),
    "ambiguous column": ("user,user_id,item\n1,1,2\n2,2,3\n", ["log.csv", "user_id"]),
    "text in a rating": (with_line("u1,i1,good,5"), ["log.csv:3", "rating", "good"]),
    "nan rating": (with_line("u1,i1,nan,5"), ["log.csv:3", "rating"]),
    "empty rating": (with_line("u1,i1,,5"), ["log.csv:3", "rating"]),
    "empty user": (with_line(",i1,5,5"), ["log.csv:3", "user"]),
    "unparsable timestamp": (with_line("u1,i1,5,yesterday"), ["log.csv:3", "timestamp"]),
    "empty file": ("", ["log.csv"]),
    "a header alone": ("user,item,rating\n", ["log.csv"]),
    "one user": ("user,item,rating\nu,1,5\nu,2,5\nu,3,4\n", ["user"]),
    "one item": ("user,item,rating\na,1,5\nb,1,5\nc,1,4\n", ["item"]),
    "all ratings low": (GOOD.replace(",5,", ",1,").replace(",4,", ",2,"), ["rating"]),
    "scale to 10": (GOOD.replace(",5,", ",9,"), ["rating"]),
    "too few fields": (with_line("u1,i1,5", 7), ["log.csv:7"]),
    "too many fields": (with_line("u1,i1,5,5,5,5", 7), ["log.csv:7"]),
    "a 10 MB line": (with_line("u" * 10_000_000 + ",i1,5,5", 4), ["log.csv:4"]),
}


@pytest.mark.parametrize("case", LOGS)
@pytest.mark.parametrize("command", ["prepare", "fit"])
def test_a_log_that_cannot_be_used(cli: Cli, tmp_path: Path, case: str, command: str) -> None:
    text, words = LOGS[case]
    (tmp_path / "log.csv").write_text(text)
    refused(cli(command, tmp_path / "log.csv"), 3, *words)


def test_latin_1_bytes(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes(with_line("José,i1,5,5").encode("latin-1"))
    outcome = cli("prepare", tmp_path / "log.csv")
    refused(outcome, 3, "log.csv:3")
    assert "latin-1" in outcome.err
    assert cli("prepare", tmp_path / "log.csv", "--encoding", "latin-1").code == 0


@pytest.mark.parametrize(
    "text",
    ["\ufeff" + GOOD, GOOD.replace("\n", "\r\n"), GOOD + GOOD.split("\n", 1)[1], GOOD.rstrip("\n")],
    ids=["BOM", "CRLF", "duplicates", "no final newline"],
)
def test_harmless_oddities_change_nothing(cli: Cli, tmp_path: Path, text: str) -> None:
    (tmp_path / "plain.csv").write_text(GOOD)
    (tmp_path / "odd.csv").write_text(text, newline="")
    plain, odd = (
        json.loads(cli("prepare", tmp_path / name, "--name", "x", "--dry-run").out)
        for name in ("plain.csv", "odd.csv")
    )
    rows = GOOD.count("\n") - 1
    assert odd.pop("dropped")["duplicate"] in (0, rows)
    plain.pop("dropped")
    assert odd == plain


def test_a_file_that_is_not_there(cli: Cli) -> None:
    refused(cli("prepare", "nowhere.csv"), 3, "nowhere.csv")


def test_an_unknown_dataset(cli: Cli) -> None:
    refused(cli("fit", "nothing"), 4, "nothing")
    refused(cli("data", "show", "nothing"), 4, "nothing")
    refused(cli("data", "rm", "nothing", "--yes"), 4, "nothing")


def test_an_unknown_model(cli: Cli) -> None:
    refused(cli("recommend", "--user", "1"), 4, "no model")
    for command in ("eval", "models show", "models verify", "models default", "models export"):
        refused(cli(*command.split(), "nothing"), 4, "nothing")


@pytest.mark.usefixtures("fitted")
def test_a_model_whose_name_is_nearly_right_is_suggested(cli: Cli) -> None:
    outcome = cli("eval", "shpo")
    refused(outcome, 4, "shpo")
    assert "shop" in outcome.err.splitlines()[-1]


@pytest.mark.usefixtures("fitted")
class TestAskingForLists:
    def test_an_unknown_user(self, cli: Cli) -> None:
        refused(cli("recommend", "--user", "nobody"), 4, "'nobody'", "shop@1")

    def test_a_history_of_which_nothing_is_known(self, cli: Cli, tmp_path: Path) -> None:
        (tmp_path / "h.csv").write_text("user,item\nann,i0001\nbob,nothing\n")
        outcome = cli("recommend", "--history", tmp_path / "h.csv")
        refused_after_notes(outcome, 4, "'bob'")
        skipped = cli("recommend", "--history", tmp_path / "h.csv", "--on-unknown", "skip", "-k", 1)
        assert skipped.out.count("\n") == 2

    def test_a_format_that_contradicts_the_file(self, cli: Cli, tmp_path: Path) -> None:
        out = tmp_path / "recs.csv"
        refused(cli("recommend", "--all-users", "--out", out, "-f", "json"), 2, "--format")

    def test_unknown_items_only(self, cli: Cli) -> None:
        refused(cli("recommend", "--like", "nothing"), 4, "'nothing'")

    def test_a_list_longer_than_the_catalogue(self, cli: Cli) -> None:
        refused(cli("recommend", "--user", "u0001", "-k", 5000), 2, "5000", "60")

    def test_an_empty_list(self, cli: Cli) -> None:
        refused(cli("recommend", "--user", "u0001", "-k", 0), 2, "-k 0")

    @pytest.mark.parametrize("who", [("--user", "u0001"), ("--all-users",)])
    def test_a_precision_that_does_not_exist(self, cli: Cli, who: tuple[str, ...]) -> None:
        refused(cli("recommend", *who, "--precision", "fp16"), 2, "fp16")

    def test_nobody_and_several_at_once(self, cli: Cli) -> None:
        refused(cli("recommend"), 2, "--user")
        refused(cli("recommend", "--user", "u0001", "--all-users"), 2, "not several")

    def test_a_file_of_users_that_is_not_there(self, cli: Cli) -> None:
        refused(cli("recommend", "--users", "nowhere.txt"), 3, "nowhere.txt")

    def test_an_empty_file_of_users(self, cli: Cli, tmp_path: Path) -> None:
        (tmp_path / "users.txt").write_text("\n")
        refused(cli("recommend", "--users", tmp_path / "users.txt"), 3, "users.txt")

    def test_an_output_of_no_known_kind(self, cli: Cli, tmp_path: Path) -> None:
        refused(cli("recommend", "--all-users", "--out", tmp_path / "recs.xls"), 2, "recs.xls")

    def test_an_output_that_cannot_be_written(self, cli: Cli, tmp_path: Path) -> None:
        out = tmp_path / "nowhere" / "recs.csv"
        refused(cli("recommend", "--all-users", "--out", out), 2, "recs.csv")

    def test_filters_that_leave_nothing(self, cli: Cli, tmp_path: Path) -> None:
        (tmp_path / "none.txt").write_text("nothing\n")
        refused(cli("recommend", "--user", "u0001", "--allow", tmp_path / "none.txt"), 2, "--allow")

    def test_titles_that_nobody_gave(self, cli: Cli, sample) -> None:
        assert cli("fit", sample[0], "--dataset", "plain", "-v", "base", "--epochs", 1).code == 0
        refused(cli("recommend", "--user", "u0001", "--titles"), 2, "titles")


@pytest.mark.usefixtures("fitted")
class TestEvaluating:
    @pytest.mark.parametrize(
        "arguments",
        [
            ["--split", "train"],
            ["--metrics", "accuracy"],
            ["-k", "ten"],
            ["-k", "0"],
            ["--history", "all"],
            ["--min", "recall"],
            ["--min", "recall@20=high"],
            ["--baselines", "magic"],
            ["-k", ""],
            ["--metrics", ""],
            ["--precision", "fp16"],
            ["--per-user", "users.xls"],
        ],
    )
    def test_options_without_sense(self, cli: Cli, arguments: list[str]) -> None:
        refused(cli("eval", *arguments), 2)

    def test_a_gate_that_fails_is_exit_7_after_the_report(self, cli: Cli) -> None:
        outcome = cli("eval", "--min", "recall@20=0.999")
        assert outcome.code == 7
        assert "recall@20" in outcome.err
        assert json.loads(outcome.out)["results"]
        assert cli("eval", "--min", "recall@20=0").code == 0

    def test_a_cutoff_beyond_the_catalogue_counts_the_whole_of_it(self, cli: Cli) -> None:
        metrics = json.loads(cli("eval", "-k", 10**8).out)["results"][0]["metrics"]
        assert metrics["recall@100000000"] == 1.0

    def test_coverage_has_a_gate_too(self, cli: Cli) -> None:
        assert cli("eval", "--min", "coverage@20=0.01").code == 0
        assert cli("eval", "--min", "coverage@20=1.1").code == 7

    def test_a_model_that_has_seen_the_answers(self, cli: Cli, sample) -> None:
        fitted = cli("fit", "ratings", "--refit", "--epochs", 1, "-v", "base", "--set", "dims=8")
        assert fitted.code == 0, fitted.err
        refused(cli("eval", fitted.out.strip()), 2, "--refit")

    def test_a_model_of_train_and_valid_may_only_be_tested(self, cli: Cli, sample) -> None:
        fitted = cli("fit", "ratings", "-v", "ease", "--refit", "train+valid", "--name", "both")
        assert fitted.code == 0, fitted.err
        refused(cli("eval", "both", "--split", "valid"), 2, "train and valid")
        assert "both are read as history" in cli("eval", "both").err

    def test_a_part_that_a_refit_cannot_take(self, cli: Cli, sample) -> None:
        refused(cli("fit", "ratings", "--refit=test"), 2, "--refit test: unknown")


class TestFitting:
    @pytest.mark.parametrize(
        ("arguments", "code", "word"),
        [
            (["-v", "base", "--set", "alpha_min=0.5", "--set", "alpha_max=0.1"], 2, "alpha_min"),
            (["-v", "base", "--set", "T=0"], 2, "T"),
            (["--set", "nonsense=1"], 2, "nonsense"),
            (["--set", "lr"], 2, "lr"),
            (["--variant", "xl"], 2, "xl"),
            (["--corruption", "heat"], 2, "heat"),
            (["--variant", "l", "--corruption", "smoothing"], 2, "variant l"),
            (["--variant", "base+smoothing", "--set", "s=0.1"], 2, "s"),
            (["--variant", "base+smoothing", "--set", "rho=2"], 2, "rho"),
            (
                ["-v", "t+smoothing", "--set", "dropout=0", "--set", "kept_weight=0"],
                2,
                "kept_weight",
            ),
            (["--preset", "best"], 2, "best"),
            (["--precision", "fp8"], 2, "fp8"),
            (["--device", "tpu"], 2, "tpu"),
            (["--max-time", "soon"], 2, "soon"),
            (["--name", "no/slash"], 2, "no/slash"),
            (["--ratios", "a:b"], 2, "a:b"),
            (["--resume"], 4, "interrupted"),
            (["--variant", "l", "--set", "C=500", "--set", "z_dim=600"], 2, "C = 500"),
            (["--variant", "l", "--item-embeddings", "nowhere.npy"], 3, "nowhere.npy"),
        ],
    )
    def test_options_without_sense(
        self, cli: Cli, sample, arguments: list[str], code: int, word: str
    ) -> None:
        refused_after_notes(cli("fit", sample[0], *arguments), code, word)

    def test_an_absent_device(self, cli: Cli, sample) -> None:
        import torch

        if torch.cuda.is_available():
            pytest.skip("this machine has CUDA")
        refused(cli("fit", sample[0], "--device", "cuda"), 5, "cuda")

    @pytest.mark.parametrize("variant", ["t", "lt"])
    def test_temporal_variants_need_an_order(self, cli: Cli, tmp_path: Path, variant: str) -> None:
        rows = (line.rsplit(",", 1)[0] for line in GOOD.splitlines())
        (tmp_path / "log.csv").write_text("\n".join(rows))
        refused_after_notes(cli("fit", tmp_path / "log.csv", "-v", variant), 3, "has none")

    def test_other_content_under_a_datasets_name(self, cli: Cli, tmp_path: Path) -> None:
        (tmp_path / "log.csv").write_text(GOOD)
        assert cli("prepare", tmp_path / "log.csv").code == 0
        (tmp_path / "log.csv").write_text(with_line("u1,i90,5,5"))
        refused(cli("prepare", tmp_path / "log.csv"), 2, "'log'")
        assert cli("prepare", tmp_path / "log.csv", "--overwrite").code == 0


def refused_after_notes(outcome: Outcome, code: int, *words: str) -> None:
    """As :func:`refused`, for errors that come after notes on the preparation."""
    lines = outcome.err.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("error: "))
    refused(Outcome(outcome.code, outcome.out, "\n".join(lines[start:])), code, *words)


class TestStorage:
    def test_a_home_that_cannot_be_written(
        self, cli: Cli, sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("DIFFREC_HOME", str(tmp_path / "file" / "home"))
        outcome = cli("prepare", sample[0])
        refused(outcome, 6, "home")
        assert "DIFFREC_HOME" in outcome.err

    def test_a_full_disk_while_saving_a_dataset(
        self, cli: Cli, sample, isolated_home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import numpy as np

        def full(*args: object, **kwargs: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(np.lib.format, "write_array_header_1_0", full)
        refused(cli("prepare", sample[0]), 6, "no space left")
        assert list((isolated_home / "datasets").iterdir()) == []

    def test_a_full_disk_while_saving_a_model(
        self, cli: Cli, fitted: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import safetensors.numpy

        def full(*args: object, **kwargs: object) -> None:
            raise safetensors.SafetensorError("I/O error: No space left on device (os error 28)")

        monkeypatch.setattr(safetensors.numpy, "save_file", full)
        outcome = cli("fit", "ratings", "--epochs", 1, "-v", "base", "--set", "dims=8")
        refused_after_notes(outcome, 6, "no space left")
        assert "shop,1" in cli("models", "ls", "--format", "csv").out
        assert cli("models", "verify", "shop").code == 0

    def test_a_truncated_model(self, cli: Cli, fitted: Path) -> None:
        weights = fitted / "models" / "shop" / "1" / "weights.safetensors"
        weights.write_bytes(weights.read_bytes()[:-10])
        refused(cli("recommend", "--user", "u0001"), 6, "weights.safetensors")
        assert cli("models", "verify", "shop").code == 6

    @pytest.mark.parametrize("damage", ["missing", "fewer items"])
    def test_weights_of_another_model(self, cli: Cli, fitted: Path, damage: str) -> None:
        from safetensors.numpy import load_file, save_file

        path = fitted / "models" / "shop" / "1" / "weights.safetensors"
        arrays = load_file(path)
        if damage == "missing":
            del arrays["denoiser.W_in"]
        else:
            arrays["denoiser.V"] = arrays["denoiser.V"][:-5].copy()
        save_file(arrays, path)
        refused(cli("recommend", "--user", "u0001"), 6, "shop@1", "weights")
        refused(cli("eval", "shop"), 6, "shop@1", "weights")
        assert cli("doctor").code == 6

    def test_a_foreign_model(self, cli: Cli, fitted: Path) -> None:
        (fitted / "models" / "shop" / "1" / "model.json").write_text('{"hello": "world"}')
        refused(cli("recommend", "--user", "u0001"), 6, "model.json")
        assert cli("models", "ls").code == 0

    def test_a_model_of_a_newer_diffrec(self, cli: Cli, fitted: Path) -> None:
        path = fitted / "models" / "shop" / "1" / "model.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 99}))
        refused(cli("recommend", "--user", "u0001"), 6, "99")

    def test_a_truncated_dataset(self, cli: Cli, fitted: Path) -> None:
        arrays = fitted / "datasets" / "ratings" / "train_items.npy"
        arrays.write_bytes(arrays.read_bytes()[:200])
        refused(cli("fit", "ratings"), 6, "ratings")

    def test_an_archive_that_is_none(self, cli: Cli, tmp_path: Path) -> None:
        (tmp_path / "model.tar").write_text("not a tar")
        refused(cli("models", "import", tmp_path / "model.tar"), 3, "model.tar")

    def test_a_configuration_file_that_is_none(self, cli: Cli, isolated_home: Path) -> None:
        isolated_home.mkdir()
        (isolated_home / "config.toml").write_text("[fit\n")
        refused(cli("models", "ls"), 2, "config.toml")

    def test_removing_without_a_terminal_needs_yes(self, cli: Cli, fitted: Path) -> None:
        refused(cli("models", "rm", "shop"), 2, "shop@1")
        refused(cli("data", "rm", "ratings"), 2, "ratings")
        assert cli("models", "rm", "shop", "--yes").code == 0
        assert cli("data", "rm", "ratings", "--yes").code == 0


def test_a_dataset_whose_name_is_nearly_right_is_suggested(cli: Cli, fitted: Path) -> None:
    outcome = cli("fit", "rating")
    refused(outcome, 4, "'rating'")
    assert "did you mean 'ratings'" in outcome.err


@pytest.mark.usefixtures("fitted")
def test_a_file_of_users_metrics_that_cannot_be_written_is_refused_first(
    cli: Cli, tmp_path: Path
) -> None:
    refused(cli("eval", "--per-user", tmp_path / "nowhere" / "users.csv"), 2, "users.csv")
    out = tmp_path / "users.csv"
    assert cli("eval", "--per-user", out).code == 0
    assert out.read_text().startswith("model,user,recall@10")


@pytest.mark.usefixtures("fitted")
class TestLists:
    """What can be wrong with what lists, likenesses, updates and vectors are asked for."""

    @pytest.mark.parametrize(
        ("options", "code", "word"),
        [
            (["--all-users", "--shard", "0/2"], 2, "--shard 0/2"),
            (["--all-users", "--shard", "3/2"], 2, "--shard 3/2"),
            (["-u", "u0001", "--shard", "1/2"], 2, "--all-users"),
            (["-u", "u0001", "--user-col", "who"], 2, "for --events and --history"),
            (["-u", "u0001", "--diversity", "2"], 2, "--diversity 2"),
            (["-u", "u0001", "--strength", "-1"], 2, "--strength -1"),
            (["-u", "u0001", "--strength", "0.5"], 2, "--strength 0.5: nothing moves"),
            (["--like", "i0003", "--strength", "0.5"], 2, "--strength 0.5: nothing moves"),
            (["-u", "u0001", "--dislike", "nothing"], 4, "'nothing'"),
            (["-u", "u0001", "--like", "nothing"], 4, "'nothing'"),
            (["-u", "u0001", "--where", "year >"], 2, "--where"),
            (["-u", "u0001", "--where", "colour = red"], 2, "colour"),
            (["-u", "u0001", "--where", "title = nothing"], 2, "leave no item"),
            (["-u", "u0001", "--like-where", "year >"], 2, "--like-where: expected"),
            (["-u", "u0001", "--dislike-where", "title = nothing"], 2, "holds for no item"),
            (["--users", "-", "--block", "-"], 2, "stdin"),
            (["-u", "u0001", "--events", "nowhere.csv"], 3, "nowhere.csv"),
            (["-u", "u0001", "--block-for", "nowhere.csv"], 3, "nowhere.csv"),
            (["-u", "\udcff"], 4, "xff"),
            (["-u", "u0001", "--out", "."], 2, "directory"),
        ],
    )
    def test_recommend(self, cli: Cli, options: list[str], code: int, word: str) -> None:
        refused(cli("recommend", *options), code, word)

    def test_a_history_of_low_ratings_alone(self, cli: Cli, tmp_path: Path) -> None:
        (tmp_path / "low.csv").write_text("user,item,rating\nann,i0003,1\nann,i0005,2\n")
        outcome = cli("recommend", "--history", tmp_path / "low.csv")
        refused(outcome, 3, "low.csv", "below 4")

    def test_disliking_everything_leaves_no_item(self, cli: Cli) -> None:
        dataset = store.load("ratings")
        ids = dataset.item_ids.at(range(dataset.n_items))
        options = [text for item in ids for text in ("--dislike", item)]
        refused(cli("recommend", "-u", "u0001", "-k", 1, *options), 2, "--dislike leave no item")

    def test_users_who_are_blocked_for_nothing_are_named(self, cli: Cli, tmp_path: Path) -> None:
        (tmp_path / "block.csv").write_text("user,item\ntypo,i0003\n")
        options = ["-u", "u0001", "-k", 1, "--block-for", tmp_path / "block.csv"]
        outcome = cli("recommend", *options)
        assert outcome.code == 0
        assert "1 users are unknown: 'typo'" in outcome.err

    @pytest.mark.parametrize(
        ("command", "code", "word"),
        [
            (["similar", "nothing"], 4, "'nothing'"),
            (["similar", "i0003", "-k", "0"], 2, "-k 0"),
            (["update", "nobody", "events.csv"], 4, "nobody"),
            (["update", "shop", "nowhere.csv"], 3, "nowhere.csv"),
            (["export", "shop", "--vectors", "."], 2, "exists"),
            (["export", "nobody", "--vectors", "v"], 4, "nobody"),
        ],
    )
    def test_others(self, cli: Cli, command: list[str], code: int, word: str) -> None:
        refused(cli(*command), code, word)
