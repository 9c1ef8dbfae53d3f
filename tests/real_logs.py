"""Where the real logs are; the tests that need one are skipped where it is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).parents[2] / "shared" / "data"
REAL_LOGS = Path(os.environ.get("DIFFREC_TEST_DATA") or _BESIDE)


def real_log(name: str) -> Path:
    """Return the file or directory of a real log, or skip the test."""
    path = REAL_LOGS / name
    if not path.exists():
        pytest.skip(f"needs the log {name}")
    return path
