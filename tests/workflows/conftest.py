"""A model of the checkerboard, quickly fitted, and a listener that keeps notes."""

from collections.abc import Callable

import pytest

from diffrec_cli import workflows
from diffrec_cli.data import store as datasets
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.workflows.progress import Listener, Note

Fit = Callable[..., str]


@pytest.fixture
def fit(checkerboard: Dataset) -> Fit:
    """Return a function from a variant to the reference of such a model."""
    datasets.save(checkerboard)

    def fitted(variant: str, **values: object) -> str:
        closed = variant in ("ease", "itemknn", "popularity")
        quick = {} if closed else {"epochs": 3, "batch_size": 10, "lr": 5e-3}
        latent = {"z_dim": 8, "C": 2, "lr": 1e-2} if variant in ("l", "lt") else {}
        dims = {"dims": (8,)} if variant in ("base", "t", "l", "lt") else {}
        model = workflows.fit(
            checkerboard.name,
            variant=variant,
            values={**quick, **latent, **dims, **values},
            device="cpu",
            precision="fp32",
        ).model
        assert model is not None
        return model

    return fitted


@pytest.fixture
def shop(fit: Fit) -> str:
    """Return a temporal model: the order of histories matters to it."""
    return fit("t")


@pytest.fixture
def notes() -> list[str]:
    """Return the notes that `listener` gets."""
    return []


@pytest.fixture
def listener(notes: list[str]) -> Listener:
    """Return a listener that keeps notes."""
    return lambda event: notes.append(event.text) if isinstance(event, Note) else None
