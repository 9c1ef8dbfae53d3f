"""What the commands say when torchrun starts them; tests/training has what they compute."""

import pytest

from diffrec_cli.data import store
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.errors import UsageError
from diffrec_cli.launch import cores, neighbours


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


def test_without_the_mark_of_torchrun_its_variables_are_not_read(
    cli, checkerboard: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save(checkerboard)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "0")
    monkeypatch.setenv("LOCAL_RANK", "a")
    assert cores() >= 1
    assert neighbours() == (0, 1)
    assert cli("fit", "checkerboard", "-v", "graph", "--device", "cpu").code == 0


@pytest.mark.parametrize(("variable", "value"), [("RANK", "a"), ("WORLD_SIZE", "0")])
def test_a_place_that_is_no_number_is_a_wrong_request(
    cli, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "test")
    monkeypatch.setenv(variable, value)
    done = cli("data", "ls")
    assert done.code == 2
    assert f"{variable}={value}" in done.err
    assert "torchrun" in done.err


@pytest.mark.parametrize("value", ["0", "-1", "two", ""])
def test_a_number_of_neighbours_begins_at_one(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "test")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", value)
    with pytest.raises(UsageError, match="LOCAL_WORLD_SIZE"):
        neighbours()


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
