"""Conditions over the item table: ``year >= 1990 and genre contains Comedy``.

The grammar, loosest first; keywords in either case, at most 50 nested parentheses::

    condition   = conjunction { "or" conjunction }
    conjunction = factor { "and" factor }
    factor      = { "not" } ( "(" condition ")" | test )
    test        = column ( "=" | "==" | "!=" | "<>" | "<" | "<=" | ">" | ">=" ) value
                | column [ "not" ] "contains" value
                | column [ "not" ] "in" "(" value { "," value } ")"
                | column "is" ( "missing" | "present" )
    column      = word | `anything`
    value       = word | 'anything' | "anything"

A word has letters, digits, ``_``, ``.`` and ``-``, and is not a keyword. Inside quotes, write the
quote twice. A word that reads as a number is one; any other value is text.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from diffrec_cli.data.arrow import strings, to_numpy
from diffrec_cli.data.reading.columns import is_number
from diffrec_cli.errors import UsageError

Mask = NDArray[np.bool_]

_EXAMPLE = "write it like: year >= 1990 and genre contains Comedy"
_QUOTING = "put quotes round text that is not one word, and backquotes round such column names"
_MAX_DEPTH = 50  # parentheses, long before Python's own stack ends
_LISTED = 10  # columns that a message names
_SHOWN = 30  # characters of the condition that a message repeats

_WORD = r"[\w.-]++"
_TOKEN = re.compile(
    rf"""
    \s*+(?:
        (?P<text>'(?:[^']|'')*+' | "(?:[^"]|"")*+")
      | (?P<name>`(?:[^`]|``)*+`)
      | (?P<word>{_WORD})
      | (?P<symbol>[=!<]=|<>|>=|[=<>(),])
      | (?P<end>\Z)
    )
    """,
    re.VERBOSE,
)
_KEYWORDS = ("and", "or", "not", "contains", "in", "is")
_EQUAL, _DIFFERENT = ("=", "=="), ("!=", "<>")
#: How numbers are compared, and how text is (by code points, so that ISO dates compare well).
_ORDERS = {
    "<": (np.less, pc.less),
    "<=": (np.less_equal, pc.less_equal),
    ">": (np.greater, pc.greater),
    ">=": (np.greater_equal, pc.greater_equal),
}

_NUMBER = r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$"
#: From here on, different whole numbers may be the same float.
_INEXACT = 2.0**53


def select_items(text: str, table: pa.Table, option: str = "--where") -> Mask:
    """Tell which items a condition holds for.

    Comparisons with a number compare numbers, others text:

    - ``<``, ``<=``, ``>``, ``>=``: with a number, only cells that are numbers match; with text
      (``'quoted'``, or not a number), cells compare as text, so ISO dates are in order.
    - ``=``, ``!=``, ``in``: equal text, or equal numbers (``1990.0`` is ``1990``). Ids are always
      text: ``7`` is not ``007``.
    - ``contains``: anywhere in the cell, in either case.

    A missing cell (null or empty) matches ``is missing`` and no comparison, not even ``!=``,
    ``not in`` or ``not contains``. ``not`` before a test reverses it: ``not year = 1990`` holds
    where the year is missing.

    Parameters
    ----------
    text
        The condition, in the language of this module.
    table
        (|I|,) rows of text: ``id`` and others. Column names may differ in case if unambiguous.
    option
        What messages call the condition.

    Returns
    -------
    (|I|,) true where it holds.

    Raises
    ------
    UsageError
        The condition cannot be parsed (the message counts characters from 1), there is no such
        column, or a column without numbers is compared with one.

    Examples
    --------
    >>> table = pa.table({"id": ["7", "007", "8"], "Genre": ["Comedy|Drama", "War", None],
    ...                   "year": ["1995", "1942", "2001"]})
    >>> select_items("year >= 1990 and genre contains comedy", table).tolist()
    [True, False, False]
    >>> select_items("genre != War", table).tolist()
    [True, False, False]
    >>> select_items("not (genre = War) or id in (007, 9)", table).tolist()
    [True, True, True]
    """
    try:
        return _Reader(text, table).condition()
    except UsageError as error:
        raise UsageError(f"{option}: {error.what}", error.fix) from None


# Reading


@dataclass(frozen=True, slots=True)
class _Token:
    """A piece of the text."""

    kind: str  # text (in quotes), name (in backquotes), word, symbol, keyword, end
    text: str  # without quotes, keywords in lower case
    place: int  # of its first character, from 1
    written: str  # as in the condition

    @property
    def number(self) -> float | None:
        """The number it reads as, if it does."""
        return float(self.text) if self.kind == "word" and is_number(self.text) else None


class _Reader:
    """Recursive descent, one method a rule; each returns (|I|,) where its rule holds."""

    def __init__(self, text: str, table: pa.Table) -> None:
        self._columns = _Columns(table)
        self._tokens = _tokens(text)
        self._next = next(self._tokens)

    def condition(self) -> Mask:
        if self._next.kind == "end":
            raise UsageError("the condition is empty", _EXAMPLE)
        found = self._condition(0)
        if self._next.kind != "end":
            _expected("'and', 'or' or the end", self._next)
        return found

    def _condition(self, depth: int) -> Mask:
        found = self._conjunction(depth)
        while self._accept("or"):
            found = found | self._conjunction(depth)
        return found

    def _conjunction(self, depth: int) -> Mask:
        found = self._factor(depth)
        while self._accept("and"):
            found = found & self._factor(depth)
        return found

    def _factor(self, depth: int) -> Mask:
        negated = False
        while self._accept("not"):
            negated = not negated
        opening = self._next
        found = self._group(opening, depth) if self._accept("(") else self._test()
        return ~found if negated else found

    def _group(self, opening: _Token, depth: int) -> Mask:
        if depth == _MAX_DEPTH:
            _fail(f"more than {_MAX_DEPTH} parentheses deep", opening, "leave out some of them")
        found = self._condition(depth + 1)
        self._expect(")")
        return found

    def _test(self) -> Mask:
        column = self._columns.find(self._take("a column", "word", "name"))
        if self._accept("is"):
            return self._presence(column)
        negated = self._accept("not")
        if self._accept("contains"):
            matches = column.contains(self._value())
        elif self._accept("in"):
            matches = column.equals(self._values())
        elif negated:
            _expected("'contains' or 'in'", self._next)
        else:
            return self._comparison(column)
        return column.present & ~matches if negated else column.present & matches

    def _presence(self, column: _Column) -> Mask:
        what = "'missing' or 'present'"
        state = self._take(what, "word")
        if state.text.lower() not in ("missing", "present"):
            _expected(what, state)
        return column.present if state.text.lower() == "present" else ~column.present

    def _comparison(self, column: _Column) -> Mask:
        what = "a comparison"
        operator = self._take(what, "symbol")
        if operator.text in _EQUAL:
            return column.present & column.equals([self._value()])
        if operator.text in _DIFFERENT:
            return column.present & ~column.equals([self._value()])
        if operator.text not in _ORDERS:
            _expected(what, operator)
        return column.present & column.ordered(operator.text, self._value())

    def _values(self) -> list[_Token]:
        self._expect("(")
        values = [self._value()]
        while self._accept(","):
            values.append(self._value())
        self._expect(")")
        return values

    def _value(self) -> _Token:
        return self._take("a value", "word", "text")

    def _accept(self, text: str) -> bool:
        """Pass over a keyword or symbol, if it comes next."""
        found = self._next.kind in ("symbol", "keyword") and self._next.text == text
        if found:
            self._next = next(self._tokens)
        return found

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            _expected(repr(text), self._next)

    def _take(self, what: str, *kinds: str) -> _Token:
        """Return the next token and pass over it, if it is of one of these kinds."""
        taken = self._next
        if taken.kind not in kinds:
            _expected(what, taken)
        self._next = next(self._tokens)
        return taken


def _tokens(text: str) -> Iterator[_Token]:
    """Yield the tokens of a text, then tokens of the kind ``end``."""
    _refuse_undecodable(text)
    position = 0
    while match := _TOKEN.match(text, position):
        position = match.end()
        kind = str(match.lastgroup)
        yield _token(kind, match[kind], match.start(kind) + 1)
    rest = text[position:].lstrip()
    _refuse(rest, len(text) - len(rest) + 1)


def _token(kind: str, written: str, place: int) -> _Token:
    if kind in ("text", "name"):
        quote = written[0]
        return _Token(kind, written[1:-1].replace(2 * quote, quote), place, written)
    if kind == "word" and written.lower() in _KEYWORDS:
        return _Token("keyword", written.lower(), place, written)
    return _Token(kind, written, place, written)


def _refuse_undecodable(text: str) -> None:
    """Refuse bytes that are not text (surrogates): no cell can equal them."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"not UTF-8 at character {error.start + 1}", _EXAMPLE) from None


def _refuse(rest: str, place: int) -> NoReturn:
    """Say why no token begins here."""
    if rest[0] in "'\"`":
        quote = _Token("text", "", place, rest)
        _fail("a quote that never ends", quote, "close it; inside quotes, write the quote twice")
    _fail("unexpected", _Token("symbol", "", place, rest[0]), _QUOTING)


def _expected(what: str, found: _Token) -> NoReturn:
    if found.kind == "end":
        raise UsageError(f"expected {what} at character {found.place} (the end)", _EXAMPLE)
    # The usual mistakes are a misplaced keyword and several words without quotes.
    quoting = found.kind in ("keyword", "word")
    _fail(f"expected {what}", found, f"{_EXAMPLE}; {_QUOTING}" if quoting else _EXAMPLE)


def _fail(what: str, token: _Token, fix: str) -> NoReturn:
    shown = repr(_short(token.written))
    raise UsageError(f"{what} at character {token.place} ({shown})", fix)


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


# Comparing


@dataclass(frozen=True)
class _Column:
    """A column of the table. Comparisons return (|I|,), with any value for missing cells."""

    name: str
    texts: Any  # (|I|,) Arrow texts, empty where missing

    @cached_property
    def present(self) -> Mask:
        """(|I|,) which cells are not missing."""
        return _mask(pc.not_equal(self.texts, _text("")))

    @cached_property
    def numbers(self) -> NDArray[np.float64]:
        """(|I|,) the cells as numbers, NaN where they are none."""
        trimmed = pc.ascii_trim_whitespace(self.texts)
        numeric = pc.match_substring_regex(trimmed, _NUMBER)
        values = np.full(len(trimmed), np.nan)
        if (where := _mask(numeric)).any():
            values[where] = to_numpy(pc.filter(trimmed, numeric).cast(pa.float64()))
        return values

    def equals(self, values: Sequence[_Token]) -> Mask:
        texts = strings([value.text for value in values]).cast(pa.large_string())
        same = _mask(pc.is_in(self.texts, value_set=texts))
        wanted = [n for value in values if (n := value.number) is not None and abs(n) < _INEXACT]
        if not wanted or self.name == "id":
            return same
        return same | np.isin(self.numbers, wanted)

    def contains(self, value: _Token) -> Mask:
        # Arrow's ignore_case compiles a regular expression, which fails for long text.
        part = pc.utf8_lower(_text(value.text)).as_py()
        return _mask(pc.match_substring(pc.utf8_lower(self.texts), part))

    def ordered(self, operator: str, value: _Token) -> Mask:
        compare_numbers, compare_texts = _ORDERS[operator]
        if value.number is None:
            return _mask(compare_texts(self.texts, _text(value.text)))
        if len(self.texts) and np.isnan(self.numbers).all():
            _fail(
                f"the column {self.name!r} has no numbers to compare with",
                value,
                f"quote it to compare text: {operator} '{value.text[:_SHOWN]}'",
            )
        found: Mask = compare_numbers(self.numbers, value.number)
        return found


class _Columns:
    """The columns of a table, each prepared once."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self._ready: dict[str, _Column] = {}

    def find(self, token: _Token) -> _Column:
        name = _find(token, self._table.column_names)
        if name not in self._ready:
            # 64-bit offsets: descriptions of a million items may exceed 2 GiB.
            texts = self._table.column(name).cast(pa.large_string()).combine_chunks()
            self._ready[name] = _Column(name, pc.fill_null(texts, _text("")))
        return self._ready[name]


def _find(token: _Token, names: Sequence[str]) -> str:
    """Return the name of the column that a token names."""
    if token.text in names:
        return token.text
    alike = [name for name in names if name.casefold() == token.text.casefold()]
    if len(alike) == 1:
        return alike[0]
    if alike:
        several = " or ".join(map(repr, alike[:_LISTED]))
        _fail(f"{several} could be meant", token, "write the column's name exactly")
    shown = ", ".join(repr(_short(name)) for name in names[:_LISTED])
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    what = f"no column {_short(token.text)!r} at character {token.place}"
    raise UsageError(f"{what}; the items have {shown}{more}", _nearest(token, names))


def _nearest(token: _Token, names: Sequence[str]) -> str:
    """Return the fix for an unknown column."""
    if list(names) == ["id"]:
        return "prepare the log again with a table of the items: --items FILE"
    written = {name.casefold(): _as_written(name) for name in names if name.isprintable()}
    close = difflib.get_close_matches(token.text[:_SHOWN].casefold(), written, n=1)
    return f"did you mean {written[close[0]]}?" if close else f"name one of these; {_QUOTING}"


def _as_written(name: str) -> str:
    """Return how a condition names a column."""
    is_word = re.fullmatch(_WORD, name) and name.lower() not in _KEYWORDS
    return name if is_word else "`" + name.replace("`", "``") + "`"


def _text(text: str) -> Any:
    """Return an Arrow text; ``pyarrow.scalar`` would import pandas."""
    return strings([text]).cast(pa.large_string())[0]


def _mask(array: Any) -> Mask:
    """Return an Arrow array of truth values without nulls; NumPy's way would import pandas."""
    if not len(array):
        return np.zeros(0, np.bool_)
    mask: Mask = to_numpy(array.cast(pa.uint8())).astype(np.bool_)
    return mask
