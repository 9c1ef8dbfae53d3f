"""Where memory runs out, the advice is in options of the command at work."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from diffrec_cli import workflows
from diffrec_cli.errors import DeviceError
from diffrec_cli.workflows import evaluate_models, fit_model, write_vectors
from diffrec_cli.workflows.serving import list_maker, loading

RANKING: dict[str, tuple[Any, str, Callable[[str, Path], object]]] = {
    "eval": (
        evaluate_models,
        "evaluate_scorer",
        lambda model, out: workflows.evaluate([model], device="cpu"),
    ),
    "recommend": (
        list_maker.ListMaker,
        "_ranked",
        lambda model, out: workflows.recommend(model, users=["u1"], k=3).table(),
    ),
    "export": (
        write_vectors,
        "_write_items",
        lambda model, out: workflows.export_vectors(model, out, device="cpu"),
    ),
}


def no_memory(*args: object, **options: object) -> None:
    raise MemoryError


@pytest.mark.parametrize("command", RANKING)
def test_ranking_has_no_batch_size_and_no_variant(
    shop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    owner, name, call = RANKING[command]
    monkeypatch.setattr(owner, name, no_memory)
    with pytest.raises(DeviceError, match="out of memory on") as caught:
        call(shop, tmp_path / "vectors")
    assert caught.value.fix == "end other programs that use its memory"


@pytest.mark.parametrize("command", RANKING)
def test_a_model_that_does_not_fit_into_memory_is_not_called_damaged(
    shop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    def no_room(*args: object) -> None:  # as torch says it
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(loading, "build_scorer", no_room)
    _, _, call = RANKING[command]
    with pytest.raises(DeviceError, match="out of memory on") as caught:
        call(shop, tmp_path / "vectors")
    assert caught.value.fix == "end other programs that use its memory"


def test_fit_has_both(shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_model, "train_model", no_memory)
    with pytest.raises(DeviceError) as caught:
        workflows.fit("checkerboard", variant="base", device="cpu")
    assert "--batch-size" in caught.value.fix
