"""Old versions go; the newest, the default, damaged ones and those that are read stay."""

import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from diffrec_cli import registry
from diffrec_cli.errors import LockedError, NotFoundError, UsageError
from diffrec_cli.files import directory_size

from . import samples

DAY = 86_400.0


def store(count):
    for _ in range(count):
        samples.store()


def left():
    return [model.version for model in registry.list_models()]


def removed(pruned):
    return [one.model for one in pruned.removed]


def reasons(pruned):
    return {one.model: one.why for one in pruned.kept}


def dated(reference, created):
    """Change when a version was stored, as its record says."""
    path = registry.resolve(reference).path / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"created": created}))


def days_ago(days):
    return (datetime.now(UTC) - timedelta(days=days)).isoformat()


def test_all_but_the_newest_go_oldest_first():
    store(5)
    pruned = registry.prune("ml", 2)
    assert removed(pruned) == ["ml@1", "ml@2", "ml@3"]
    assert reasons(pruned) == {"ml@4": "of the newest 2", "ml@5": "the default"}
    assert left() == [4, 5]
    assert registry.verify("ml@4").sound


def test_the_default_stays_however_old():
    store(4)
    registry.set_default("ml@1")
    pruned = registry.prune("ml", 1)
    assert removed(pruned) == ["ml@2", "ml@3"]
    assert reasons(pruned) == {"ml@1": "the default", "ml@4": "of the newest 1"}


def test_the_newest_is_the_default_if_none_was_set(home):
    store(3)
    (home / "models/default.json").unlink()
    for older in ("ml@1", "ml@3"):
        dated(older, days_ago(9))
    registry.prune("ml", 1)
    assert left() == [2, 3]


def test_a_version_goes_only_if_it_is_also_old_enough():
    store(5)
    for version, days in enumerate((40, 31, 29, 50), start=1):
        dated(f"ml@{version}", days_ago(days))
    pruned = registry.prune("ml", 2, 30 * DAY)
    assert removed(pruned) == ["ml@1", "ml@2"]
    assert reasons(pruned)["ml@3"] == "not that old"
    assert reasons(pruned)["ml@4"] == "of the newest 2"  # however old


def test_a_version_of_unknown_age_stays_if_age_counts():
    store(3)
    dated("ml@1", "last week")
    assert reasons(registry.prune("ml", 1, DAY))["ml@1"] == "of unknown age"
    assert removed(registry.prune("ml", 1)) == ["ml@1", "ml@2"]


def test_damaged_versions_stay_and_do_not_count_as_newest():
    store(4)
    registry.set_default("ml@1")
    (registry.resolve("ml@4").path / "model.json").write_text("{")
    pruned = registry.prune("ml", 1)
    assert removed(pruned) == ["ml@2"]
    assert reasons(pruned)["ml@3"] == "of the newest 1"
    assert "damaged" in reasons(pruned)["ml@4"]


def test_other_names_are_not_touched():
    store(2)
    samples.store("ml2")
    samples.store("ml2")
    registry.prune("ml", 1)
    assert [model.reference for model in registry.list_models()] == ["ml@2", "ml2@1", "ml2@2"]


def test_what_is_freed_is_what_nothing_else_has(home):
    store(4)  # all four share everything but their records
    before = directory_size(home / "models")
    sizes = [(registry.resolve(f"ml@{v}").path / "model.json").stat().st_size for v in (1, 2)]
    pruned = registry.prune("ml", 2)
    assert [one.freed_bytes for one in pruned.removed] == sizes
    assert directory_size(home / "models") == before - pruned.freed_bytes


def test_a_file_is_freed_with_the_last_version_that_has_it(home):
    small = {"scale": samples.WEIGHTS["scale"]}
    for weights in (small, samples.WEIGHTS, small, samples.WEIGHTS):
        registry.publish(samples.record(), weights, samples.dataset(), samples.EPOCH_LOG)
    records = [(home / f"models/ml/{v}/model.json").stat().st_size for v in (1, 2, 3)]
    scale = (home / "models/ml/1/weights.safetensors").stat().st_size
    before = directory_size(home / "models")
    pruned = registry.prune("ml", 1)
    freed = [one.freed_bytes for one in pruned.removed]
    assert freed == [records[0], records[1], records[2] + scale]
    assert directory_size(home / "models") == before - sum(freed)


def test_looking_changes_nothing():
    store(3)
    found = registry.prunable("ml", 1)
    assert found.dry_run
    assert left() == [1, 2, 3]
    assert removed(found) == removed(registry.prune("ml", 1))


def test_only_what_was_agreed_to_goes():
    store(3)
    pruned = registry.prune("ml", 1, only={"ml@1"})
    assert removed(pruned) == ["ml@1"]
    assert reasons(pruned)["ml@2"] == "old only now"


@pytest.mark.parametrize("keep", [0, -1])
def test_something_must_be_kept(keep):
    store(1)
    with pytest.raises(UsageError, match="at least 1"):
        registry.prune("ml", keep)


def test_a_model_that_is_not_there_is_not_found():
    store(1)
    with pytest.raises(NotFoundError):
        registry.prune("nl", 1)
    with pytest.raises(UsageError):
        registry.prune("ml@1", 1)


def test_a_locked_registry_is_left_alone():
    from filelock import FileLock

    from diffrec_cli.paths import models_dir

    store(3)
    with FileLock(models_dir() / ".lock"), pytest.raises(LockedError):
        registry.prune("ml", 1, timeout=0.05)
    assert left() == [1, 2, 3]
    assert not list(models_dir().glob(".incoming-*"))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no shared locks of files")
class TestReaders:
    def test_what_is_read_stays_until_it_is_not(self):
        store(3)
        artifact = registry.resolve("ml@1")
        pruned = registry.prune("ml", 1)
        assert removed(pruned) == ["ml@2"]
        assert reasons(pruned)["ml@1"] == "in use: another process reads it"
        assert artifact.dataset().n_users == 2
        del artifact
        assert removed(registry.prune("ml", 1)) == ["ml@1"]

    def test_listing_and_verifying_hold_nothing(self):
        store(3)
        listed = registry.list_models()
        registry.verify("ml@1")
        assert removed(registry.prune("ml", 1)) == ["ml@1", "ml@2"]
        assert len(listed) == 3

    def test_who_asks_for_a_version_that_goes_is_told_so(self):
        store(2)
        registry.prune("ml", 1)
        with pytest.raises(NotFoundError, match="no version 1"):
            registry.resolve("ml@1")

    def test_a_removal_on_purpose_is_told_from_damage(self):
        store(2)
        artifact = registry.resolve("ml@1")
        registry.remove("ml@1")
        for read in (artifact.dataset, artifact.weights, artifact.epoch_log):
            with pytest.raises(NotFoundError, match="ml@1 was removed or renamed"):
                read()

    def test_readers_that_race_with_prunings_read_all_or_find_nothing(self):
        """Four readers take versions at random while eight versions come and the old ones go."""
        store(1)
        done, faults, read = threading.Event(), [], []

        def reads():
            while not done.is_set():
                for version in left()[:2]:
                    try:
                        artifact = registry.resolve(f"ml@{version}")
                    except NotFoundError:
                        continue  # it went before it was asked for
                    try:
                        assert artifact.dataset().n_users == 2
                        assert artifact.weights().keys() == samples.WEIGHTS.keys()
                        read.append(version)
                    except Exception as error:
                        faults.append(error)
                    del artifact

        readers = [threading.Thread(target=reads) for _ in range(4)]
        for reader in readers:
            reader.start()
        for _ in range(8):
            samples.store()
            registry.prune("ml", 1)
        done.set()
        for reader in readers:
            reader.join()
        assert faults == []
        assert len(read) >= 8
        registry.prune("ml", 1)
        assert left() == [9]


KILLED = Path(__file__).with_name("killed_pruner.py")


@pytest.mark.skipif(os.name == "nt", reason="needs fork and SIGKILL")
def test_sigkill_leaves_every_version_whole_or_gone(home):
    source = Path(registry.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, str(KILLED)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(source)},
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 5  # kills
    assert len(left()) == 1
