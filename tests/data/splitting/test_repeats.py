"""Kinds of events, counts, targets, and pairs with several rows; all by hand."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from diffrec_cli.config import ReadOptions, SplitOptions
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.reading.log import Log, read_logs
from diffrec_cli.data.splitting.split import split_log
from diffrec_cli.errors import ConfigError, DataError

HEADER = "user,item,time,event,plays"
#: Two users who view, and buy some of that, and a third who has too few rows to be cut.
SHOP = [
    "a,x,1,view,1",
    "a,x,2,purchase,1",
    "a,y,3,view,3",
    "a,z,4,view,1",
    "a,y,5,cart,7",
    "a,y,6,purchase,1",
    "a,z,7,purchase,1",
    "a,x,8,view,1",
    "b,z,1,purchase,1",
    "b,y,2,purchase,1",
    "b,x,3,view,15",
    "b,x,4,purchase,0",
    "c,y,1,purchase,1",
    "c,x,2,purchase,1",
]


def read(directory: Path, rows: Sequence[str], **options) -> Log:
    path = directory / "log.csv"
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return read_logs([path], ReadOptions(**options))


def split(log: Log, **options) -> Dataset:
    return split_log(log, SplitOptions(**options), name="d")


def strengths(dataset: Dataset, part: str, user: str) -> dict[str, float]:
    """Return how much each item of a user counts."""
    (place,) = dataset.user_ids.indices([user])
    row = dataset.part(part).take(np.array([place]))
    values = np.ones(row.size) if row.strength is None else row.strength
    rounded = [round(float(value), 4) for value in values]
    return dict(zip(dataset.item_ids.at(row.items), rounded, strict=True))


def test_kinds_are_counted_and_others_left_out(tmp_path: Path) -> None:
    log = read(tmp_path, SHOP, event_kinds="purchase,cart")
    assert dict(log.event_counts) == {"cart": 1, "purchase": 8, "view": 5}
    assert (len(log), log.left_out, log.strength) == (9, 5, None)
    dataset = split(log)
    assert dataset.dropped["event_left_out"] == 5
    assert dataset.summary()["events"] == {"cart": 1, "purchase": 8, "view": 5}


def test_a_pair_counts_as_its_strongest_row_of_the_same_part(tmp_path: Path) -> None:
    log = read(tmp_path, SHOP, event_weights="view=.2,cart=.5")
    dataset = split(log, ratios=(1, 1, 1))
    # In order of first rows a has x, y, z: train ends before y is viewed, and valid with the view
    # of z, so that its purchase counts and that of y does not.
    assert strengths(dataset, "train", "a") == {"x": 1.0}
    assert strengths(dataset, "valid", "a") == {"y": 0.2}
    assert strengths(dataset, "test", "a") == {"z": 1.0}


def test_a_weight_of_0_leaves_a_kind_out(tmp_path: Path) -> None:
    log = read(tmp_path, SHOP, event_weights="view=0,cart=0")
    assert (len(log), log.left_out, log.strength) == (8, 6, None)


def test_counts_are_on_a_log_scale_and_0_is_no_interaction(tmp_path: Path) -> None:
    log = read(tmp_path, SHOP, weight_col="plays")
    assert log.left_out == 1
    dataset = split(log, ratios=(1, 0, 0))
    assert strengths(dataset, "train", "a") == {"x": 1.0, "y": 3.0, "z": 1.0}
    assert strengths(dataset, "train", "b") == {"z": 1.0, "y": 1.0, "x": 4.0}


def test_kinds_and_counts_multiply(tmp_path: Path) -> None:
    log = read(tmp_path, SHOP, weight_col="plays", event_weights="view=.5,cart=.1")
    dataset = split(log, ratios=(1, 0, 0))
    assert strengths(dataset, "train", "a") == {"x": 1.0, "y": 1.0, "z": 1.0}
    assert strengths(dataset, "train", "b") == {"z": 1.0, "y": 1.0, "x": 2.0}


def test_valid_and_test_count_the_target_and_train_ends_with_its_last_one(tmp_path: Path) -> None:
    rows = ["a,z,0,view,1", *SHOP]
    dataset = split(read(tmp_path, rows, event_col="event"), target="purchase", ratios=(1, 1, 1))
    # a buys x, y and z. What they do between the purchases of x and y leads to that of y.
    parts = {part: strengths(dataset, part, "a") for part in ("train", "valid", "test")}
    assert parts == {"train": {"z": 1.0, "x": 1.0}, "valid": {"y": 1.0}, "test": {"z": 1.0}}
    assert dataset.dropped["no_target_after_train"] == 2  # a's view of y, b's of x
    (a,) = dataset.user_ids.indices(["a"])
    assert dataset.train.take(np.array([a])).again.tolist() == [True, False]


def test_who_is_not_cut_keeps_what_comes_after_the_last_purchase(tmp_path: Path) -> None:
    rows = [*SHOP, "c,z,3,view,1"]
    dataset = split(read(tmp_path, rows, event_col="event"), target="purchase", ratios=(1, 1, 1))
    assert strengths(dataset, "train", "c") == {"y": 1.0, "x": 1.0, "z": 1.0}


def test_what_was_only_viewed_may_be_recommended(tmp_path: Path) -> None:
    rows = ["a,z,0,view,1", *SHOP]
    dataset = split(read(tmp_path, rows, event_col="event"), target="purchase", ratios=(1, 1, 1))
    (a,) = dataset.user_ids.indices(["a"])
    masked = dataset.before("test").closed
    assert sorted(dataset.item_ids.at(masked.of(a))) == ["x", "y"]
    assert dataset.item_ids.at(dataset.to_find("test").of(a)) == ["z"]


@pytest.mark.parametrize("by", [{"split_by": "time"}, {"test_from": "6", "ratios": (1, 0, 1)}])
def test_views_after_the_moment_of_a_cut_are_no_history(tmp_path: Path, by: dict) -> None:
    rows = [*SHOP, "e,x,1,purchase,1", "e,y,9,view,1", "d,y,1,purchase,1", "d,z,2,view,1"]
    dataset = split(read(tmp_path, rows, event_col="event"), target="purchase", **by)
    assert strengths(dataset, "train", "e") == {"x": 1.0}
    assert strengths(dataset, "train", "d") == {"y": 1.0, "z": 1.0}


def test_kept_repeats_are_in_each_part_and_add_up(tmp_path: Path) -> None:
    rows = [f"a,{item},{t},buy,1" for t, item in enumerate("xxxyxyyxyz")]
    rows += [f"b,{item},{t},buy,1" for t, item in enumerate("zy")]
    dataset = split(read(tmp_path, rows), repeats="keep", ratios=(5, 2, 3))
    assert strengths(dataset, "train", "a") == {"x": 2.3219, "y": 1.0}
    assert strengths(dataset, "valid", "a") == {"y": 1.585}
    assert strengths(dataset, "test", "a") == {"x": 1.0, "y": 1.0, "z": 1.0}
    (a,) = dataset.user_ids.indices(["a"])
    assert dataset.item_ids.at(dataset.train_and_valid.of(a)) == ["x", "y"]
    assert dataset.item_ids.at(dataset.to_find("test").of(a)) == ["x", "y", "z"]
    assert dataset.item_ids.at(dataset.to_find("test", include_seen=False).of(a)) == ["z"]
    assert dataset.known.of(a).size == 3


def test_every_row_is_accounted_for(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    kinds = ("view", "cart", "purchase")
    rows = [
        f"u{rng.integers(9)},i{rng.integers(9)},{t},{kinds[rng.integers(3)]},{rng.integers(4)}"
        for t in rng.permutation(600)
    ]
    for said in (
        {"repeats": "keep"},
        {"target": "purchase"},
        {"target": "cart", "repeats": "keep"},
    ):
        log = read(tmp_path, rows, event_weights="view=.2,cart=.5", weight_col="plays")
        dataset = split(log, **said)
        counted = sum(part.size for part in dataset.parts.values()) + sum(dataset.dropped.values())
        assert counted == 600
        for part in dataset.parts.values():
            pairs = part.row_index * 9 + part.items
            assert len(np.unique(pairs)) == len(pairs)


def test_the_past_does_not_depend_on_what_comes_later(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    kinds = ("view", "cart", "purchase")
    rows = [f"u{rng.integers(6)},i{rng.integers(8)},{t},{kinds[rng.integers(3)]},1"
            for t in range(300)]  # fmt: skip
    said = {"target": "purchase", "test_from": "200", "ratios": (8, 2, 1)}
    options = {"event_weights": "view=.2,cart=.5"}
    whole = split(read(tmp_path, rows, **options), **said)
    changed = [*rows[:200], *(row.replace("view", "purchase") for row in rows[200:])]
    other = split(read(tmp_path, changed, **options), **said)
    for user in whole.user_ids.array.to_pylist():
        for part in ("train", "valid"):
            assert strengths(whole, part, user) == strengths(other, part, user)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"event_kinds": "buy"}, "--event-kinds buy: no row is of that kind; the log has cart 1"),
        ({"event_weights": "veiw=.2"}, "--event-weights veiw: no row is of that kind"),
        ({"event_col": "kind"}, "there is no column 'kind'"),
        ({"weight_col": "count"}, "there is no column 'count'"),
        ({"weight_col": "event"}, "line 2|:2: column 'event': 'view' is not a count"),
    ],
)
def test_wrong_names_are_refused_with_those_that_exist(tmp_path, options, message) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, SHOP, **options)


def test_a_count_below_0_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"log.csv:3: column 'plays': '-2' is not a count"):
        read(tmp_path, [SHOP[0], "a,x,2,view,-2"], weight_col="plays")


def test_a_target_that_no_row_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--target buy: no row is of that kind"):
        split(read(tmp_path, SHOP, event_col="event"), target="buy")
    with pytest.raises(DataError, match="--target needs kinds of events"):
        split(read(tmp_path, SHOP), target="purchase")


@pytest.mark.parametrize("weights", ["view=-1", "view", "view=x", "=1", "view=inf"])
def test_weights_are_numbers_of_0_or_more(weights: str) -> None:
    with pytest.raises(ConfigError, match="event_weights"):
        ReadOptions(event_weights=weights)


@pytest.mark.parametrize(
    "options",
    [
        {"target": "purchase", "repeats": "last"},
        {"target": "purchase", "setting": "noisy"},
        {"repeats": "keep", "setting": "noisy"},
        {"target": "purchase,"},
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict) -> None:
    with pytest.raises(ConfigError):
        SplitOptions(**options)


def test_strengths_do_not_go_with_noise(tmp_path: Path) -> None:
    log = read(tmp_path, SHOP, weight_col="plays")
    with pytest.raises(DataError, match="these have strengths"):
        split(log, setting="noisy", noise="random", noise_ratio=0.5)


def test_a_dataset_with_strengths_is_the_same_after_saving(tmp_path: Path) -> None:
    log = read(tmp_path, SHOP, event_weights="view=.2")
    dataset = split(log, target="purchase", ratios=(1, 1, 1))
    (tmp_path / "d").mkdir()
    dataset.save(tmp_path / "d")
    loaded = Dataset.load(tmp_path / "d")
    assert loaded.content_hash == dataset.content_hash
    for part, sequences in dataset.parts.items():
        assert np.array_equal(loaded.part(part).strength, sequences.strength)
        assert np.array_equal(loaded.part(part).again, sequences.again)


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_events_and_counts_are_read_from_typed_files(tmp_path: Path, form: str) -> None:
    import json

    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [line.split(",") for line in SHOP]
    table = pa.table(
        {
            "user": [r[0] for r in rows],
            "item": [r[1] for r in rows],
            "time": [int(r[2]) for r in rows],
            "event": [r[3] for r in rows],
            "plays": [int(r[4]) for r in rows],
            "shade": ["few" for _ in rows],
        }
    )
    path = tmp_path / f"log.{form}"
    if form == "parquet":
        pq.write_table(table, path)
    else:
        path.write_text("\n".join(map(json.dumps, table.to_pylist())) + "\n")
    log = read_logs([path], ReadOptions(event_weights="view=.2", weight_col="plays"))
    same = read(tmp_path, SHOP, event_weights="view=.2", weight_col="plays")
    assert dict(log.event_counts) == dict(same.event_counts)
    assert np.array_equal(log.strength, same.strength)
    with pytest.raises(DataError, match=r"'shade': not weights|is not a count"):
        read_logs([path], ReadOptions(weight_col="shade"))


def test_what_comes_after_train_does_not_raise_strengths_in_it(tmp_path: Path) -> None:
    rows = ["a,x,1,view,1", "a,y,2,purchase,1", "a,z,3,purchase,1", "a,w,4,purchase,1",
            "a,x,5,cart,1", "a,x,6,purchase,1", "a,v,7,purchase,1"]  # fmt: skip
    rows += [f"{user},{item},{t},purchase,1" for user in "bc" for t, item in enumerate("xyzwv")]
    log = read(tmp_path, rows, event_weights="view=.2,cart=.5")
    dataset = split(log, target="purchase", ratios=(3, 1, 1))
    assert strengths(dataset, "train", "a") == {"x": 0.2, "y": 1.0, "z": 1.0, "w": 1.0}
    assert strengths(dataset, "valid", "a") == {"x": 1.0}


@pytest.mark.parametrize("said", [{}, {"target": "purchase"}])
@pytest.mark.parametrize("by", [{}, {"split_by": "time"}])
def test_rows_from_the_moment_of_a_cut_on_change_nothing_before(tmp_path, said, by) -> None:
    before = [f"{u},{i},{t},purchase,1" for u in "abc" for t, i in enumerate("xyzwv")]
    before += [
        "c,q,3,cart,1",
        "a,q,10,view,1",
        "d,x,1,purchase,1",
        "d,q,4,view,1",
        "b,q,11,purchase,1",
    ]
    after = ["a,q,100,purchase,1", "d,q,100,cart,1", "d,x,101,purchase,1", "b,w,100,purchase,1"]
    options = {**said, **by, "test_from": "50", "ratios": (8, 2, 1)}
    weights = {"event_weights": "view=.2,cart=.5"}
    whole = split(read(tmp_path, [*before, *after], **weights), **options)
    past = split(read(tmp_path, before, **weights), **options)
    for part in ("train", "valid"):
        for user in past.user_ids.array.to_pylist():
            assert strengths(whole, part, user) == strengths(past, part, user)


def test_who_buys_only_after_the_moment_keeps_what_they_viewed_before(tmp_path: Path) -> None:
    rows = [*SHOP, "e,x,1,view,1", "e,y,2,view,1", "e,z,60,purchase,1", "e,x,61,purchase,1"]
    log = read(tmp_path, rows, event_col="event")
    dataset = split(log, target="purchase", test_from="50", ratios=(8, 0, 2))
    assert strengths(dataset, "train", "e") == {"x": 1.0, "y": 1.0}
    assert strengths(dataset, "test", "e") == {"z": 1.0, "x": 1.0}


def test_a_target_needs_an_order(tmp_path: Path) -> None:
    log = read(tmp_path, SHOP, event_col="event")
    with pytest.raises(DataError, match="rows have no order"):
        split(log, target="purchase", order="none")


@pytest.mark.parametrize("options", [{"event_kinds": "view"}, {"event_weights": "purchase=0"}])
def test_a_target_that_is_left_out_is_refused(tmp_path: Path, options: dict) -> None:
    with pytest.raises(DataError, match="--target purchase: no row"):
        split(read(tmp_path, SHOP, **options), target="purchase")


def test_no_column_of_events_does_not_go_with_their_kinds() -> None:
    with pytest.raises(ConfigError, match="event_col none"):
        ReadOptions(event_col="none", event_kinds="view")
    with pytest.raises(ConfigError, match="event_col none"):
        ReadOptions(event_col="none").for_target("purchase")
    with pytest.raises(ConfigError, match="event_weights"):
        ReadOptions(event_weights="view=.2,view=.9")
