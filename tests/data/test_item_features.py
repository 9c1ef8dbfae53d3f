"""What the columns of an item table are taken for."""

import numpy as np
import pyarrow as pa
import pytest

from diffrec_cli.data.item_features import item_features
from diffrec_cli.errors import DataError


def table(**columns) -> pa.Table:
    n = len(next(iter(columns.values())))
    return pa.table({"id": [f"i{k}" for k in range(n)], **columns})


def test_numbers_are_scaled_and_missing_ones_are_the_mean() -> None:
    found = item_features(table(year=["1990", "2000", "2010", None]))
    assert found.taken == ("year (a number)",)
    (first, mean, last, missing) = found.values.toarray().ravel().tolist()
    assert (first, mean, missing) == (-last, 0.0, 0.0)
    assert first < 0


def test_few_values_are_categories_and_a_bar_separates_several() -> None:
    several = item_features(table(genre=["Action|War", "War", "Action"] * 2))
    assert several.taken == ("genre (2 categories)",)
    x = several.values.toarray()
    assert np.array_equal(x[:3] > 0, [[True, True], [False, True], [True, False]])
    few = item_features(table(brand=["Acme Inc", "Bo"] * 20))
    assert few.taken == ("brand (2 categories)",)


def test_other_texts_are_words_that_two_items_have() -> None:
    titles = [f"The Golden Harbour {k}x" if k % 2 else f"River {k}y" for k in range(10)]
    found = item_features(table(title=titles))
    assert found.taken == ("title (text of 4 words)",)
    alike = (found.values @ found.values.T).toarray()
    assert alike[1, 3] > 0
    assert alike[1, 2] == 0


def test_columns_have_the_same_length_in_the_mean() -> None:
    found = item_features(table(year=["1", "2", "3", "4"], genre=["a|b|c|d", "a", "b", "c"]))
    squares = found.values.multiply(found.values)
    assert squares[:, 0].sum() == pytest.approx(4)
    assert squares[:, 1:].sum() == pytest.approx(4)


def test_columns_can_be_chosen_and_unknown_ones_are_refused_with_those_there_are() -> None:
    items = table(year=["1", "2"], genre=["a", "b"])
    assert item_features(items, ["genre"]).taken == ("genre (2 categories)",)
    with pytest.raises(DataError, match="no such column; they have 'year', 'genre'"):
        item_features(items, ["brand"])


@pytest.mark.parametrize("items", [table(title=[None, ""]), pa.table({"id": ["a"]})])
def test_a_table_that_tells_nothing_is_refused(items: pa.Table) -> None:
    with pytest.raises(DataError, match="nothing is known of the items"):
        item_features(items)
