"""The model in memory is the registry's; a change drops no request, and a fault changes nothing."""

import asyncio
import shutil
import sys
from collections.abc import Callable

import pytest

from diffrec_cli import workflows
from diffrec_cli.paths import models_dir
from diffrec_cli.registry import versions as registry
from diffrec_cli.workflows.http import following as module
from diffrec_cli.workflows.http.following import Following
from diffrec_cli.workflows.http.metrics import Metrics
from diffrec_cli.workflows.progress import Event, Fault, Note
from diffrec_cli.workflows.serving.model_in_memory import Ask, Wanted
from tests.workflows.conftest import Fit


@pytest.fixture
def follow(told: list[Event]) -> Callable[..., Following]:
    return lambda reference=None: Following(reference, Metrics(), told.append)


def look(following: Following) -> str:
    """Look at the registry once, and return the model in memory."""
    asyncio.run(following.look())
    return following.model.reference


def test_a_new_default_takes_the_old_ones_place(
    fit: Fit, follow: Callable[..., Following], told: list[Event]
) -> None:
    first = fit("ease")
    following = follow()
    assert look(following) == first
    second = fit("ease")
    assert look(following) == second
    assert told == [Note(f"{second} takes the place of {first}")]
    registry.set_default(first)
    assert look(following) == first


def test_a_name_means_its_newest_version_and_a_version_itself(
    fit: Fit, follow: Callable[..., Following]
) -> None:
    first = fit("ease")
    by_name, by_version = follow(first.partition("@")[0]), follow(first)
    fit("itemknn")  # the default now
    second = fit("ease")
    assert (look(by_name), look(by_version)) == (second, first)


def test_nothing_is_read_again_while_nothing_changes(
    fit: Fit, follow: Callable[..., Following]
) -> None:
    fit("ease")
    following = follow()
    model = following.model
    look(following)
    assert following.model is model


def test_a_model_that_cannot_be_loaded_leaves_the_old_one_and_is_told_once(
    fit: Fit, follow: Callable[..., Following], told: list[Event]
) -> None:
    first = fit("ease")
    following = follow()
    second = fit("ease")
    weights = registry.resolve(second).path / "weights.safetensors"
    good = weights.read_bytes()
    weights.write_bytes(b"damaged")
    assert look(following) == look(following) == first
    assert following.problem == f"{second} cannot be loaded; the log tells why"
    (fault,) = told
    assert isinstance(fault, Fault)
    assert f"{second} cannot be loaded, {first} stays" in fault.text
    assert "weights.safetensors" in fault.text
    weights.write_bytes(good)
    following._again = 0.0  # a minute later
    assert look(following) == second
    assert following.problem is None


def test_a_newer_version_is_not_made_to_wait_for_one_that_failed(
    fit: Fit, follow: Callable[..., Following]
) -> None:
    fit("ease")
    following = follow()
    (registry.resolve(fit("ease")).path / "weights.safetensors").write_bytes(b"damaged")
    look(following)
    assert look(following) != (third := fit("ease"))
    assert look(following) == third


def test_a_model_that_was_removed_stays_in_memory_and_no_other_takes_its_place(
    fit: Fit, follow: Callable[..., Following], told: list[Event]
) -> None:
    fit("itemknn")
    model = fit("ease")
    following = follow()
    registry.remove(model)
    assert look(following) == look(following) == model
    (answer,) = following.answers([Ask("u1", (), Wanted(k=2))])
    assert answer.model == model
    assert told == [Fault(f"{model} was removed; it stays in memory")]
    assert following.problem == told[0].text
    again = fit("ease")
    assert look(following) == again
    assert following.problem is None


def test_a_registry_that_cannot_be_read_is_told_of_once(
    fit: Fit,
    follow: Callable[..., Following],
    told: list[Event],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = fit("ease")
    following = follow()

    def fails(reference):
        raise PermissionError("no")

    monkeypatch.setattr(module.registry, "sighted", fails)
    assert look(following) == look(following) == model
    assert len(told) == 1


def test_a_user_who_is_forgotten_is_forgotten_here_too(
    fit: Fit, follow: Callable[..., Following]
) -> None:
    model = fit("ease")
    following = follow()
    workflows.forget(["u1"])
    assert look(following) == model  # the same version, with other files
    (gone, other) = following.answers([Ask(user, (), Wanted(k=2)) for user in ("u1", "u2")])
    assert "unknown user" in str(gone)
    assert other.rows


@pytest.mark.skipif(sys.platform == "win32", reason="needs shared locks of files")
def test_the_version_in_memory_is_not_pruned_and_one_that_was_replaced_is(
    fit: Fit, follow: Callable[..., Following]
) -> None:
    first = fit("ease")
    name = first.partition("@")[0]
    following = follow()
    newest = [fit("ease") for _ in range(2)][-1]
    workflows.prune_model(name, 1)
    assert [model.reference for model in registry.list_models()] == [first, newest]
    assert look(following) == newest
    workflows.prune_model(name, 1)
    assert [model.reference for model in registry.list_models()] == [newest]


def test_without_any_default_the_newest_model_is_served(
    fit: Fit, follow: Callable[..., Following], told: list[Event]
) -> None:
    model = fit("ease")
    (models_dir() / "default.json").unlink()
    following = follow()
    assert look(following) == model
    assert told == []


def test_a_home_that_is_gone_changes_nothing(fit: Fit, follow: Callable[..., Following]) -> None:
    model = fit("ease")
    following = follow()
    shutil.rmtree(models_dir())
    assert look(following) == model
