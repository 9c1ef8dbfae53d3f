import dataclasses
import json

import pytest

from diffrec_cli.errors import CorruptError
from diffrec_cli.registry import FileEntry, ModelRecord
from diffrec_cli.registry.record import finite, package_versions

from . import samples

PUBLISHED = samples.record(
    version=3,
    created="2024-01-02T03:04:05+00:00",
    dataset={"dataset": "tiny", "content_hash": "0" * 64},
    packages={"torch": "2.6"},
    files={"data/items.parquet": FileEntry("f" * 64, 7)},
)


def plain():
    return json.loads(json.dumps(PUBLISHED.to_dict(), allow_nan=False))


def test_a_record_survives_json_and_numbers_that_are_not_finite_become_null():
    values = plain()
    again = ModelRecord.from_dict(values)
    assert again.to_dict() == values
    assert again.reference == "ml@3"
    assert again.training.valid == {"recall@20": 0.125, "ndcg@20": None}
    assert again.files["data/items.parquet"] == FileEntry("f" * 64, 7)


def test_a_record_from_before_models_were_chosen_is_read():
    values = plain()
    del values["choice"]
    assert ModelRecord.from_dict(values).choice == {}


def test_a_record_from_before_warm_starts_is_read():
    values = plain()
    del values["training"]["warm_start"]
    assert ModelRecord.from_dict(values).training.warm_start == {}


def test_keys_of_later_versions_are_ignored():
    values = plain() | {"colour": "red"}
    values["training"]["mood"] = "good"
    assert ModelRecord.from_dict(values).parameters == 16


LATER = {"choice"}  # fields that earlier records lack


@pytest.mark.parametrize("key", sorted({f.name for f in dataclasses.fields(ModelRecord)} - LATER))
def test_a_missing_field_is_corrupt(key):
    values = plain()
    del values[key]
    with pytest.raises(CorruptError, match=key):
        ModelRecord.from_dict(values)


@pytest.mark.parametrize("key", [f.name for f in dataclasses.fields(ModelRecord)])
def test_a_field_of_a_wrong_type_is_corrupt(key):
    with pytest.raises(CorruptError):
        ModelRecord.from_dict(plain() | {key: [True]})


def test_what_lists_and_reports_show_must_be_there():
    for change in (
        {"dataset": {}},
        {"dataset": plain()["dataset"] | {"users": "2"}},
        {"training": plain()["training"] | {"valid": 1}},
    ):
        with pytest.raises(CorruptError):
            ModelRecord.from_dict(plain() | change)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seconds", "x"),
        ("epoch", "x"),
        ("device", ["cpu"]),
        ("stopped", []),
        ("complete", "yes"),
        ("valid", {"recall@20": "high"}),
        ("warm_start", {"model": 5}),
        ("warm_start", {"valid": {"recall@20": []}}),
    ],
)
def test_a_fact_of_training_of_a_wrong_type_is_corrupt(key, value):
    changed = plain() | {"training": plain()["training"] | {key: value}}
    with pytest.raises(CorruptError, match=f"training: {key}"):
        ModelRecord.from_dict(changed)


@pytest.mark.parametrize(
    "path",
    ["../x", "/etc/passwd", "a/../../x", "a//b", "", ".", ".hidden", "a\\b", "C:/x", "a/", "x\n"],
)
def test_a_file_outside_the_directory_is_corrupt(path):
    values = plain() | {"files": {path: {"sha256": "0", "bytes": 1}}}
    with pytest.raises(CorruptError, match="cannot be a file of a model"):
        ModelRecord.from_dict(values)


@pytest.mark.parametrize("size", [-1, 1.5, True, "7", None])
def test_an_impossible_size_is_corrupt(size):
    values = plain() | {"files": {"x": {"sha256": "0", "bytes": size}}}
    with pytest.raises(CorruptError):
        ModelRecord.from_dict(values)


def test_a_name_that_is_a_path_is_corrupt():
    with pytest.raises(CorruptError):
        ModelRecord.from_dict(plain() | {"name": "../up"})


def test_numpy_scalars_become_plain_numbers():
    import numpy as np

    value = {"a": [np.float32(0.5), np.int64(3)], "b": (np.float64("inf"),)}
    assert json.dumps(finite(value)) == '{"a": [0.5, 3], "b": [null]}'


def test_package_versions_name_what_computed_the_model():
    assert "numpy" in package_versions()
