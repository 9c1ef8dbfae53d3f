"""What a fit of item graphs decides for a user, and what it says about it."""

import pytest

from diffrec_cli import memory, workflows
from diffrec_cli.data import store as datasets
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.errors import DeviceError
from diffrec_cli.models.baselines import ease
from diffrec_cli.registry import versions as registry
from diffrec_cli.workflows.progress import EpochDone, Event, Note

QUICK = {"epochs": 3, "batch_size": 10, "dims": (8,), "lr": 5e-3}


@pytest.fixture
def data(checkerboard: Dataset) -> str:
    datasets.save(checkerboard)
    return checkerboard.name


def stored(model: str):
    artifact = registry.resolve(model)
    return artifact.config(), artifact.weights()


def test_what_was_found_on_valid_is_said_and_stored(data, notes, listener) -> None:
    fitted = workflows.fit(data, variant="graph", device="cpu", listener=listener)
    (found,) = (note for note in notes if note.startswith("found on valid: "))
    graph = stored(fitted.model)[0].comparator
    assert f"q_out {graph.q_out}" in found
    assert "weights " + ",".join(map(str, graph.weights)) in found


def test_on_valid_its_figures_carry_a_note(data, notes, listener) -> None:
    model = workflows.fit(data, variant="graph", device="cpu").model
    workflows.evaluate([model], split="test", baselines=["graph"], listener=listener)
    assert not any("flatter" in note for note in notes)
    workflows.evaluate([model], split="valid", baselines=["itemknn"], listener=listener)
    assert [note.split(":")[0] for note in notes if "flatter" in note] == [model, "itemknn"]


def test_a_refit_has_the_weights_of_valid_and_graphs_of_both_parts(data) -> None:
    values = {**QUICK, "neighbours": 5}
    options = {"variant": "base+graph", "values": values, "device": "cpu", "precision": "fp32"}
    config, arrays = stored(workflows.fit(data, **options).model)
    again, refitted = stored(workflows.fit(data, refit="train+valid", **options).model)
    assert again == config
    of_train, of_both = (len(a["graph.train.indices"]) for a in (arrays, refitted))
    assert (of_train, of_both) == (60 * 12, 60 * 15)


@pytest.mark.parametrize("when", ["an epoch", "the graphs"])
def test_an_interrupted_training_is_kept_without_graphs(data, notes, when) -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, Note):
            notes.append(event.text)
        adding = isinstance(event, Note) and event.text.startswith("adding item graphs")
        if isinstance(event, EpochDone) if when == "an epoch" else adding:
            raise KeyboardInterrupt

    fitted = workflows.fit(
        data, variant="base+graph", values=QUICK, device="cpu", precision="fp32", listener=interrupt
    )
    assert isinstance(fitted.interruption, KeyboardInterrupt)
    assert registry.resolve(fitted.model).record.variant == "base"
    assert stored(fitted.model)[0].graph is None
    assert "interrupted: keeping the trained model without item graphs" in notes


def test_a_ridge_that_does_not_fit_into_memory_is_refused_before_it_starts(data, monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 1000)
    with pytest.raises(DeviceError, match="the ridge of a graph on 40 items needs"):
        workflows.fit(data, variant="graph", device="cpu")


def test_ease_says_when_its_matrix_does_not_fit(data, notes, listener, monkeypatch) -> None:
    monkeypatch.setattr(ease, "available_memory", lambda: 1000)
    monkeypatch.setattr(ease, "require_memory", lambda *args: None)
    model = workflows.fit(data, variant="ease", device="cpu", listener=listener).model
    assert "ease: 0.0 GB for all 40 items do not fit into memory, so neighbours 200" in notes
    assert stored(model)[0].comparator.neighbours == 200


def test_the_estimate_of_memory_has_the_graphs(data) -> None:
    def planned(variant: str, **values: object) -> int:
        fitted = workflows.fit(data, variant=variant, values=values, dry_run=True, device="cpu")
        return fitted.plan["memory_bytes"]

    wide = {"factors_rank": 5_000_000}
    assert planned("base+graph", **wide) > planned("base+graph") >= planned("base")
    assert planned("graph", parts="filter,factors", **wide) > planned("graph")


def test_a_limited_time_is_for_training_and_graphs(data, notes, listener) -> None:
    """Half of it is for training; what the graphs leave open is then found by what is left."""
    fitted = workflows.fit(
        data,
        variant="base+graph",
        values={**QUICK, "epochs": 1000, "patience": 1000},
        max_seconds=0.0,
        device="cpu",
        listener=listener,
    )
    assert (fitted.training.stopped, fitted.training.epochs) == ("time", 1)
    assert any(note.startswith("time is up: the graphs' exponents") for note in notes)
    assert registry.resolve(fitted.model).record.config["graph"]["weights"] is not None
