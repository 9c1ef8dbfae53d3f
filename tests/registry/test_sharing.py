"""Equal files of versions are stored once, and each version is whole by itself."""

import dataclasses
import errno
import os
from pathlib import Path

import numpy as np
import pytest

from diffrec_cli import registry
from diffrec_cli.data import store as datasets
from diffrec_cli.files import directory_size

from . import samples

RECORD = "model.json"


def inodes(artifact):
    """Return the number that the file system gives to each file, by path."""
    return {path: (artifact.path / path).stat().st_ino for path in artifact.record.files}


def differing(one, other):
    return {path for path, number in inodes(one).items() if inodes(other).get(path) != number}


def store_with(weights):
    return registry.publish(samples.record(), weights, samples.dataset(), samples.EPOCH_LOG)


def test_the_same_fit_again_takes_the_space_of_its_record_alone(home):
    first = samples.store()
    before = directory_size(home / "models/ml")
    second = samples.store()
    assert differing(first, second) == set()
    record = (second.path / RECORD).stat().st_size
    assert directory_size(home / "models/ml") == before + record
    assert [model.size for model in registry.list_models()] == [
        size_alone(first),
        size_alone(second),
    ]
    assert [model.own for model in registry.list_models()] == [
        (one.path / RECORD).stat().st_size for one in (first, second)
    ]


def size_alone(artifact):
    """Return the size of a version as if it were alone."""
    return sum(path.stat().st_size for path in artifact.path.rglob("*") if path.is_file())


def test_other_weights_of_the_same_data_share_the_data():
    first = samples.store()
    second = store_with({"scale": np.array(3.0, np.float32)})
    assert differing(first, second) == {"weights.safetensors"}
    assert registry.verify("ml@1").sound
    assert registry.verify("ml@2").sound


def test_names_share_too():
    assert differing(samples.store("a"), samples.store("b")) == set()


def test_the_prepared_dataset_is_not_stored_again():
    prepared, _ = datasets.save(samples.dataset())
    artifact = samples.store()
    same = [path for path in prepared.iterdir() if path.stat().st_ino in inodes(artifact).values()]
    assert sorted(path.name for path in same) == sorted(path.name for path in prepared.iterdir())


def test_a_dataset_that_takes_its_place_leaves_the_model_as_it_is():
    datasets.save(samples.dataset())
    artifact = samples.store()
    other = dataclasses.replace(samples.dataset(), test=samples.dataset().valid)
    datasets.save(other, overwrite=True)
    datasets.remove("tiny")
    assert registry.verify("ml").sound
    assert artifact.dataset().content_hash == samples.dataset().content_hash


def test_an_import_shares_with_what_is_there_and_its_archive_needs_nothing(tmp_path, monkeypatch):
    samples.store()
    second = samples.store()
    archive = registry.export("ml@2", tmp_path)
    assert differing(registry.import_(archive), second) == set()
    monkeypatch.setenv("DIFFREC_HOME", str(tmp_path / "another"))
    assert registry.import_(archive).record.reference == "ml@1"
    assert registry.verify("ml@1").sound


def test_a_version_outlives_those_it_shares_with():
    for _ in range(3):
        samples.store()
    registry.remove("ml@1")
    registry.remove("ml@3")
    assert registry.verify("ml@2").sound
    (left,) = registry.list_models()
    assert left.own == left.size


def test_nobody_shares_a_damaged_file():
    first = samples.store()
    (first.path / "weights.safetensors").write_bytes(b"damaged")
    second = samples.store()
    assert differing(first, second) == {"weights.safetensors"}
    assert registry.verify("ml@2").sound


def test_nobody_shares_what_is_itself_a_link_by_name(tmp_path):
    first = samples.store()
    weights = first.path / "weights.safetensors"
    weights.rename(tmp_path / "elsewhere")
    weights.symlink_to(tmp_path / "elsewhere")
    second = samples.store()
    assert not (second.path / "weights.safetensors").is_symlink()
    (tmp_path / "elsewhere").unlink()
    assert registry.verify("ml@2").sound


@pytest.mark.parametrize("error", [errno.EPERM, errno.EMLINK, errno.EXDEV])
def test_without_links_each_version_has_its_own_files(home, monkeypatch, error):
    def refused(*_, **__):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(Path, "hardlink_to", refused)
    first, second = samples.store(), samples.store()
    assert differing(first, second) == set(first.record.files)
    assert all(registry.verify(name).sound for name in ("ml@1", "ml@2"))
    assert not list(home.rglob(".incoming-*"))


def test_an_imported_record_cannot_point_out_of_the_home(home, tmp_path):
    outside = tmp_path / "outside"
    samples.store()
    os.rename(home / "models/ml/1/data", outside)  # noqa: PTH104 (behind our back)
    record = dataclasses.replace(samples.record(), name="evil")
    dataset = dataclasses.replace(samples.dataset(), name="../../outside")
    artifact = registry.publish(record, samples.WEIGHTS, dataset, [])
    assert {path.stat().st_nlink for path in outside.iterdir()} == {1}
    assert registry.verify(artifact.record.reference).sound
