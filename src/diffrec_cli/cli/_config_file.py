"""The optional configuration file: defaults for options, a table for each command.

::

    [fit]
    device = "cuda"

    [recommend]
    k = 50
"""

from __future__ import annotations

import tomllib
from typing import Any

from diffrec_cli.errors import UsageError
from diffrec_cli.paths import config_file


def load_defaults() -> dict[str, Any]:
    """Return the defaults for each command, ``{command: {option: value}}``.

    Option names are written as on the command line without dashes in front; inner
    dashes may be underscores.
    """
    path = config_file()
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: cannot be read ({error})", "mend or remove the file") from error
    return _underscored(tables)


def _underscored(table: dict[str, Any]) -> dict[str, Any]:
    return {
        key.replace("-", "_"): _underscored(value) if isinstance(value, dict) else value
        for key, value in table.items()
    }
