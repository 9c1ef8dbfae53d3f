"""Where diffrec keeps its state, and which names are allowed there."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

from diffrec_cli.errors import UsageError

#: Letters and digits of any script may begin a name; with marks (Unicode's M), they make it up.
_FIRST, _OTHERS = "LN", "LNM"
_MOST_LETTERS = 100
#: What each directory of comparisons has: their trials, held while one is going on.
TRIALS = "trials.jsonl"
_FIX = "set DIFFREC_HOME to the full path of a directory"
LONGEST_NAME = 200  # bytes: file systems allow 255, and diffrec adds to names


def home() -> Path:
    """Return the root of all state (datasets, models, runs).

    Raises
    ------
    UsageError
        No directory is known, or its name cannot be used.
    """
    if override := os.environ.get("DIFFREC_HOME"):
        return _full(override)
    import platformdirs

    return _usual(platformdirs.user_data_dir)


def _usual(directory: Callable[..., str]) -> Path:
    """Return what the system has as this program's directory of a kind."""
    try:
        return _full(directory("diffrec", appauthor=False))
    except RuntimeError as error:  # neither HOME nor an entry in the list of users
        raise UsageError("this user has no home directory", _FIX) from error


def _full(text: str) -> Path:
    """Return a directory with the home of a user put in the place of ``~``."""
    try:
        path = Path(text).expanduser()
        str(path).encode()
    except RuntimeError as error:
        raise UsageError(f"{text}: no home directory is known", _FIX) from error
    except UnicodeEncodeError as error:
        what = f"{os.fsencode(text)!r} is no UTF-8, and libraries can open nothing there"
        raise UsageError(what, _FIX) from error
    return path


def datasets_dir() -> Path:
    """Return the directory of prepared datasets, one sub-directory each."""
    return home() / "datasets"


def models_dir() -> Path:
    """Return the directory of models, ``NAME/VERSION`` each."""
    return home() / "models"


def runs_dir() -> Path:
    """Return the directory of unfinished fits (their checkpoints and epoch logs)."""
    return home() / "runs"


def comparisons_dir() -> Path:
    """Return the directory of results of ``compare``, one sub-directory a dataset."""
    return home() / "comparisons"


def tuning_dir() -> Path:
    """Return the directory of searches by ``tune``, one journal each."""
    return home() / "tuning"


def presets_dir() -> Path:
    """Return the directory of the user's own presets, ``NAME.json`` each."""
    return home() / "presets"


def config_file() -> Path:
    """Return the path of the optional configuration file (it need not exist)."""
    if os.environ.get("DIFFREC_HOME"):
        return home() / "config.toml"
    import platformdirs

    return _usual(platformdirs.user_config_dir) / "config.toml"


def is_name(text: str) -> bool:
    """Tell whether a text can be the name of a dataset or a model, and so of a directory."""
    return (
        text != ""
        and unicodedata.category(text[0])[0] in _FIRST
        and all(may_be_in_name(letter) for letter in text)
        and len(text) <= _MOST_LETTERS
        and len(text.encode()) <= LONGEST_NAME
    )


def may_be_in_name(letter: str) -> bool:
    """Tell whether a name may have this character after its first."""
    return letter in "._-" or unicodedata.category(letter)[0] in _OTHERS


def check_name(name: str, what: str) -> str:
    """Return `name` if it can be the name of a dataset or a model, else raise UsageError."""
    name = unicodedata.normalize("NFC", name)  # macOS writes accents apart
    if not is_name(name):
        raise UsageError(
            f"{name!r} cannot be the name of a {what}",
            "use up to 100 letters and digits (200 bytes), '.', '_' and '-', beginning with a"
            " letter or digit",
        )
    return name
