"""Arrays of an archive as views of it."""

import zipfile

import numpy as np
import pytest

from diffrec_cli.data.mapped import map_npz

ARRAYS = {
    "a": np.arange(7, dtype=np.int64),
    "matrix": np.arange(6, dtype=np.float32).reshape(2, 3),
    "empty": np.zeros(0, np.int32),
}


@pytest.fixture
def archive(tmp_path):
    np.savez(tmp_path / "x.npz", **ARRAYS)
    return tmp_path / "x.npz"


def test_arrays_are_those_that_were_saved(archive) -> None:
    mapped = map_npz(archive)
    assert set(mapped) == set(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(mapped[name], array)
        assert mapped[name].dtype == array.dtype


def test_changes_are_not_written(archive) -> None:
    before = archive.read_bytes()
    map_npz(archive)["a"][0] = 99
    assert archive.read_bytes() == before


def test_a_changed_byte_is_found(archive) -> None:
    content = bytearray(archive.read_bytes())
    place = content.index(ARRAYS["a"].tobytes())
    content[place + 3] ^= 1
    archive.write_bytes(content)
    with pytest.raises(zipfile.BadZipFile):
        map_npz(archive)


def test_compressed_arrays_and_objects_are_refused(tmp_path) -> None:
    np.savez_compressed(tmp_path / "c.npz", a=np.zeros(100))
    with pytest.raises(ValueError, match="compressed"):
        map_npz(tmp_path / "c.npz")
    np.savez(tmp_path / "o.npz", a=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="objects"):
        map_npz(tmp_path / "o.npz")
