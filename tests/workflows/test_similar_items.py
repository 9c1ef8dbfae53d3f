"""Items that are similar to an item."""

import pytest

from diffrec_cli import workflows
from diffrec_cli.errors import NotFoundError, UsageError
from tests.workflows.conftest import Fit


@pytest.mark.parametrize("variant", ["base", "l", "t", "lt", "ease", "itemknn"])
def test_on_the_checkerboard_even_items_are_like_even_ones(fit: Fit, variant: str) -> None:
    learned = {"epochs": 60, "eval_every": 60, "ema_decay": 0.9, "dims": (16,)}
    model = fit(variant, **({} if variant in ("ease", "itemknn") else learned))
    rows = workflows.similar(["i04", "i07"], model, k=3).table.to_pylist()
    assert [row["item"] for row in rows] == ["i04"] * 3 + ["i07"] * 3
    assert [row["rank"] for row in rows] == [1, 2, 3] * 2
    assert all(int(row["similar"][1:]) % 2 == int(row["item"][1:]) % 2 for row in rows)
    assert all(row["similar"] != row["item"] for row in rows)


def test_titles_are_those_of_the_similar_items(shop: str) -> None:
    (row,) = workflows.similar(["i04"], shop, k=1, titles=True).table.to_pylist()
    assert row["title"] == f"Title {int(row['similar'][1:])}"


def test_an_unknown_item_is_named(shop: str) -> None:
    with pytest.raises(NotFoundError, match="'nothing'"):
        workflows.similar(["i04", "nothing"], shop)


def test_a_model_that_reads_no_history_finds_all_items_alike(fit: Fit) -> None:
    with pytest.raises(UsageError, match="all items are alike"):
        workflows.similar(["i04"], fit("popularity"))
