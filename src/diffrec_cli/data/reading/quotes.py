"""What double quotes mean in a text file: they hold a field together, or are text themselves."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from diffrec_cli.config import ReadOptions
from diffrec_cli.data.reading.columns import is_recbole
from diffrec_cli.data.reading.input_file import InputFile

_BLOCK = 1 << 20
_PAIR = re.compile(rb"\\.", re.DOTALL)


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

    They are text in RecBole's files and with separators of several bytes. Else they hold fields
    together, unless a tab-separated file has a line with one alone, and is no strict CSV: songs and
    inches are commoner there than fields with line ends.
    """
    can_hold = len(sep.encode()) == 1 and not is_recbole(header)
    if not can_hold or options.quotes is False:
        return Quotes(hold=False)
    found, escaped = _look(file)
    if not found:
        return Quotes(hold=False)
    alone = _line_with_one_alone(file) if sep == "\t" and options.quotes is None else 0
    if not escaped and not alone:
        return Quotes(hold=True)
    if _is_strict(file, sep, options.skip_lines, escaped=False):
        return Quotes(hold=True)
    if escaped and _is_strict(file, sep, options.skip_lines, escaped=True):
        return Quotes(hold=True, escaped=True)
    return Quotes(hold=not alone, alone=alone)


def _look(file: InputFile) -> tuple[bool, bool]:
    """Tell whether a file has quotes, and whether backslashes may escape them: nothing else."""
    found, escaped, others, before = False, False, False, b""
    with file.stream() as stream:
        while block := stream.read(_BLOCK):
            found = found or b'"' in block
            if found and b"\\" in before + block and not others:
                pairs = _PAIR.findall(before + block)
                escaped = escaped or b'\\"' in pairs
                others = any(pair not in (b'\\"', b"\\\\") for pair in pairs)
            before = block[-1:] if block.endswith(b"\\") else b""
    return found, escaped and not others


def _is_strict(file: InputFile, sep: str, skip: int, *, escaped: bool) -> bool:
    """Tell whether a file is CSV without doubt: quotes end at separators, rows are alike."""
    escape = "\\" if escaped else None
    try:
        with file.text() as text:
            lines = islice(text, skip, None)
            rows = csv.reader(lines, delimiter=sep, escapechar=escape, strict=True)
            return len({len(row) for row in rows if row}) == 1
    except csv.Error:
        return False


def _line_with_one_alone(file: InputFile) -> int:
    """Return the number of the first line with an odd number of quotes, 0 if there is none."""
    with file.text() as text:
        odd = (number for number, line in enumerate(text, 1) if line.count('"') % 2)
        return next(odd, 0)
