"""Where diffrec keeps its state: ``DIFFREC_HOME``, else the platform's directories."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """Return the root of all state (datasets, models, runs)."""
    if override := os.environ.get("DIFFREC_HOME"):
        return Path(override).expanduser()
    import platformdirs

    return Path(platformdirs.user_data_dir("diffrec", appauthor=False))


def datasets_dir() -> Path:
    """Return the directory of prepared datasets, one sub-directory each."""
    return home() / "datasets"


def models_dir() -> Path:
    """Return the directory of models, ``NAME/VERSION`` each."""
    return home() / "models"


def runs_dir() -> Path:
    """Return the directory of unfinished fits (their checkpoints and epoch logs)."""
    return home() / "runs"


def config_file() -> Path:
    """Return the path of the optional configuration file (it need not exist)."""
    if "DIFFREC_HOME" in os.environ:
        return home() / "config.toml"
    import platformdirs

    return Path(platformdirs.user_config_dir("diffrec", appauthor=False)) / "config.toml"
