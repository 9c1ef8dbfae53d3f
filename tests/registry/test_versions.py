import errno
import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from diffrec_cli import registry
from diffrec_cli.config import FitConfig
from diffrec_cli.errors import (
    CorruptError,
    LockedError,
    NewerSchemaError,
    NotFoundError,
    StorageError,
    UsageError,
)
from diffrec_cli.files import _host
from diffrec_cli.holds import hold
from diffrec_cli.registry import versions

from . import samples

DATA = (
    "data/dataset.json",
    "data/items.parquet",
    "data/test_indptr.npy",
    "data/test_items.npy",
    "data/train_indptr.npy",
    "data/train_items.npy",
    "data/users.parquet",
    "data/valid_indptr.npy",
    "data/valid_items.npy",
)


def references():
    return [model.reference for model in registry.list_models()]


def default():
    return [model.reference for model in registry.list_models() if model.default]


def edit_record(artifact, **changes):
    path = artifact.path / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


class TestPublishing:
    def test_what_was_published_is_what_is_loaded(self):
        published = samples.store()
        artifact = registry.resolve("ml@1")

        assert artifact == published
        assert artifact.record.reference == "ml@1"
        assert artifact.config() == FitConfig()
        assert artifact.dataset().content_hash == samples.dataset().content_hash
        assert artifact.epoch_log() == [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": None}]
        weights = artifact.weights()
        assert weights.keys() == samples.WEIGHTS.keys()
        for name, array in samples.WEIGHTS.items():
            assert weights[name].dtype == array.dtype
            np.testing.assert_array_equal(weights[name], array, strict=True)

    def test_the_record_is_filled_in(self):
        record = samples.store().record
        assert record.created.endswith("+00:00")
        assert record.dataset["content_hash"] == samples.dataset().content_hash
        assert record.dataset["interactions"] == 5
        assert "numpy" in record.packages
        assert sorted(record.files) == [
            *DATA,
            "epochs.jsonl",
            "weights.safetensors",
        ]

    def test_transposed_weights_are_stored_as_they_are_seen(self):
        weights = {"w": np.arange(6.0).reshape(2, 3).T}
        registry.publish(samples.record(), weights, samples.dataset(), [])
        np.testing.assert_array_equal(registry.resolve("ml").weights()["w"], weights["w"])

    def test_weights_are_views_of_the_file_that_nobody_can_change_it_by(self):
        artifact = samples.store()
        before = (artifact.path / "weights.safetensors").read_bytes()
        weights = artifact.weights()
        for array in weights.values():
            assert not array.flags.owndata
            array[...] = 0
        assert (artifact.path / "weights.safetensors").read_bytes() == before
        registry.remove("ml")  # what is mapped may be removed, and stays readable
        assert all(not array.any() for array in weights.values())

    def test_versions_count_up_per_name_and_a_gap_is_not_filled(self):
        for name in ("ml", "ml", "other", "ml"):
            samples.store(name)
        registry.remove("ml@2")
        samples.store("ml")
        assert references() == ["ml@1", "ml@3", "ml@4", "other@1"]

    def test_the_last_fit_is_the_default(self):
        samples.store("b")
        samples.store("a")
        assert registry.resolve(None).record.reference == "a@1"
        samples.store("b")
        assert registry.resolve().record.reference == "b@2"
        assert default() == ["b@2"]

    @pytest.mark.parametrize("name", ["", "a/b", "../x", ".hidden", "a@1", "default.json"])
    def test_an_impossible_name_is_refused(self, name):
        with pytest.raises(UsageError):
            samples.store(name)

    @pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
    def test_who_may_read_one_file_may_read_all(self, home):
        files = [path for path in samples.store().path.rglob("*") if path.is_file()]
        assert len({stat.S_IMODE(path.stat().st_mode) for path in files}) == 1

    def test_nothing_temporary_stays_behind(self, home):
        samples.store()
        assert not list((home / "models").glob(".incoming-*"))

    def test_what_a_kill_left_is_swept_and_what_is_at_work_is_not(self, home):
        left, used = (home / f"models/.incoming-{_host()}{digit * 8}" for digit in "12")
        left.mkdir(parents=True)
        used.mkdir()
        held = hold(used)
        samples.store()
        assert held is not None
        assert not left.exists()
        assert used.exists()
        assert references() == ["ml@1"]

    def test_concurrent_publishes_get_versions_of_their_own(self):
        threads = [threading.Thread(target=samples.store) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(references()) == [f"ml@{v}" for v in range(1, 9)]
        assert all(registry.verify(reference).sound for reference in references())


class TestRefusals:
    def test_a_held_lock_is_an_error_that_says_so_and_leaves_nothing(self, home):
        samples.store()
        with FileLock(home / "models/.lock"):
            with pytest.raises(LockedError) as caught:
                samples.store(timeout=0.05)
            for change in (
                lambda: registry.remove("ml", timeout=0.05),
                lambda: registry.rename("ml", "x", timeout=0.05),
                lambda: registry.set_default("ml", timeout=0.05),
            ):
                with pytest.raises(LockedError):
                    change()
            assert registry.resolve("ml").weights()  # readers need no lock
        assert caught.value.exit_code == 6
        assert "again" in caught.value.fix
        assert references() == ["ml@1"]
        assert not list((home / "models").glob(".incoming-*"))

    def test_a_home_that_cannot_be_written_is_a_storage_error(self, tmp_path, monkeypatch):
        (tmp_path / "file").write_text("not a directory")
        monkeypatch.setenv("DIFFREC_HOME", str(tmp_path / "file/home"))
        with pytest.raises(StorageError, match="cannot write"):
            samples.store()
        assert references() == []
        with pytest.raises(NotFoundError):
            registry.resolve(None)

    @pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
    def test_a_home_that_cannot_be_read_is_a_storage_error(self, home):
        samples.store()
        (home / "models").chmod(0)
        try:
            with pytest.raises(StorageError):
                registry.list_models()
        finally:
            (home / "models").chmod(0o700)

    def test_a_full_disk_is_named_although_the_weights_library_hides_it(self, home, monkeypatch):
        import safetensors.numpy
        from safetensors import SafetensorError

        def full(*_):
            raise SafetensorError("I/O error: No space left on device (os error 28)")

        monkeypatch.setattr(safetensors.numpy, "save_file", full)
        with pytest.raises(StorageError, match="no space left"):
            samples.store()
        assert not list((home / "models").glob(".incoming-*"))

    @pytest.mark.parametrize("operation", ["write_bytes", "write_text", "replace", "mkdir"])
    def test_a_disk_that_fills_up_at_any_point_leaves_earlier_versions(
        self, home, monkeypatch, operation
    ):
        samples.store()

        def full(*_, **__):
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(Path, operation, full)
            with pytest.raises(StorageError, match="no space left"):
                samples.store()
        assert references() == ["ml@1"]
        assert registry.verify("ml").sound
        assert not list((home / "models").glob(".incoming-*"))


class TestReferences:
    def test_a_name_means_its_highest_version(self):
        for _ in range(11):  # 11 comes before 2 as text
            samples.store()
        assert registry.resolve("ml").record.version == 11
        assert registry.resolve("ml@latest").record.version == 11
        assert registry.resolve("ml@2").record.version == 2

    @pytest.mark.parametrize(
        "reference", ["a@b@c", "x@0", "x@abc", "x@", "@1", "x@-1", "x@01", "x@1.0", "", "x@1 "]
    )
    def test_a_malformed_reference_is_a_usage_error(self, reference):
        samples.store("x")
        for use in (registry.resolve, registry.remove, registry.set_default, registry.verify):
            with pytest.raises(UsageError):
                use(reference)
        assert references() == ["x@1"]

    def test_an_unknown_name_is_not_found_and_similar_ones_are_named(self):
        samples.store("ml1m-base")
        samples.store("yelp")
        with pytest.raises(NotFoundError, match="ml1m-bsae") as caught:
            registry.resolve("ml1m-bsae")
        assert "ml1m-base" in caught.value.fix
        assert "yelp" not in caught.value.fix
        assert caught.value.exit_code == 4

    def test_an_unknown_version_is_not_found_and_the_others_are_named(self):
        samples.store()
        samples.store()
        with pytest.raises(NotFoundError, match="no version 3") as caught:
            registry.resolve("ml@3")
        assert caught.value.fix == "it has: 1, 2"

    def test_without_any_model_the_fix_is_to_fit_one(self):
        with pytest.raises(NotFoundError) as caught:
            registry.resolve(None)
        assert "diffrec fit" in caught.value.fix


class TestSighted:
    def test_the_default_a_name_or_a_version_as_it_is_now(self):
        samples.store("a")
        samples.store("a")
        samples.store("b")
        assert versions.sighted(None).reference == "b@1"
        assert versions.sighted("a").reference == "a@2"
        assert versions.sighted("a@1").reference == "a@1"

    def test_files_that_were_replaced_make_another_sighting_of_the_same_version(self):
        samples.store()
        before = versions.sighted("ml")
        assert versions.sighted("ml") == before
        edit_record(registry.resolve("ml"), created="2999-01-01T00:00:00+00:00")
        after = versions.sighted("ml")
        assert after.key == before.key
        assert after != before

    def test_what_was_removed_is_gone_and_no_other_takes_its_place(self):
        samples.store("a")
        samples.store("b")
        registry.remove("b")
        assert versions.sighted(None) is None
        assert versions.sighted("b") is None
        assert versions.sighted("a@2") is None
        assert registry.resolve(None).record.reference == "a@1"


class TestDefault:
    def test_it_can_be_set(self):
        samples.store("a")
        samples.store("b")
        assert registry.set_default("a").record.reference == "a@1"
        assert default() == ["a@1"]

    def test_it_cannot_be_a_model_that_is_not_there(self):
        samples.store()
        with pytest.raises(NotFoundError):
            registry.set_default("nothing")
        assert default() == ["ml@1"]

    def test_a_dangling_pointer_falls_back_to_the_default_before_then_to_the_newest(self, home):
        for name in ("b", "z", "a", "gone"):
            samples.store(name)
        edit_record(registry.resolve("z"), created="2009-01-01T00:00:00+00:00")
        os.rename(home / "models/gone", home / "gone")  # noqa: PTH104 (behind our back)
        assert registry.resolve(None).record.reference == "a@1"
        os.rename(home / "models/a", home / "a")  # noqa: PTH104
        assert registry.resolve(None).record.reference == "b@1"
        assert default() == ["b@1"]

    @pytest.mark.parametrize(
        "content",
        ["", "[]", "{}", '{"kind": "default-model", "schema_version": 1, "name": "ml"}',
         '{"kind": "default-model", "schema_version": 1, "name": "../..", "version": 1}'],
    )  # fmt: skip
    def test_a_damaged_pointer_is_as_good_as_none(self, home, content):
        samples.store()
        (home / "models/default.json").write_text(content)
        assert registry.resolve(None).record.reference == "ml@1"

    def test_a_version_that_takes_the_number_of_a_removed_default_does_not_inherit_it(
        self, tmp_path
    ):
        samples.store("a")
        samples.store("b")
        exported = registry.export("b", tmp_path)
        samples.store("b")
        registry.set_default("b@2")
        registry.remove("b@2")
        registry.set_default("a")
        registry.import_(exported)
        assert default() == ["a@1"]


class TestListing:
    def test_it_is_empty_without_a_home(self):
        assert registry.list_models() == []

    def test_it_gives_sizes_records_and_the_default(self):
        artifact = samples.store()
        (listed,) = registry.list_models()
        assert listed.record == artifact.record
        assert listed.default
        assert listed.error is None
        assert listed.size == sum(
            path.stat().st_size for path in artifact.path.rglob("*") if path.is_file()
        )

    @pytest.mark.parametrize(
        "content",
        [b"", b"{", b"\xff\xfe", b"[1]", b'{"kind": "dataset", "schema_version": 1}',
         b'{"kind": "model", "schema_version": 99}', b'{"kind": "model", "schema_version": 1}'],
    )  # fmt: skip
    def test_a_damaged_version_is_flagged_and_the_others_are_listed(self, content):
        samples.store()
        broken = samples.store()
        (broken.path / "model.json").write_bytes(content)
        good, bad = registry.list_models()
        assert (good.reference, good.error) == ("ml@1", None)
        assert (bad.reference, bad.record) == ("ml@2", None)
        assert "model.json" in bad.error

    def test_a_version_without_a_record_is_flagged(self, home):
        (home / "models/odd/7").mkdir(parents=True)
        (listed,) = registry.list_models()
        assert listed.reference == "odd@7"
        assert listed.error

    def test_what_is_no_model_is_not_listed(self, home):
        samples.store()
        for stranger in (".incoming-1/1", "my model/1", "ml/0", "ml/x", "empty"):
            (home / "models" / stranger).mkdir(parents=True)
        (home / "models/notes.txt").write_text("hello")
        (home / "models/ml/3").write_text("a file")
        assert references() == ["ml@1"]


class TestRemoving:
    def test_one_version_or_all_of_them(self, home):
        for _ in range(3):
            samples.store()
        assert registry.covered_by("ml@latest") == ["ml@3"]
        assert registry.remove("ml@1") == ["ml@1"]
        assert registry.remove("ml@latest") == ["ml@3"]
        samples.store()
        assert registry.covered_by("ml") == ["ml@2", "ml@3"]
        assert registry.remove("ml") == ["ml@2", "ml@3"]
        assert sorted(path.name for path in (home / "models").iterdir()) == [".lock"]

    def test_a_damaged_version_can_be_removed(self):
        broken = samples.store()
        (broken.path / "model.json").unlink()
        registry.remove("ml@1")
        assert references() == []

    def test_what_is_not_there_is_not_found(self):
        samples.store()
        for reference in ("ml@2", "mm"):
            with pytest.raises(NotFoundError):
                registry.remove(reference)


class TestRenaming:
    def test_all_versions_move_and_the_default_follows(self):
        samples.store("old")
        samples.store("old")
        registry.set_default("old@1")
        registry.rename("old", "new")
        assert references() == ["new@1", "new@2"]
        assert registry.resolve(None).record.reference == "new@1"
        assert registry.verify("new@2").sound

    def test_a_taken_name_is_refused(self):
        samples.store("a")
        samples.store("b")
        for new in ("b", "a"):
            with pytest.raises(UsageError, match="exists"):
                registry.rename("a", new)
        assert references() == ["a@1", "b@1"]

    def test_an_empty_directory_of_a_killed_process_is_no_obstacle(self, home):
        samples.store("a")
        (home / "models/b").mkdir()
        registry.rename("a", "b")
        assert references() == ["b@1"]

    def test_an_unknown_or_impossible_name_is_refused(self):
        samples.store("a")
        with pytest.raises(NotFoundError):
            registry.rename("b", "c")
        for old, new in (("a", "x/y"), ("a@1", "b"), ("a", "default.json")):
            with pytest.raises(UsageError):
                registry.rename(old, new)


class TestVerifying:
    def test_a_sound_model_has_every_file_checked(self):
        samples.store()
        result = registry.verify("ml")
        assert result.sound
        assert [check.path for check in result.checks] == [
            *DATA,
            "epochs.jsonl",
            "model.json",
            "weights.safetensors",
        ]
        result.require_ok()

    @pytest.mark.parametrize("file", ["weights.safetensors", "epochs.jsonl", "data/test_items.npy"])
    def test_a_changed_byte_is_found(self, file):
        path = samples.store().path / file
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        result = registry.verify("ml")
        assert [c.path for c in result.checks if c.problem == "its content has changed"] == [file]
        with pytest.raises(CorruptError, match=file):
            result.require_ok()

    def test_missing_short_and_foreign_files_are_found(self):
        path = samples.store().path
        (path / "epochs.jsonl").unlink()
        (path / "weights.safetensors").write_bytes(b"12345")
        (path / "data/extra").write_text("x")
        problems = {c.path: c.problem for c in registry.verify("ml").checks}
        assert problems["epochs.jsonl"] == "missing"
        assert problems["weights.safetensors"].startswith("5 bytes instead of")
        assert problems["data/extra"] == "does not belong to the model"

    def test_the_verdict_is_plain_values_for_json(self):
        path = samples.store().path
        (path / "epochs.jsonl").unlink()
        verdict = registry.verify("ml").to_dict()
        assert (verdict["model"], verdict["sound"]) == ("ml@1", False)
        assert verdict["files"][0] == {
            "path": "data/dataset.json",
            "ok": True,
            "found": "as written",
        }
        assert {"path": "epochs.jsonl", "ok": False, "found": "missing"} in verdict["files"]

    def test_files_as_written_are_also_loaded(self):
        another = {"dataset": "tiny", "content_hash": "0" * 64}
        edit_record(samples.store(), config={"diffusion": {"T": 0}}, dataset=another)
        problems = {c.path: c.problem for c in registry.verify("ml").checks}
        assert "T = 0" in problems["model.json"]
        assert "not the dataset" in problems["data/dataset.json"]
        assert problems["weights.safetensors"] is None

    def test_a_record_that_does_not_list_the_weights_does_not_pass_without_them(self):
        artifact = samples.store()
        files = artifact.record.to_dict()["files"]
        del files["weights.safetensors"]
        edit_record(artifact, files=files)
        (artifact.path / "weights.safetensors").unlink()
        with pytest.raises(CorruptError, match=r"weights\.safetensors: missing"):
            registry.verify("ml").require_ok()


class TestDamage:
    def test_a_newer_schema_says_upgrade(self):
        edit_record(samples.store(), schema_version=2)
        with pytest.raises(NewerSchemaError) as caught:
            registry.resolve("ml")
        assert "upgrade" in caught.value.fix

    @pytest.mark.parametrize("size", [0, 4, 8, 60, -1])
    def test_truncated_weights_are_corrupt(self, size):
        artifact = samples.store()
        path = artifact.path / "weights.safetensors"
        path.write_bytes(path.read_bytes()[:size])
        with pytest.raises(CorruptError, match=r"weights\.safetensors"):
            artifact.weights()

    def test_a_pickle_in_the_place_of_weights_is_never_read(self):
        import pickle

        artifact = samples.store()
        (artifact.path / "weights.safetensors").write_bytes(pickle.dumps({"a": 1}))
        with pytest.raises(CorruptError):
            artifact.weights()

    @pytest.mark.parametrize(
        "content", [b"{", b"\xff", b'{"epoch": 1}\nx', b"[]", b"3", b'{"a": 1}', b'{"epoch": "x"}']
    )
    def test_a_damaged_epoch_log_is_corrupt(self, content):
        artifact = samples.store()
        (artifact.path / "epochs.jsonl").write_bytes(content)
        with pytest.raises(CorruptError, match=r"epochs\.jsonl"):
            artifact.epoch_log()

    @pytest.mark.parametrize(
        "config", [{"diffusion": {"T": -1}}, {"diffusion": {"unknown": 1}}, {"training": [1]}]
    )
    def test_settings_that_this_version_does_not_know_are_corrupt(self, config):
        edit_record(samples.store(), config=config)
        with pytest.raises(CorruptError):
            registry.resolve("ml").config()


CRASHES = Path(__file__).with_name("killed_publisher.py")


@pytest.mark.skipif(os.name == "nt", reason="needs fork and SIGKILL")
@pytest.mark.parametrize("how", ["at-every-file-operation", "at-any-moment"])
def test_sigkill_leaves_earlier_versions_intact_and_lists_nothing_half_written(home, how):
    samples.store()
    source = Path(registry.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, str(CRASHES), how],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(source)},
    )
    assert done.returncode == 0, done.stderr
    kills = int(done.stdout)
    assert kills >= 5

    listed = registry.list_models()
    assert [model.version for model in listed] == list(range(1, len(listed) + 1))
    assert all(model.error is None for model in listed)
    assert all(registry.verify(model.reference).sound for model in listed)
    weights = {(model.path / "weights.safetensors").stat().st_ino for model in listed}
    assert len(weights) == 1  # which is that of the first
    assert registry.resolve(None).record.version in range(1, len(listed) + 1)
    # And the lock of a dead process holds nobody up.
    assert samples.store(timeout=1).record.version == len(listed) + 1
