"""What the commands say when torchrun starts them; tests/training has what they compute."""

import pytest

from diffrec_cli.data import store
from diffrec_cli.data.dataset import Dataset


@pytest.fixture
def two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "test")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")


@pytest.mark.usefixtures("two_processes")
@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("fit", "checkerboard", "-v", "ease"), "ease is fitted in one process"),
        (("fit", "checkerboard"), "--variant auto tries models in one process"),
        (("data", "ls"), "diffrec data runs in one process"),
        (("recommend", "--user", "1"), "several processes write lists to a file"),
        (("recommend", "--user", "1", "-o", "l.csv"), "several processes share the lists"),
    ],
)
def test_what_one_process_does_alone_is_refused(
    cli, checkerboard: Dataset, arguments: tuple[str, ...], what: str
) -> None:
    store.save(checkerboard)
    result = cli(*arguments)
    assert result.code == 2
    assert what in result.err
    assert "torchrun" in result.err


def test_items_are_split_only_under_torchrun(cli, checkerboard: Dataset) -> None:
    store.save(checkerboard)
    result = cli("fit", "checkerboard", "-v", "base", "--item-ranks", "2")
    assert result.code == 2
    assert "--item-ranks 2 is for several processes" in result.err
    assert "torchrun" in result.err


def test_other_programs_ranks_mean_nothing(cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert cli("data", "ls").code == 0


@pytest.mark.usefixtures("two_processes")
@pytest.mark.parametrize("seconds", ["soon", "0", "nan", "-3"])
def test_a_time_limit_is_a_number_of_seconds(
    cli, checkerboard: Dataset, monkeypatch: pytest.MonkeyPatch, seconds: str
) -> None:
    store.save(checkerboard)
    monkeypatch.setenv("DIFFREC_RANK_TIMEOUT", seconds)
    result = cli("fit", "checkerboard", "-v", "base", "--device", "cpu")
    assert result.code == 2
    assert f"DIFFREC_RANK_TIMEOUT={seconds}" in result.err


def test_a_process_that_is_not_the_first_is_silent(
    cli, checkerboard: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "test")
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    for arguments in (("fit", "checkerboard", "-v", "ease"), ("fit", "--nonsense"), ("data", "ls")):
        result = cli(*arguments)
        assert (result.code, result.out, result.err) == (2, "", "")
