"""A window of a log, and a test part from a moment on."""

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from diffrec_cli.config import ReadOptions, SplitOptions
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.idmap import IdMap
from diffrec_cli.data.reading.log import Log, read_logs
from diffrec_cli.data.splitting.split import split_log
from diffrec_cli.data.splitting.window import moment
from diffrec_cli.errors import ConfigError, DataError, UsageError

DAY = 86_400
START = 1_735_689_600  # 2025-01-01 in UTC


def log(tmp_path: Path, times: str = "dates") -> Log:
    """Six users like one of five items a day, from 2025-01-01 to 2025-01-10."""
    rows = []
    for day in range(10):
        for user in range(6):
            at = f"2025-01-{day + 1:02d}" if times == "dates" else (START + day * DAY) * int(times)
            rows.append(f"u{user},i{(user + day) % 5},{at}")
    path = tmp_path / "log.csv"
    path.write_text("user,item,time\n" + "\n".join(rows) + "\n")
    return read_logs([path], ReadOptions())


def split(of: Log, **options) -> Dataset:
    return split_log(of, SplitOptions(**options), name="d")


@pytest.mark.parametrize("times", ["dates", "1", "1000", "1000000"])
@pytest.mark.parametrize(
    ("window", "days"),
    [
        ({"since": "2025-01-04"}, range(3, 10)),
        ({"until": "2025-01-04"}, range(3)),
        ({"since": "2025-01-04T01:00+02:00", "until": "2025-01-06T00:01"}, range(3, 6)),
        ({"since": "3d"}, range(6, 10)),
        ({"since": "1w", "until": "36h"}, range(2, 8)),
    ],
)
def test_rows_outside_of_the_window_are_counted(tmp_path, times, window, days) -> None:
    dataset = split(log(tmp_path, times), **window, repeats="last")
    assert dataset.dropped["outside_window"] == 60 - 6 * len(days)
    first = dataset.known.of(0)
    expected = dict.fromkeys(f"i{day % 5}" for day in reversed(days))
    assert set(dataset.item_ids.at(first)) == set(expected)


def test_numbers_of_no_known_unit_are_compared_as_they_are(tmp_path) -> None:
    whole = log(tmp_path, "1")
    steps = dataclasses.replace(whole, time=(whole.time - START) // DAY)
    assert split(steps, since="7").dropped["outside_window"] == 6 * 7
    with pytest.raises(DataError, match="numbers of no known unit, from 0 to 9"):
        split(steps, since="2025-01-04")
    with pytest.raises(DataError, match="no known unit"):
        split(steps, since="3d")


def test_a_number_is_no_moment_of_dates(tmp_path) -> None:
    assert moment(log(tmp_path), "20250104", "--since") == (START + 3 * DAY) * 10**6
    with pytest.raises(UsageError, match="--since 7: no moment") as caught:
        split(log(tmp_path), since="7")
    assert "180d" in caught.value.fix


@pytest.mark.parametrize("text", ["yesterday", "", "3x", "2025-13-01", "nan"])
def test_what_is_no_moment_is_refused(tmp_path, text) -> None:
    with pytest.raises(UsageError, match="no moment"):
        split(log(tmp_path, "1"), until=text)


def test_an_empty_window_tells_what_times_there_are(tmp_path) -> None:
    with pytest.raises(
        DataError, match="no row is in the window: the log's times run from 2025-01-01T00:00:00"
    ):
        split(log(tmp_path, "1"), since="2026-01-01")


def test_a_log_without_times_has_no_window(tmp_path) -> None:
    timeless = dataclasses.replace(log(tmp_path), time=None)
    for option in ("since", "until", "test_from"):
        with pytest.raises(DataError, match="needs timestamps"):
            split(timeless, **{option: "2025-01-04"})


def test_test_is_what_is_from_a_moment_on(tmp_path) -> None:
    whole = log(tmp_path)
    dataset = split(whole, test_from="2025-01-05", ratios=(3, 1, 9))
    past = whole.time < moment(whole, "2025-01-05", "--test-from")
    for user in range(6):
        mine = np.flatnonzero(past & (whole.user == user))
        before = [*dataset.train.of(user), *dataset.valid.of(user)]
        assert dataset.item_ids.at(before) == whole.item_ids.at(whole.item[mine])
        assert len(dataset.valid.of(user)) == 1
        # i0 to i4 in five days: the fifth is new, the others were known
        assert dataset.item_ids.at(dataset.test.of(user)) == [f"i{(user + 4) % 5}"]
    assert dataset.dropped["duplicate"] == 30


def test_the_past_can_be_cut_at_one_moment_too(tmp_path) -> None:
    whole = log(tmp_path)
    dataset = split(whole, test_from="2025-01-05", split_by="time", ratios=(3, 1, 0))
    assert [dataset.train.size, dataset.valid.size, dataset.test.size] == [18, 6, 6]


@pytest.mark.parametrize("repeats", ["first", "last", "max"])
@pytest.mark.parametrize("minimum", [1, 2])
def test_the_past_does_not_depend_on_the_future(repeats, minimum) -> None:
    rng = np.random.default_rng(3)
    size = 400
    whole = Log(
        user=rng.integers(0, 12, size).astype(np.int32),
        item=rng.integers(0, 15, size).astype(np.int32),
        rating=rng.integers(1, 6, size).astype(np.float32),
        time=START + np.sort(rng.integers(0, 20 * DAY, size)),
        user_ids=IdMap([f"u{n}" for n in range(12)]),
        item_ids=IdMap([f"i{n}" for n in range(15)]),
    )
    rules = {"repeats": repeats, "min_user_interactions": minimum, "min_item_interactions": minimum}
    tested = split(whole, test_from="2025-01-08", ratios=(7, 1, 2), **rules)
    alone = split(whole, until="2025-01-08", ratios=(7, 1, 0), **rules)
    assert tested.train.size == alone.train.size
    for of in (tested, alone):
        assert of.valid.size > 0
    for user in alone.user_ids.array.to_pylist():
        places = [of.user_ids.indices([user])[0] for of in (tested, alone)]
        for part in ("train", "valid"):
            found = [
                of.item_ids.at(of.part(part).of(place))
                for of, place in zip((tested, alone), places, strict=True)
            ]
            assert found[0] == found[1]


def test_nanoseconds_are_compared_exactly(tmp_path) -> None:
    whole = log(tmp_path, "1")
    exact = dataclasses.replace(whole, time=whole.time * 10**9 + 1)
    assert moment(exact, "2025-01-04", "--since") == (START + 3 * DAY) * 10**9
    assert split(exact, until="2025-01-04").dropped["outside_window"] == 42
    assert moment(exact, "1d", "--since") == (START + 8 * DAY) * 10**9 + 1


@pytest.mark.parametrize("digits", ["%Y%m%d%H%M%S", "%Y%m%d%H%M", "%Y%m%d"])
def test_compact_dates_are_of_no_known_unit(tmp_path, digits) -> None:
    whole = log(tmp_path, "1")
    written = [int(datetime.fromtimestamp(at, UTC).strftime(digits)) for at in whole.time.tolist()]
    with pytest.raises(DataError, match="no known unit"):
        split(dataclasses.replace(whole, time=np.array(written)), since="20d")


def test_users_who_come_later_are_counted_apart(tmp_path) -> None:
    whole = log(tmp_path)
    newcomer = dataclasses.replace(
        whole, user=np.where((whole.user == 5) & (whole.time < whole.time.max()), 4, whole.user)
    )
    dataset = split(newcomer, test_from="1h")
    assert dataset.n_users == 5
    assert dataset.dropped["user_unseen_in_train"] == 1


def test_without_a_past_there_is_nothing_to_train_on(tmp_path) -> None:
    with pytest.raises(DataError, match="0 users left") as caught:
        split(log(tmp_path), test_from="2024-01-01")
    assert "a later --test-from" in caught.value.fix


@pytest.mark.parametrize("order", ["file", "none"])
def test_a_moment_reads_times(order) -> None:
    with pytest.raises(ConfigError, match="test_from reads them"):
        SplitOptions(test_from="3d", order=order)
