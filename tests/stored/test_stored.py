"""What earlier versions stored can still be read, and gives the lists that it gave then.

``by-0.1.0.tar.xz`` is a home with a dataset of 24 users x 30 items and a model of every kind, as
version 0.1.0 wrote it; ``lists.json`` has what it then recommended to two of the users. Only those
of mf and lightgcn are newer: since then their users' vectors are computed from histories.
"""

import json
import tarfile
from pathlib import Path

import pytest

from diffrec_cli import workflows
from diffrec_cli.data import store as datasets
from diffrec_cli.registry import list_models, verify

HERE = Path(__file__).parent
LISTS: dict[str, list[tuple[str, str, float]]] = json.loads((HERE / "lists.json").read_text())


@pytest.fixture
def old_home(isolated_home: Path) -> Path:
    isolated_home.mkdir()
    with tarfile.open(HERE / "by-0.1.0.tar.xz") as archive:
        archive.extractall(isolated_home, filter="data")
    return isolated_home


def test_the_dataset_is_read_as_it_was(old_home: Path) -> None:
    dataset = datasets.load("tiny")
    assert (dataset.n_users, dataset.n_items, dataset.known.size) == (24, 30, 160)
    assert dataset.content_hash == datasets.summaries()[0]["content_hash"]
    assert dataset.titles([0])[0].startswith("Title ")


def test_every_model_is_listed_without_an_error(old_home: Path) -> None:
    listed = list_models()
    assert {model.reference for model in listed} == set(LISTS)
    assert [model.error for model in listed] == [None] * len(LISTS)


@pytest.mark.parametrize("reference", LISTS)
def test_a_model_is_sound_and_recommends_what_it_did(old_home: Path, reference: str) -> None:
    verify(reference).require_ok()
    lists = workflows.recommend(reference, users=["u00", "u13"], k=5).table().to_pylist()
    assert [[row["user"], row["item"]] for row in lists] == [r[:2] for r in LISTS[reference]]
    scores = [row["score"] for row in lists]
    assert scores == pytest.approx([r[2] for r in LISTS[reference]], rel=1e-4, abs=1e-5)
