from pathlib import Path

import numpy as np
import pytest

from diffrec_cli.data.idmap import IdMap
from diffrec_cli.data.on_disk.runs import Runs, append_to
from diffrec_cli.data.reading.log import Log
from diffrec_cli.errors import StorageError

IDS = IdMap(["a", "b", "c", "d"])


def rows(user, item, time=None) -> Log:
    times = None if time is None else np.array(time)
    return Log(np.array(user, np.int32), np.array(item, np.int32), None, times, IDS, IDS)


def read(runs: Runs) -> list[tuple[int, list[int], list[int]]]:
    groups = runs.groups(rows([], []))
    return [(g.first, g.log.user.tolist(), g.log.item.tolist()) for g in groups]


def test_a_group_has_its_users_rows_of_all_runs_as_they_came(tmp_path) -> None:
    runs = Runs(tmp_path / "runs", most_rows=4)
    runs.append(rows([2, 0, 2], [9, 8, 7]))
    runs.append(rows([0, 3, 2], [6, 5, 4]))
    # Users 0 and 1 have two rows, user 2 three: that is too many.
    assert read(runs) == [(0, [0, 0], [8, 6]), (2, [0, 0, 0, 1], [9, 7, 4, 5])]
    assert len(runs) == 6


def test_a_user_with_more_rows_than_fit_is_a_group_alone(tmp_path) -> None:
    runs = Runs(tmp_path / "runs", most_rows=1)
    runs.append(rows([1, 1, 0], [1, 2, 3]))
    assert read(runs) == [(0, [0], [3]), (1, [0, 0], [1, 2]), (2, [], [])]


def test_whole_times_of_one_run_and_fractions_of_another_are_fractions(tmp_path) -> None:
    runs = Runs(tmp_path / "runs", most_rows=9)
    runs.append(rows([0], [0], [2**53 + 1]))
    runs.append(rows([0, 1], [1, 0], [0.5, 1.5]))
    (group,) = runs.groups(rows([], []))
    assert group.log.time.tolist() == [2.0**53, 0.5, 1.5]


def test_the_first_users_have_so_many_rows_or_a_few_more(tmp_path) -> None:
    runs = Runs(tmp_path / "runs", most_rows=1)
    runs.append(rows([0, 1, 1, 2], [0, 1, 2, 3]))
    head = rows([], [])
    for wanted, found in ((1, 1), (2, 3), (3, 3), (4, 4), (99, 4)):
        assert len(runs.first_users(head, wanted)) == found


def test_users_of_later_runs_may_begin_anywhere(tmp_path) -> None:
    runs = Runs(tmp_path / "runs", most_rows=9)
    runs.append(rows([0, 1], [1, 2]), first_user=2)
    assert read(runs) == [(0, [2, 3], [1, 2])]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_a_storage_error(monkeypatch) -> None:
    monkeypatch.setenv("DIFFREC_HOME", "/dev")
    with pytest.raises(StorageError, match="no space left"):
        append_to(Path("/dev/full"), np.arange(9))
