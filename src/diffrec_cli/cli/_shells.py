"""What typer's completion lacks: words with a value behind a ``=``, an ``@`` or a ``:``.

Typer answers with whole values. Bash breaks words at these characters, and replaces only what
follows the last of them; zsh, fish and PowerShell replace the whole of ``--option=value``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from io import StringIO

import typer

ASKED = "_DIFFREC_COMPLETE"  # typer's name for it


def answer(app: typer.Typer, asked: str) -> int:
    """Let typer answer a shell, and fit the answer to the word that the shell replaces.

    Typer ends in SystemExit. If anything goes wrong, nothing is printed, and 1 is returned.

    Parameters
    ----------
    app
        The program.
    asked
        ``complete_bash`` and the like: what may come next, by typer's variables.
        ``source_bash`` and the like: what that shell is to load.
    """
    found = StringIO()
    fit: Callable[[str], str] = str
    try:
        with redirect_stdout(found), suppress(Exception):
            fit = _for_bash() if asked == "complete_bash" else _with_option
            app([], prog_name="diffrec", standalone_mode=False)
        return 1
    finally:
        print(fit(found.getvalue()), end="")


def _for_bash() -> Callable[[str], str]:
    """Join in the environment the words that bash broke; return what cuts candidates to fit."""
    pieces = os.environ["COMP_WORDS"].split("\n")[: int(os.environ["COMP_CWORD"]) + 1]
    line = re.sub(r"\n([@=:]+)(\n(?=[^-\n])|(?=\n|\Z))", r"\1", "\n".join(pieces))
    os.environ.update(COMP_WORDS=line, COMP_CWORD=str(line.count("\n")))
    # Of these characters bash replaces only an @, and in quotes it breaks at none.
    kept = re.sub(r"""(["'].*|@?[^@=:"'\n]*)\Z""", "", line.rpartition("\n")[2], count=1)
    kept = re.sub("^-[^=]*=", "", kept)  # typer does not repeat the option

    def cut(found: str) -> str:
        candidates = [candidate.removeprefix(kept) for candidate in found.splitlines()]
        if len(candidates) == 1 and candidates[0].endswith("="):
            candidates.append(f"{candidates[0]}VALUE")  # behind a single one bash puts a space
        return "\n".join([*candidates, ""])

    return cut


def _with_option(found: str) -> str:
    """Put the ``--option=`` of the word under the cursor before each of its values."""
    option = re.search(r"(?<=\s)-[^\s=]*=(?=\S*\Z)", os.environ.get("_TYPER_COMPLETE_ARGS", ""))
    if option is None or found == "_files\n":  # zsh offers files then
        return found
    start = re.compile(r"""^(_arguments '\*: :\(\()?"?(?=.)""", re.MULTILINE)  # all of it for zsh
    return start.sub(lambda match: f"{match[0]}{option[0]}", found)
