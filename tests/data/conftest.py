from __future__ import annotations

import sys
from pathlib import Path

# `toys` is importable however pytest imports the test modules themselves.
sys.path.insert(0, str(Path(__file__).parent))
