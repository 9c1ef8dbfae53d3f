"""Initial weights do not depend on how many processes the items are split over."""

import pytest
import torch

from diffrec_cli.models.initial_weights import normal, parts_of, small, xavier, zeros
from diffrec_cli.models.item_range import ItemRange


def drawn(items: ItemRange, columns: int | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the numbers, and what the generator draws next."""
    generator = torch.Generator().manual_seed(3)
    return normal(items, columns, generator), torch.randn(20, generator=generator)


@pytest.mark.parametrize("n_items", [5, 40, 16384, 16385, 16389, 16399, 16400, 32771, 40000])
@pytest.mark.parametrize("columns", [None, 1, 3, 8])
@pytest.mark.parametrize("ranks", [2, 3])
def test_parts_have_the_numbers_of_the_whole(n_items: int, columns: int | None, ranks: int) -> None:
    whole, follows = drawn(ItemRange.whole(n_items), columns)
    for rank in range(ranks):
        part = ItemRange.part(n_items, rank, ranks)
        found, after = drawn(part, columns)
        assert torch.equal(found, whole[part.columns])
        assert torch.equal(after, follows)


def test_parameters_of_items_know_which_they_have() -> None:
    part, generator = ItemRange(10, 2, 5), torch.Generator()
    model = torch.nn.Module()
    model.V, model.b, model.c = xavier(part, 4, 14, generator), small(part, generator), zeros(part)
    model.W = xavier(4, 4, 8, generator)
    assert parts_of(model) == {"V": part, "b": part, "c": part}
    assert [tuple(p.shape) for p in model.parameters()] == [(3, 4), (3,), (3,), (4, 4)]
