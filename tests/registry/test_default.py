"""A version appears and becomes the default in one step."""

import errno
import json
from pathlib import Path

import pytest

from diffrec_cli.errors import StorageError
from diffrec_cli.registry import default as default_model
from diffrec_cli.registry import versions as registry

from . import samples


def default() -> str:
    return registry.resolve(None).record.reference


class Killed(BaseException):
    """No code of the program runs after it."""


def killed_before_it_appears(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def die(*arguments: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(registry, "put_in_place", die)
        with pytest.raises(Killed):
            samples.store(name)


def test_a_kill_before_the_step_leaves_the_old_default(monkeypatch: pytest.MonkeyPatch) -> None:
    samples.store("old")
    killed_before_it_appears(monkeypatch, "new")
    assert default() == "old@1"
    assert samples.store("new").record.reference == "new@1"
    assert default() == "new@1"


def test_a_version_that_is_not_meant_to_be_the_default_does_not_take_a_killed_ones_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    samples.store("old")
    killed_before_it_appears(monkeypatch, "new")
    samples.store("new", make_default=False)
    assert default() == "old@1"


def test_a_full_disk_stores_no_version_that_is_not_told_of(
    isolated_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples.store("old")

    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(default_model, "write_atomically", full)
        with pytest.raises(StorageError, match="no space left"):
            samples.store("new")
    assert [model.reference for model in registry.list_models()] == ["old@1"]
    assert default() == "old@1"


def test_a_renamed_default_stays_it(monkeypatch: pytest.MonkeyPatch) -> None:
    samples.store("old")
    samples.store("other", make_default=False)
    registry.rename("old", "new")
    assert default() == "new@1"


def test_a_model_of_the_future_is_not_the_newest() -> None:
    samples.store("honest")
    forged = samples.store("forged", make_default=False)
    record = json.loads((forged.path / "model.json").read_text())
    (forged.path / "model.json").write_text(json.dumps({**record, "created": "9999-01-01"}))
    samples.store("newest", make_default=False)
    registry.set_default("honest")
    registry.remove("honest")
    assert default() == "newest@1"
    registry.remove("newest")
    assert default() == "forged@1"
