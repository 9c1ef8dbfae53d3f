"""Headers of ``.npy`` files are text that anyone may have written."""

import io

import numpy as np
import pytest

from diffrec_cli.data.reading.log import read_authors_lists
from diffrec_cli.data.reading.numpy_file import read_npy
from diffrec_cli.errors import DataError


def npy(header: str, content: bytes = b"") -> bytes:
    text = header.encode("latin-1")
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + content


HEADERS = [
    "{'descr': '<i8', 'fortran_order': False, 'shape': (1000000000000, 2), }",
    "{'descr': '<i8', 'fortran_order': False, 'shape': (9223372036854775807, 9), }",
    "{'descr': '<i8', 'fortran_order': False, 'shape': (-1, 2), }",
    "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
    "{'descr': '<i8', 'fortran_order': False, 'shape': 'x', }",
    "{'descr': None}",
    "((((((((((",
    "'''",
    "{'descr': '<i8', 'fortran_order': False, 'shape': (" + "9" * 5000 + ",), }",
    "\x00\x00",
    "",
]


@pytest.mark.parametrize("header", HEADERS)
def test_a_header_that_claims_what_is_not_there_is_an_error(tmp_path, header) -> None:
    path = tmp_path / "train_list.npy"
    path.write_bytes(npy(header))
    with pytest.raises(ValueError, match=r"."):
        read_npy(path)
    with pytest.raises(DataError, match=r"not a readable \.npy file") as caught:
        read_authors_lists(tmp_path, "lists")
    assert caught.value.fix


def test_arrays_are_read_even_if_they_are_empty(tmp_path) -> None:
    for array in (np.arange(6).reshape(3, 2), np.zeros((0, 2), np.int64)):
        np.save(tmp_path / "a.npy", array)
        assert np.array_equal(read_npy(tmp_path / "a.npy"), array)


def test_a_file_of_several_arrays_is_refused(tmp_path) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(2), b=np.zeros(3))
    (tmp_path / "a.npy").write_bytes(buffer.getvalue())
    with pytest.raises(ValueError, match="several arrays"):
        read_npy(tmp_path / "a.npy")


@pytest.mark.parametrize("number", range(200))
def test_damage_of_any_kind_is_a_value_error(tmp_path, number) -> None:
    rng = np.random.default_rng(number)
    path = tmp_path / "a.npy"
    np.save(path, np.arange(20).reshape(10, 2))
    data = bytearray(path.read_bytes())
    for place in rng.integers(len(data), size=rng.integers(1, 6)):
        data[place] = rng.integers(256)
    path.write_bytes(data[: rng.integers(1, len(data) + 1)])
    try:
        array = read_npy(path)
    except ValueError:
        return
    assert array.nbytes <= len(data)
