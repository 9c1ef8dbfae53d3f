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
from diffrec_cli.system_errors import reading

_PLAIN = (str, int, float, bool)  # not dates, times and tables


def load_defaults(commands: Any) -> dict[str, Any]:
    """Return the defaults for each command, ``{command: {option: value}}``.

    Option names are written as on the command line, without the leading dashes. UsageError: the
    file is not TOML, or has names that the program's command group, `commands`, does not have.
    StorageError: it is below the home, and the system lets nobody read it.
    """
    path = config_file()
    try:
        with reading(path):
            tables = tomllib.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: cannot be read ({error})", "mend or remove the file") from error
    defaults = _underscored(tables)
    _check(defaults, commands, f"{path}:")
    return defaults


def _check(defaults: dict[str, Any], group: Any, where: str) -> None:
    for name, table in defaults.items():
        command = group.commands.get(name)
        if command is None or not isinstance(table, dict):
            raise UsageError(
                f"{where} [{name}] is not a table of options for a command",
                f"one of: {', '.join(group.commands)}",
            )
        if hasattr(command, "commands"):
            _check(table, command, f"{where} [{name}]")
            continue
        options = {parameter.name for parameter in command.params}
        for unknown in sorted(table.keys() - options):
            raise UsageError(
                f"{where} [{name}] has no option {unknown!r}",
                f"see `diffrec {name} --help`; write options without leading dashes",
            )
        for option, value in table.items():
            _check_plain(value, f"{where} [{name}] {option}")


def _check_plain(value: Any, where: str) -> None:
    if not all(isinstance(one, _PLAIN) for one in (value if isinstance(value, list) else [value])):
        raise UsageError(
            f"{where} = {value}: neither text nor a number",
            "write it in quotes, as on the command line",
        )


def _underscored(table: dict[str, Any]) -> dict[str, Any]:
    return {
        key.replace("-", "_"): _underscored(value) if isinstance(value, dict) else value
        for key, value in table.items()
    }
