from __future__ import annotations

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from diffrec_cli.data.dataset import DROP_REASONS, Dataset
from diffrec_cli.data.dataset_record import PARTS, SCHEMA_VERSION, read_summary
from diffrec_cli.data.idmap import IdMap
from diffrec_cli.data.sequences import Sequences
from diffrec_cli.errors import CorruptError, DataError, NewerSchemaError
from diffrec_cli.files import sha256_file
from tests.data.toys import make_dataset


@pytest.fixture
def saved(tmp_path):
    make_dataset().save(tmp_path)
    return tmp_path


def change_record(directory, **fields):
    path = directory / "dataset.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **fields}))


def test_saving_and_loading_is_identity(saved):
    dataset, loaded = make_dataset(), Dataset.load(saved)
    assert loaded.content_hash == dataset.content_hash
    for part in ("train", "valid", "test"):
        assert np.array_equal(loaded.part(part).indptr, dataset.part(part).indptr)
        assert np.array_equal(loaded.part(part).items, dataset.part(part).items)
    assert loaded.user_ids.array.to_pylist() == ["007", "Ä, b"]
    assert loaded.item_table.equals(dataset.item_table)
    assert (loaded.setting, loaded.order, loaded.source) == (
        "clean",
        "times",
        {"files": ["log.csv"]},
    )


@pytest.mark.parametrize(
    ("ordered", "source", "order"),
    [
        (True, {"files": ["log.csv"]}, "times"),
        (True, {"format": "authors"}, "file"),
        (False, {"files": ["log.csv"]}, "none"),
    ],
)
def test_records_before_version_3_say_only_whether_there_is_an_order(saved, ordered, source, order):
    path = saved / "dataset.json"
    record = json.loads(path.read_bytes())
    del record["order"]
    path.write_text(
        json.dumps({**record, "ordered": ordered, "schema_version": 2, "source": source})
    )
    loaded = Dataset.load(saved)
    assert loaded.order == order
    assert loaded.ordered is ordered


def test_records_before_version_4_have_test_last(saved):
    path = saved / "dataset.json"
    record = json.loads(path.read_bytes())
    del record["chronology"]
    path.write_text(json.dumps({**record, "schema_version": 3}))
    assert Dataset.load(saved).test_is_last


def test_the_known_history_stands_in_time(tmp_path):
    usual = make_dataset()
    swapped = dataclasses.replace(usual, chronology=("train", "test", "valid"))
    swapped.save(tmp_path)
    loaded = Dataset.load(tmp_path)
    assert loaded.chronology == ("train", "test", "valid")
    assert loaded.content_hash == swapped.content_hash != usual.content_hash
    for user in range(usual.n_users):
        parts = [usual.part(name).of(user) for name in ("train", "test", "valid")]
        assert loaded.known.of(user).tolist() == np.concatenate(parts).tolist()
        assert loaded.known_of(np.array([user])).of(0).tolist() == loaded.known.of(user).tolist()


def test_an_unknown_chronology_is_damage(saved):
    change_record(saved, chronology=["train", "test"])
    with pytest.raises(CorruptError, match="chronology"):
        Dataset.load(saved)


def test_an_unknown_order_is_damage(saved):
    change_record(saved, order="by magic")
    with pytest.raises(CorruptError, match="order"):
        Dataset.load(saved)


def test_summary_counts_everything_by_every_reason():
    summary = make_dataset().summary()
    assert summary["interactions"] == 5
    assert (summary["train"], summary["valid"], summary["test"]) == (3, 1, 1)
    assert (summary["users"], summary["items"]) == (2, 3)
    assert tuple(summary["dropped"]) == DROP_REASONS
    assert summary["dropped"]["duplicate"] == 3


def test_histories_are_concatenated_oldest_first():
    dataset = make_dataset()
    assert dataset.known.of(0).tolist() == [2, 0, 1]
    assert dataset.train_and_valid.of(1).tolist() == [1, 0]


def test_titles_fall_back_to_ids():
    assert make_dataset().titles([2, 1]) == ["Z", "y"]
    assert make_dataset(item_table=pa.table({"id": ["x", "y", "z"]})).titles([0]) == ["x"]


@pytest.mark.parametrize(
    "change",
    [
        {"order": "none"},
        {"setting": "noisy"},
        {"user_ids": IdMap(["007", "Ä, c"])},
        {"user_ids": IdMap(["007Ä", ", b"])},
        {"item_table": pa.table({"id": ["x", "y", "z"], "title": ["X", "", "Z"]})},
        {"item_table": pa.table({"id": ["x", "y", "z"]})},
        {"train": Sequences.from_rows(np.array([0, 0, 1]), np.array([0, 2, 1]), 2)},
    ],
)
def test_content_hash_changes_with_content(change):
    assert make_dataset(**change).content_hash != make_dataset().content_hash


def test_content_hash_is_of_content_alone():
    chunked = pa.table({"id": pa.chunked_array([["x"], ["y", "z"]]), "title": ["X", None, "Z"]})
    same = make_dataset(name="other", source={}, dropped={}, item_table=chunked)
    assert same.content_hash == make_dataset().content_hash


def test_variants_that_need_an_order_are_refused_without():
    make_dataset().require_order("t")
    with pytest.raises(DataError) as caught:
        make_dataset(order="none").require_order("lt")
    assert "--time-col" in caught.value.fix


@pytest.mark.parametrize("name", ["train_indptr.npy", "users.parquet", "items.parquet"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "garbage"])
def test_damaged_files_are_told_and_never_loaded(saved, name, damage):
    path = saved / name
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:40] if damage == "truncated" else b"garbage" * 20)
    with pytest.raises(CorruptError) as caught:
        Dataset.load(saved)
    assert str(saved) in caught.value.what
    assert caught.value.fix


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"kind": "model", "schema_version": 1}'])
def test_damaged_record_is_told(saved, content):
    (saved / "dataset.json").write_bytes(content)
    with pytest.raises(CorruptError, match=r"dataset\.json"):
        Dataset.load(saved)


@pytest.mark.parametrize(
    "source",
    [
        {"updates": "abc"},
        {"updates": [{}]},
        {"updates": [{"file": 1}]},
        {"files": [1, 2]},
        {"files": None},
        {"read": "abc"},
        {"read": {"sep": 5}},
        {"read": {"encoding": None}},
        {"split": {"ratios": ["7"]}},
        {"split": {"min_rating": "4"}},
        {"item_features": {}},
    ],
)
def test_a_source_of_another_shape_is_damage(saved, source):
    change_record(saved, source=source)
    for read in (read_summary, Dataset.load):
        with pytest.raises(CorruptError, match="source"):
            read(saved)


def test_a_source_may_lack_anything_and_have_more(saved):
    by_programs = {
        "read": {"user_col": 1, "header": 0, "time_col": None},
        "split": {"min_user_interactions": 2.0, "min_rating": True, "ratios": [7, 1, 2]},
    }
    told = {"read": {"sep": "::", "colour": 1}, "split": {"min_rating": 4}}
    for source in ({}, told, by_programs):
        change_record(saved, source={**source, "told_by": ["me"]})
        assert Dataset.load(saved).source == {**source, "told_by": ["me"]}


FIELDS = ("dataset", "setting", "users", "train", "dropped", "order", "content_hash", "source")


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", [None, "missing", 1.5, [], {"duplicate": "3"}, True])
def test_a_record_without_a_field_or_with_another_type_is_damage(saved, field, value):
    path = saved / "dataset.json"
    record = json.loads(path.read_bytes())
    record[field] = value
    if value == "missing":
        del record[field]
    path.write_text(json.dumps(record))
    if (field, value) == ("source", {"duplicate": "3"}):
        Dataset.load(saved)  # of the right type after all
        return
    for read in (read_summary, Dataset.load):
        with pytest.raises(CorruptError, match=field):
            read(saved)


def test_a_record_nested_without_end_is_damage(saved):
    (saved / "dataset.json").write_bytes(b"[" * 100_000)
    with pytest.raises(CorruptError):
        read_summary(saved)


@pytest.mark.parametrize("name", ["users.parquet", "items.parquet"])
@pytest.mark.parametrize(
    "ids", [[b"a", b"\xff", b"c"], [b"a", None, b"c"], [b"a\xc3", b"\xa4", b"c"]]
)
def test_ids_that_are_no_text_are_damage(saved, name, ids):
    ids = ids[: 2 if name == "users.parquet" else 3]
    broken = pa.array(ids, pa.binary()).view(pa.string())
    pq.write_table(pa.table({"id": broken}), saved / name)
    with pytest.raises(CorruptError):
        Dataset.load(saved)


@pytest.mark.parametrize(
    "arrays",
    [
        {"train_indptr": np.array(0)},
        {"train_indptr": np.array([0.0, 2.0, 3.0])},
        {"train_indptr": np.array([0, 4, 3])},
        {"train_indptr": np.array([], np.int64)},
        {"valid_items": np.array([0], np.int64)},
        {"valid_items": np.array([[0]], np.int32)},
        {"test_items": np.array(["a"])},
    ],
)
def test_arrays_that_are_no_rows_of_items_are_damage(saved, arrays):
    for name, array in arrays.items():
        np.save(saved / f"{name}.npy", array)
    written = {path.name: sha256_file(path) for path in saved.glob("*.npy")}
    change_record(saved, arrays=written)
    with pytest.raises(CorruptError):
        Dataset.load(saved)


@pytest.mark.parametrize("name", [f"{p}_{kind}.npy" for p in PARTS for kind in ("indptr", "items")])
def test_any_changed_byte_of_an_array_is_damage(saved, name):
    path = saved / name
    good = path.read_bytes()
    for place in range(len(good)):
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(CorruptError, match=name):
            Dataset.load(saved)


@pytest.mark.parametrize("arrays", [None, [], {}, {"train_items.npy": 1}, {"../x": "y"}])
def test_a_record_without_the_hashes_of_the_arrays_is_damage(saved, arrays):
    change_record(saved, arrays=arrays)
    with pytest.raises(CorruptError):
        Dataset.load(saved)


def test_arrays_are_views_of_files_that_nobody_can_change_by_them(saved):
    before = {path: path.read_bytes() for path in saved.glob("*.npy")}
    for part in Dataset.load(saved).parts.values():
        assert type(part.items) is np.ndarray
        assert not part.items.flags.owndata
        part.items[...] = 0
    assert {path: path.read_bytes() for path in saved.glob("*.npy")} == before


def test_the_archive_of_version_1_is_read_and_its_damage_found(saved):
    arrays = {path.stem: np.load(path) for path in saved.glob("*.npy")}
    for name in arrays:
        (saved / f"{name}.npy").unlink()
    path = saved / "interactions.npz"
    np.savez(path, **arrays)
    change_record(saved, schema_version=1)
    assert Dataset.load(saved).content_hash == make_dataset().content_hash
    content = bytearray(path.read_bytes())
    content[content.index(arrays["train_items"].tobytes())] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptError):
        Dataset.load(saved)


@pytest.mark.parametrize("name", ["users.parquet", "items.parquet"])
def test_any_changed_byte_is_damage_or_another_dataset(saved, name):
    path, rng = saved / name, np.random.default_rng(1)
    good = path.read_bytes()
    for place in rng.choice(len(good), 300):
        path.write_bytes(good[:place] + bytes([rng.integers(256)]) + good[place + 1 :])
        try:
            assert Dataset.load(saved).content_hash
        except CorruptError:
            continue


def test_parts_that_do_not_fit_the_ids_are_damage(saved):
    pq.write_table(pa.table({"id": ["only one"]}), saved / "users.parquet")
    with pytest.raises(CorruptError, match="does not fit"):
        Dataset.load(saved)


@pytest.mark.parametrize("items", [[0, 1, 3], [0, 1, -1]])
def test_items_outside_the_catalogue_are_damage(tmp_path, items):
    train = Sequences.from_rows(np.array([0, 0, 1]), np.array(items), 2)
    dataset = make_dataset(train=train)
    dataset.save(tmp_path)
    with pytest.raises(CorruptError, match="does not fit"):
        Dataset.load(tmp_path)


def test_newer_schema_is_told(saved):
    path = saved / "dataset.json"
    record = json.loads(path.read_bytes())
    path.write_text(json.dumps({**record, "schema_version": SCHEMA_VERSION + 1}))
    with pytest.raises(NewerSchemaError) as caught:
        Dataset.load(saved)
    assert caught.value.exit_code == 6
    assert "upgrade" in caught.value.fix


def test_datasets_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        make_dataset().name = "other"
