"""Item embeddings from a file: read as they are, or refused."""

from pathlib import Path

import numpy as np
import pytest

from diffrec_cli.data.reading.item_embeddings import read_embeddings
from diffrec_cli.errors import DataError


def test_embeddings_are_read_from_a_file(tmp_path: Path) -> None:
    np.save(tmp_path / "e.npy", np.arange(6.0).reshape(3, 2))
    np.testing.assert_array_equal(read_embeddings(tmp_path / "e.npy", 3)[2], [4, 5])


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 2)), np.zeros(3), np.array([["a"], ["b"], ["c"]]), np.full((3, 2), np.nan)],
    ids=["rows", "dimensions", "text", "nan"],
)
def test_embeddings_that_do_not_fit_are_refused(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "e.npy", array)
    with pytest.raises(DataError, match=r"e\.npy") as caught:
        read_embeddings(tmp_path / "e.npy", 3)
    assert caught.value.fix


def test_pickled_embeddings_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "e.npy", np.array([{}, {}, {}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError):
        read_embeddings(tmp_path / "e.npy", 3)
