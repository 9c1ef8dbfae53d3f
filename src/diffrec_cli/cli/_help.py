"""The last section of every command's help: examples."""

from __future__ import annotations


def examples(*lines: str) -> str:
    """Return the section "Examples" as the ``epilog`` of a command.

    Each line has at most 76 characters, to fit 80 columns. ``#`` begins a note.

    Examples
    --------
    >>> print(examples("diffrec fit ratings.csv", "diffrec recommend --user 42"))
    <BLANKLINE>
    Examples:
      diffrec fit ratings.csv
      diffrec recommend --user 42
    """
    shown = "\n".join(f"  {line}" for line in lines)
    # In rich's markup a bracket begins a style. The empty first line keeps the others indented:
    # typer removes the indent that all lines but the first share.
    return "\nExamples:\n" + shown.replace("[", r"\[")
