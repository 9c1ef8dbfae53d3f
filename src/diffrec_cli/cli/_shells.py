"""What typer's completion lacks: words with ``=``, ``@`` or ``:`` inside.

Typer answers with whole values. Bash breaks words at these characters and replaces only the last
piece; zsh, fish and PowerShell replace the whole of ``--option=value``.
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

    `asked` is ``complete_SHELL`` (what may come next) or ``source_SHELL`` (the script to load).
    Typer ends in SystemExit. After any error nothing is printed and 1 is returned.
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
    """Join the words that bash broke, in the environment; return what shortens candidates."""
    pieces = os.environ["COMP_WORDS"].split("\n")[: int(os.environ["COMP_CWORD"]) + 1]
    line = re.sub(r"\n([@=:]+)(\n(?=[^-\n])|(?=\n|\Z))", r"\1", "\n".join(pieces))
    os.environ.update(COMP_WORDS=line, COMP_CWORD=str(line.count("\n")))
    # Bash replaces only the @ of these characters, and does not break inside quotes.
    kept = re.sub(r"""(["'].*|@?[^@=:"'\n]*)\Z""", "", line.rpartition("\n")[2], count=1)
    kept = re.sub("^-[^=]*=", "", kept)  # typer does not repeat the option

    def cut(found: str) -> str:
        candidates = [candidate.removeprefix(kept) for candidate in found.splitlines()]
        if len(candidates) == 1 and candidates[0].endswith("="):
            candidates.append(f"{candidates[0]}VALUE")  # bash adds a space to a single candidate
        return "\n".join([*candidates, ""])

    return cut


def _with_option(found: str) -> str:
    """Put the ``--option=`` under the cursor before each value."""
    option = re.search(r"(?<=\s)-[^\s=]*=(?=\S*\Z)", os.environ.get("_TYPER_COMPLETE_ARGS", ""))
    if option is None or found == "_files\n":  # then zsh offers files
        return found
    start = re.compile(r"""^(_arguments '\*: :\(\()?"?(?=.)""", re.MULTILINE)  # all of it for zsh
    return start.sub(lambda match: f"{match[0]}{option[0]}", found)
