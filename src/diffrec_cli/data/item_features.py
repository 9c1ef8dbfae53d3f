"""Features of items from the columns of their table: numbers, categories and words.

Each column is a block of one length: its rows have length 1 in the mean, so that a long text does
not outweigh a genre.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from diffrec_cli.errors import DataError

#: What separates several categories of an item.
_SEVERAL = "|"
_WORDS = 2000  # of a text: the most frequent ones
_FEW = 0.1  # distinct values a row: fewer are categories


@dataclass(frozen=True)
class ItemFeatures:
    """Features of items.

    Parameters
    ----------
    values
        (items, d) CSR float32; a row is empty if nothing is known of the item.
    taken
        What each column was taken for, in words.
    """

    values: Any
    taken: tuple[str, ...]


def item_features(table: pa.Table, columns: Sequence[str] = ()) -> ItemFeatures:
    """Return the features of the items of a table.

    A column of numbers is scaled. One of few different values, or of values with ``|`` in them, is
    of categories, a number each. Another one is text: TF-IDF of its most frequent words.

    Parameters
    ----------
    table
        Items with the column ``id``.
    columns
        Which columns to use; none: all of them.

    Raises
    ------
    DataError
        There is no such column, or none with anything in it.
    """
    known = [name for name in table.column_names if name != "id"]
    for name in columns:
        if name not in known:
            listed = ", ".join(map(repr, known)) or "none but id"
            raise DataError(
                f"--item-features {name}: the items have no such column; they have {listed}",
                "give columns of the table of items (fit --items FILE)",
            )
    from scipy.sparse import hstack

    found = [_block(name, table[name].to_pylist()) for name in columns or known]
    blocks = [one for one in found if one is not None]
    if not blocks:
        raise DataError(
            "nothing is known of the items by which new ones could be like others",
            "give a table with genres, brands or the like (fit --items FILE)",
        )
    values = hstack([block for block, _ in blocks]).tocsr().astype(np.float32)
    return ItemFeatures(values, tuple(words for _, words in blocks))


def _block(name: str, values: list[Any]) -> tuple[Any, str] | None:
    """Return the features of a column, and what it was taken for; None if nothing is in it."""
    texts = ["" if value is None else str(value) for value in values]
    filled = [text for text in texts if text]
    if not filled:
        return None
    if all(map(_is_number, filled)):
        return _of_length_1(_scaled(texts)), f"{name} (a number)"
    many = len(set(filled)) > max(2, _FEW * len(filled))
    text = many and not any(_SEVERAL in text for text in filled)
    block = _words(texts) if text else _categories(texts)
    if block is None:
        return None
    count = f"{block.shape[1]:,}"
    words = f"text of {count} words" if text else f"{count} categories"
    return _of_length_1(block), f"{name} ({words})"


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


def _scaled(texts: list[str]) -> Any:
    from scipy.sparse import csr_matrix
    from sklearn.preprocessing import StandardScaler

    numbers = np.array([float(text) if text else np.nan for text in texts])[:, None]
    return csr_matrix(np.nan_to_num(StandardScaler().fit_transform(numbers)))


def _categories(texts: list[str]) -> Any | None:
    from sklearn.feature_extraction.text import CountVectorizer

    def split(text: str) -> list[str]:
        return [part.strip() for part in text.split(_SEVERAL) if part.strip()]

    return _fitted(CountVectorizer(analyzer=split, binary=True, max_features=_WORDS), texts)


def _words(texts: list[str]) -> Any | None:
    """Return TF-IDF of the words that two items or more have; None if there is no such word."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(
        token_pattern=r"[^\W_][\w'-]*", max_features=_WORDS, min_df=2, sublinear_tf=True
    )
    return _fitted(vectorizer, texts)


def _fitted(vectorizer: Any, texts: list[str]) -> Any | None:
    try:
        return vectorizer.fit_transform(texts)
    except ValueError:  # nothing is left
        return None


def _of_length_1(block: Any) -> Any:
    squares = np.asarray(block.multiply(block).sum(axis=1)).ravel()
    mean = np.sqrt(squares[squares > 0].mean()) if (squares > 0).any() else 1.0
    return block / mean
