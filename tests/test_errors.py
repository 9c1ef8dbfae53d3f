"""Errors are the same in another process."""

import pickle

import pytest

from diffrec_cli.data.reading.raw_log import NoRowsError
from diffrec_cli.errors import ConfigError, DataError, DiffrecError, MissingExtraError


@pytest.mark.parametrize(
    "error",
    [
        DataError("log.csv:3: what", "how"),
        ConfigError("T = 0 is out of range", "T must be 1"),
        MissingExtraError("--plot", "matplotlib", "plot"),
        NoRowsError("log.csv"),
    ],
)
def test_an_error_survives_a_process(error: DiffrecError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert (copy.what, copy.fix, copy.exit_code) == (error.what, error.fix, error.exit_code)
    assert str(copy) == str(error)
