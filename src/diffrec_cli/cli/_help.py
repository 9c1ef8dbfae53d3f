"""The last section of every command's help: examples."""

from __future__ import annotations


def examples(*lines: str) -> str:
    """Return the section "Examples" as the ``epilog`` of a command.

    Parameters
    ----------
    lines
        Command lines as they are typed, each of at most 76 characters, so that it is one line of
        a terminal of 80. What follows ``#`` is a note.

    Examples
    --------
    >>> print(examples("diffrec fit ratings.csv", "diffrec recommend --user 42"))
    <BLANKLINE>
    Examples:
      diffrec fit ratings.csv
      diffrec recommend --user 42
    """
    shown = "\n".join(f"  {line}" for line in lines)
    # Help is rich's markup, where a bracket begins a style. The empty first line is not shown: it
    # keeps the next ones indented, as typer takes what all but the first have in common away.
    return "\nExamples:\n" + shown.replace("[", r"\[")
