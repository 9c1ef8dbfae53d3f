"""Where the real MovieLens data is; the tests that need it are skipped where it is not."""

from __future__ import annotations

import os
from pathlib import Path

_BESIDE = Path(__file__).parents[2] / "shared" / "data"
MOVIELENS = Path(os.environ.get("DIFFREC_TEST_DATA") or _BESIDE)
