"""What double quotes mean in a text file: they hold a field together, or are text themselves."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from diffrec_cli.config import ReadOptions
from diffrec_cli.data.reading.columns import is_recbole
from diffrec_cli.data.reading.input_file import InputFile

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Quotes:
    r"""The meaning of quotes.

    Parameters
    ----------
    hold
        Whether they hold separators and line ends together; if not, they are text.
    escaped
        Whether a quote inside is written as ``\"``, besides ``""``.
    alone
        Line with a quote that has no partner, because of which quotes are text; 0 if there is none.
    """

    hold: bool
    escaped: bool = False
    alone: int = 0


def quotes_of(file: InputFile, sep: str, header: Sequence[str], options: ReadOptions) -> Quotes:
    """Return what quotes mean in a file, as an option says or as the file shows.

    They are text in RecBole's files, with separators of several bytes, and in tab-separated files
    where a line has one without a partner: songs and inches are commoner there than fields with
    line ends.
    """
    can_hold = len(sep.encode()) == 1 and not is_recbole(header)
    if not can_hold or options.quotes is False:
        return Quotes(hold=False)
    found, escaped = _look(file, sep)
    if not found:
        return Quotes(hold=False)
    if sep == "\t" and options.quotes is None and (alone := _line_with_one_alone(file)):
        return Quotes(hold=False, alone=alone)
    return Quotes(hold=True, escaped=escaped)


def _look(file: InputFile, sep: str) -> tuple[bool, bool]:
    """Tell whether a file has quotes, and whether it escapes some of them."""
    inside = re.compile(rb'\\"[^' + re.escape(sep.encode()) + rb"\r\n]")
    found, before = False, b""
    with file.stream() as stream:
        while block := stream.read(_BLOCK):
            found = found or b'"' in block
            if found and inside.search(before + block):
                return True, True
            before = block[-2:]
    return found, False


def _line_with_one_alone(file: InputFile) -> int:
    """Return the number of the first line with an odd number of quotes, 0 if there is none."""
    with file.text() as text:
        odd = (number for number, line in enumerate(text, 1) if line.count('"') % 2)
        return next(odd, 0)
