"""Completion in bash, zsh and fish: what they load, and the answers to what they ask.

A shell asks by running the program with :data:`ASKED` in its environment. All three ask in typer's
way for fish, which is answered in lines: a candidate, a tab, what it means.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import typer

from diffrec_cli.errors import UsageError
from diffrec_cli.files import write_atomically

ASKED = "_DIFFREC_COMPLETE"  # typer's name for it
SHELLS = ("bash", "zsh", "fish")


def answer(app: typer.Typer, asked: str) -> int:
    """Answer a shell, and return the exit code.

    Parameters
    ----------
    app
        The program.
    asked
        ``complete_fish`` and the like: what may come next, by typer's variables; whatever goes
        wrong, nothing is printed. ``source_fish`` and the like: what that shell is to load.
    """
    verb, _, shell = asked.partition("_")
    if verb == "source":
        print(script(shell), end="")
        return 0
    from typer.completion import get_completion_inspect_parameters

    get_completion_inspect_parameters()  # typer's own options, which are not used; it learns shells
    with suppress(Exception):
        app([], prog_name="diffrec", standalone_mode=False)  # answers, and ends in SystemExit
    return 1


def script(shell: str) -> str:
    """Return what a shell is to load.

    Raises
    ------
    UsageError
        There is nothing for that shell.
    """
    if shell not in SHELLS:
        raise UsageError(
            f"no completion for the shell {shell!r}, only for {', '.join(SHELLS)}",
            f"run it from one of these, or name one: {ASKED}=source_bash diffrec",
        )
    return (Path(__file__).parent / "shells" / f"diffrec.{shell}").read_text("utf-8")


def current() -> str:
    """Return the name of the shell that runs this, else of the user's own."""
    from shellingham import (  # type: ignore[import-untyped]  # it ships no types
        ShellDetectionFailure,
        detect_shell,
    )

    try:
        return str(detect_shell()[0])
    except ShellDetectionFailure:
        return Path(os.environ.get("SHELL", "")).name


def install(shell: str) -> Path:
    """Put completion where a shell finds it from its next start on.

    The user's start-up file gets a line behind its others, once, where the shell needs one.

    Returns
    -------
    The script's path.

    Raises
    ------
    UsageError
        There is nothing for that shell, or a file cannot be written.
    """
    text = script(shell)
    path, rc, line = _places(shell)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode())
        if rc is not None:
            _add_line(rc, line)
    except OSError as error:
        raise UsageError(
            f"cannot write {error.filename or path}: {error.strerror}",
            "--show-completion prints what the shell is to load",
        ) from error
    return path


def _places(shell: str) -> tuple[Path, Path | None, str]:
    """Return where the script goes, the start-up file that needs a line for it, and the line."""
    home = Path.home()
    if shell == "fish":
        settings = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
        return settings / "fish" / "completions" / "diffrec.fish", None, ""
    if shell == "zsh":
        rc = Path(os.environ.get("ZDOTDIR") or home) / ".zshrc"
        line = "fpath+=~/.zfunc; autoload -Uz compinit; compinit"
        return home / ".zfunc" / "_diffrec", rc, line
    path = home / ".bash_completions" / "diffrec.sh"
    return path, home / ".bashrc", "source ~/.bash_completions/diffrec.sh"


def _add_line(path: Path, line: str) -> None:
    """Append a line to a file that does not have it; the rest of the file stays as it is."""
    text = path.read_text("utf-8") if path.exists() else ""
    if line in text.splitlines():
        return
    before = "\n" if text and not text.endswith("\n") else ""
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{before}{line}\n")
