"""Wrong arguments from Python raise the package's own errors, with what is wrong and what helps."""

from collections.abc import Callable
from pathlib import Path

import pytest

from diffrec_cli import workflows
from diffrec_cli.data import store as datasets
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.errors import ConfigError, DiffrecError, NotFoundError, UsageError
from tests.workflows.conftest import Fit

DATA = "checkerboard"

WITHOUT_A_MODEL: list[tuple[str, tuple, dict, type[DiffrecError], str]] = [
    ("prepare", ([],), {}, UsageError, "no log"),
    ("prepare", (["nothing.csv"],), {}, DiffrecError, "nothing.csv"),
    ("prepare", (["nothing.csv"],), {"name": "a/b"}, UsageError, "a/b"),
    ("fit", ([],), {}, UsageError, "no log"),
    ("fit", ("nothing.csv",), {}, NotFoundError, "nothing.csv"),
    ("fit", (DATA,), {"variant": "foo"}, UsageError, "--variant foo"),
    ("fit", (DATA,), {"variant": "lt+smoothing"}, UsageError, r"lt\+smoothing"),
    ("fit", (DATA,), {"variant": "ease+smoothing"}, UsageError, r"ease\+smoothing"),
    ("fit", (DATA,), {"variant": "foo", "corruption": "smoothing"}, UsageError, "foo"),
    ("fit", (DATA,), {"variant": "lt", "corruption": "smoothing"}, UsageError, "lt"),
    ("fit", (DATA,), {"corruption": "rain"}, UsageError, "--corruption rain"),
    ("fit", (DATA,), {"preset": "nothing"}, UsageError, "--preset nothing"),
    ("fit", (DATA,), {"variant": "ease", "preset": "paper-yelp"}, UsageError, "paper-yelp"),
    ("fit", (DATA,), {"name": "a/b"}, UsageError, "a/b"),
    ("fit", (DATA,), {"device": "tpu"}, UsageError, "tpu"),
    ("fit", (DATA,), {"precision": "fp8"}, UsageError, "fp8"),
    ("fit", (DATA,), {"values": {"nothing": 1}}, ConfigError, "nothing"),
    ("fit", (DATA,), {"variant": "t", "values": {"dims": 1.5}}, ConfigError, "dims"),
    ("fit", (DATA,), {"variant": "t", "values": {"T": "many"}}, ConfigError, "T=many"),
    ("fit", (DATA,), {"variant": "t", "values": {"T": True}}, ConfigError, "T=True"),
    ("fit", (DATA,), {"variant": "t", "values": {"T": 0}}, ConfigError, "T = 0"),
    ("compare", ([], ["pop"]), {}, UsageError, "no log"),
    ("compare", (DATA, []), {}, UsageError, "no model"),
    ("compare", (DATA, ["foo"]), {}, UsageError, "foo"),
    ("compare", (DATA, ["lt+smoothing"]), {}, UsageError, r"lt\+smoothing"),
    ("compare", (DATA, ["pop"]), {"seeds": 0}, UsageError, "--seeds 0"),
    ("compare", (DATA, ["pop"]), {"trials": -1}, UsageError, "--trials -1"),
    ("compare", (DATA, ["pop"]), {"budget": 0}, UsageError, "--budget 0"),
    ("compare", (DATA, ["pop"]), {"budget": float("nan")}, UsageError, "--budget nan"),
    ("compare", (DATA, ["pop"]), {"device": "tpu"}, UsageError, "tpu"),
    ("compare", (DATA, ["pop"]), {"precision": "fp8"}, UsageError, "fp8"),
    ("compare", ("nothing.csv", ["pop"]), {}, NotFoundError, "nothing.csv"),
    ("tune", ([],), {}, UsageError, "no log"),
    ("tune", (DATA,), {"variant": "foo"}, UsageError, "--variant foo"),
    ("tune", (DATA,), {"variant": "lt+smoothing"}, UsageError, r"lt\+smoothing"),
    ("tune", (DATA,), {"variant": "pop"}, UsageError, "no settings"),
    ("tune", (DATA,), {"trials": 0}, UsageError, "--trials 0"),
    ("tune", (DATA,), {"jobs": 0}, UsageError, "--jobs 0"),
    ("tune", (DATA,), {"budget": -1}, UsageError, "--budget -1"),
    ("tune", (DATA,), {"budget": float("nan")}, UsageError, "--budget nan"),
    ("tune", (DATA,), {"values": {"nothing": 1}}, ConfigError, "nothing"),
    ("tune", (DATA,), {"write_preset": "a/b"}, UsageError, "a/b"),
    ("quickstart", (), {"variant": "foo"}, UsageError, "--variant foo"),
    ("download", ("nothing",), {}, UsageError, "nothing"),
]

OF_A_MODEL: list[tuple[str, tuple, dict, type[DiffrecError], str]] = [
    ("evaluate", (["nothing"],), {}, NotFoundError, "nothing"),
    ("evaluate", (["a@b"],), {}, UsageError, "a@b"),
    ("evaluate", (), {"split": "train"}, UsageError, "--split train"),
    ("evaluate", (), {"history": "all"}, UsageError, "--history all"),
    ("evaluate", (), {"ks": []}, UsageError, "no cutoff"),
    ("evaluate", (), {"ks": [0]}, UsageError, "-k 0"),
    ("evaluate", (), {"ks": [1.5]}, UsageError, "-k 1.5"),
    ("evaluate", (), {"metrics": ["beauty"]}, UsageError, "beauty"),
    ("evaluate", (), {"baselines": ["foo"]}, UsageError, "foo"),
    ("evaluate", (), {"baselines": ["multivae"]}, UsageError, "multivae"),
    ("evaluate", (), {"minima": {"beauty": 1.0}}, UsageError, "beauty"),
    ("evaluate", (), {"per_user": Path("users.txt")}, UsageError, "users.txt"),
    ("evaluate", (), {"device": "tpu"}, UsageError, "tpu"),
    ("evaluate", (), {"precision": "fp8"}, UsageError, "fp8"),
    ("recommend", (), {}, UsageError, "--user"),
    ("recommend", (), {"users": ["u1"], "all_users": True}, UsageError, "not several"),
    ("recommend", (), {"users": ["nobody"]}, NotFoundError, "nobody"),
    ("recommend", (), {"users": ["u1"], "k": 0}, UsageError, "-k 0"),
    ("recommend", (), {"users": ["u1"], "k": "3"}, UsageError, "-k 3"),
    ("recommend", (), {"users": [1]}, NotFoundError, "unknown user '1'"),
    ("recommend", (), {"users": ["u1"], "k": 41}, UsageError, "-k 41"),
    ("recommend", (), {"users": ["u1"], "shard": "1/2"}, UsageError, "--shard"),
    ("recommend", (), {"all_users": True, "shard": "x"}, UsageError, "--shard x"),
    ("recommend", (), {"users": ["u1"], "on_unknown": "cry"}, UsageError, "cry"),
    ("recommend", (), {"users": ["u1"], "diversity": 2}, UsageError, "--diversity 2"),
    ("recommend", (), {"users": ["u1"], "strength": 2}, UsageError, "--strength 2"),
    ("recommend", (), {"users": ["u1"], "where": "year >"}, UsageError, "--where"),
    ("recommend", (), {"users": ["u1"], "precision": "fp8"}, UsageError, "fp8"),
    ("recommend", ("nothing",), {"users": ["u1"]}, NotFoundError, "nothing"),
    ("export_lists", ("lists.txt",), {"all_users": True}, UsageError, "lists.txt"),
    ("export_lists", ("lists.csv",), {}, UsageError, "--user"),
    ("export_vectors", (None, "nowhere/vectors"), {}, UsageError, "nowhere"),
    ("export_vectors", ("nothing", "vectors"), {}, NotFoundError, "nothing"),
    ("export_vectors", (None, "vectors"), {"device": "tpu"}, UsageError, "tpu"),
    ("similar", (["i01"], "nothing"), {}, NotFoundError, "nothing"),
    ("similar", (["nothing"],), {}, NotFoundError, "nothing"),
    ("similar", (["i01"],), {"k": 0}, UsageError, "-k 0"),
    ("similar", (["i01"],), {"k": 1.5}, UsageError, "-k 1.5"),
    ("report", ("nothing",), {}, NotFoundError, "nothing"),
    ("report", (), {"split": "train"}, UsageError, "--split train"),
    ("report", (), {"users": ["nobody"]}, NotFoundError, "nobody"),
    ("update", ("nothing", "events.csv"), {}, NotFoundError, "nothing"),
    ("update", (None, "nothing.csv"), {}, DiffrecError, "nothing.csv"),
]


def name_of(case: object) -> str | None:
    return str(case) if isinstance(case, str | dict) else None


def refused(
    call: Callable[..., object], positional: tuple, options: dict, error: type, word: str
) -> None:
    with pytest.raises(error, match=word) as caught:
        call(*positional, **options)
    assert "\n" not in caught.value.what
    assert caught.value.fix


@pytest.mark.parametrize(
    ("workflow", "positional", "options", "error", "word"), WITHOUT_A_MODEL, ids=name_of
)
def test_before_there_is_a_model(
    checkerboard: Dataset, workflow: str, positional: tuple, options: dict, error: type, word: str
) -> None:
    datasets.save(checkerboard)
    refused(getattr(workflows, workflow), positional, options, error, word)


@pytest.mark.parametrize(
    ("workflow", "positional", "options", "error", "word"), OF_A_MODEL, ids=name_of
)
def test_of_a_model(
    fit: Fit,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    workflow: str,
    positional: tuple,
    options: dict,
    error: type,
    word: str,
) -> None:
    fit("ease")
    monkeypatch.chdir(tmp_path)
    refused(getattr(workflows, workflow), positional, options, error, word)
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_a_list_of_a_small_catalogue_is_as_long_as_it_can_be(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text(
        "user,item\n" + "".join(f"u{n},i{n % 4}\nu{n},i{(n + 1) % 4}\n" for n in range(8))
    )
    model = workflows.fit(log, variant="popularity").model
    table = workflows.recommend(model, history=_history(tmp_path)).table()
    assert len(table) == 3  # of four items, but for the one that is in the history
    with pytest.raises(UsageError, match="larger than the catalogue of 4 items"):
        workflows.recommend(model, history=_history(tmp_path), k=5)


def _history(directory: Path) -> Path:
    path = directory / "history.txt"
    path.write_text("i1\n")
    return path
