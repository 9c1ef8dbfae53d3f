import pyarrow as pa
import pytest

from diffrec_cli.data.reading.input_file import damage, open_input
from diffrec_cli.data.reading.numbering import GrowingIds
from diffrec_cli.data.reading.raw_log import ID_TYPE


def encoded(*ids: str) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(ids).dictionary_encode().cast(ID_TYPE)])


def test_ids_that_come_some_at_a_time_are_numbered_by_first_appearance() -> None:
    ids = GrowingIds()
    assert ids.codes([encoded("b", "a", "b")]).tolist() == [0, 1, 0]
    assert ids.codes([encoded("c", "a"), encoded("c", "ä")]).tolist() == [2, 1, 2, 3]
    assert ids.codes([encoded("a")]).tolist() == [1]
    assert ids.ids.array.to_pylist() == ["b", "a", "c", "ä"]


def test_values_of_a_dictionary_that_no_row_has_get_no_number() -> None:
    ids = GrowingIds()
    unused = pa.DictionaryArray.from_arrays(pa.array([2, 1], pa.int32()), ["x", "b", "a"])
    assert ids.codes([pa.chunked_array([unused], ID_TYPE)]).tolist() == [0, 1]
    assert ids.ids.array.to_pylist() == ["a", "b"]


def test_an_end_of_memory_is_no_damage_to_the_file(tmp_path) -> None:
    path = tmp_path / "log.csv"
    path.touch()
    with open_input(path) as file, pytest.raises(MemoryError), damage(file):
        raise pa.lib.ArrowMemoryError("malloc of size 8 failed")
