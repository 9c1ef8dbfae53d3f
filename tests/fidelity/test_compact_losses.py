"""DiffRec's losses without the scores of all items, held to those with them, in float64.

The two draw their noise differently. Given the same noise and dropout they are the same function of
the weights; and what the compact form draws has the right distribution (`test_randomness.py`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Rows
from diffrec_cli.diffusion import corruption
from diffrec_cli.diffusion.randomness import Draws, Numbers
from diffrec_cli.errors import ConfigError
from diffrec_cli.models import denoiser
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.build import build_model
from tests.fidelity.cases import DIMS, STEPS, Case, Replay, random_case

CPU, SEED = TorchBackend("cpu"), 5


def losses_and_gradients(case: Case, form: str) -> tuple[float, dict[str, Tensor]]:
    model = replace(case, config=case.config.with_values({"loss_form": form})).model()
    assert model.compact == (form == "compact")
    loss = model.loss(case.rows, CPU, Replay.package(SEED))
    loss.backward()
    return loss.item(), {name: p.grad for name, p in model.named_parameters()}


def same(case: Case) -> None:
    loss, learned = losses_and_gradients(case, "compact")
    wanted_loss, wanted = losses_and_gradients(case, "scores")
    assert loss == pytest.approx(wanted_loss, rel=1e-9)
    for name, gradient in wanted.items():
        assert gradient.abs().max() > 0, name
        torch.testing.assert_close(learned[name], gradient, rtol=1e-6, atol=1e-10)


@pytest.fixture
def same_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give both forms one noise, which does not depend on the order of draws."""

    def noise(n: int, width: int) -> Tensor:
        generator = torch.Generator().manual_seed(9)
        return torch.randn(n, width, dtype=torch.float64, generator=generator)

    def dense(numbers: Numbers, dtype: torch.dtype) -> Tensor:
        return noise(len(numbers.offset), numbers.size)

    def product(W: Tensor, numbers: Numbers, rows: Tensor | None, total: object) -> Tensor:
        assert rows is not None
        return noise(len(numbers.offset), len(W))[:, rows] @ W[rows]

    monkeypatch.setattr("diffrec_cli.diffusion.randomness.Numbers.normal", dense)
    monkeypatch.setattr("diffrec_cli.diffusion.randomness.normal_product", product)


@pytest.mark.usefixtures("same_noise")
@pytest.mark.parametrize("T", STEPS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dims", DIMS)
def test_without_dropout_both_forms_have_the_same_losses_and_gradients(
    T: int, weighted: bool, dims: tuple[int, ...]
) -> None:
    same(
        random_case(
            T=T,
            weighted_loss=weighted,
            dims=dims,
            dropout=0.0,
            prediction="x0",
            normalize_input=False,
        )
    )


@pytest.mark.usefixtures("same_noise")
@pytest.mark.parametrize("T", STEPS)
def test_with_one_mask_for_a_batch_both_forms_are_the_same_too(
    T: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = random_case(T=T, dropout=0.4, prediction="x0", normalize_input=False)
    mask = torch.from_numpy(np.random.default_rng(1).random(case.n_items) >= 0.4)

    def dense(x: Tensor, rate: float, numbers: Numbers) -> Tensor:
        return x * mask / (1 - rate)

    def pairs(draws: Draws, what: str, users: np.ndarray, places: np.ndarray) -> np.ndarray:
        assert what == "items"
        return mask.numpy()[places].astype(np.float32)

    def sparse(rows: Rows, rate: float, draws: Draws) -> Rows:
        kept = rows.keep(mask.numpy()[rows.items])
        return replace(kept, values=kept.values / (1 - rate))

    monkeypatch.setattr(denoiser, "dropout", dense)
    monkeypatch.setattr(denoiser, "sparse_dropout", sparse)
    monkeypatch.setattr(Draws, "pairs", pairs)
    same(case)


def test_dropout_is_drawn_for_each_interaction() -> None:
    """Users with one history differ in what is left of it."""
    case = random_case(dropout=0.5, prediction="x0", normalize_input=False, s=0.0, T=1)
    rows = replace(case.rows.take(np.array([0] * 50)), users=np.arange(50))
    seen: list[Tensor] = []
    model = replace(case, config=case.config.with_values({"loss_form": "compact"})).model()
    corrupt = corruption.Corruption.corrupt

    def heard(self: corruption.Corruption, x_0: Tensor, t: Tensor, y: Tensor) -> Tensor:
        seen.append(x_0)
        return corrupt(self, x_0, t, y)

    model.corruption.corrupt = heard.__get__(model.corruption)
    model.loss(rows, CPU, Replay.package(SEED))
    assert len(seen[0].unique(dim=0)) > 1


@pytest.mark.parametrize("values", [{"prediction": "epsilon"}, {"normalize_input": True}])
def test_what_needs_the_whole_input_refuses_the_compact_form(values: dict) -> None:
    config = FitConfig().with_values({**values, "dims": (4,)})
    with pytest.raises(ConfigError, match="loss_form") as caught:
        build_model(config.with_values({"loss_form": "compact"}), 100)
    assert "prediction=x0" in caught.value.fix
    assert not build_model(config, 100).compact


def test_few_items_or_small_batches_keep_the_scores() -> None:
    def compact(n_items: int, batch_size: int) -> bool:
        values = {"dims": (20, 60), "batch_size": batch_size}
        return build_model(FitConfig().with_values(values), n_items).compact

    assert [compact(1000, batch) for batch in (1, 400)] == [False, True]
    assert [compact(items, 400) for items in (239, 240)] == [False, True]
