"""The roles of a log's columns, recognised by their names.

Names are compared without case, spaces, underscores, dashes, and the type suffix of RecBole's files
(``user_id:token``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from diffrec_cli.config import ReadOptions
from diffrec_cli.config.options import FOUND, NO_COLUMN, ROLES
from diffrec_cli.errors import DataError, UsageError

#: Roles by place in a file without a header.
_BY_PLACE = ROLES[:4]
#: Roles that only an option asks for.
_ASKED_FOR = ("event", "weight")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Recognised names of every role, normalised; where several are there, the first group counts.
NAMES: Mapping[str, tuple[frozenset[str], ...]] = {
    "user": (
        _words("user userid uid"),
        _words(
            "username reviewer reviewerid customer customerid member memberid account accountid "
            "visitorid"
        ),
    ),
    "item": (
        _words("item itemid iid"),
        _words(
            "movie movieid asin parentasin business businessid product productid isbn track "
            "trackid song songid artist artistid book bookid gmapid sku animeid gameid recipeid "
            "articleid videoid joke jokeid stockcode"
        ),
    ),
    "rating": (
        _words("rating ratings userrating bookrating starrating"),
        _words("stars star overall score myscore userscore"),
        _words("label eventvalue"),
    ),
    "time": (  # the finer, the earlier
        _words("timestamp unixreviewtime unixtime ts timems timestampms"),
        _words(
            "time eventtime datetime createdat ratedat reviewedat mylastupdated reviewtime "
            "invoicedate"
        ),
        _words("date reviewdate tdat transactiondt"),
    ),
    "event": (_words("event eventtype behavior behaviour behaviortype"), _words("type")),
    "title": (
        _words("title"),
        _words(
            "movietitle booktitle itemtitle producttitle name itemname productname "
            "businessname trackname songname artistname"
        ),
    ),
}
#: Unused columns that are named.
_UNUSED = 6

_DATE = re.compile(r"\d{4}-\d\d-\d\d|\d{1,2}/\d{1,2}/\d{4}")
_RECBOLE_SUFFIX = re.compile(r":(token|float)(_seq)?$")


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a log by role.

    Parameters
    ----------
    names
        Names of all columns, for messages; made up where the file has no header.
    user, item, rating, time, event, weight
        0-based positions; ``None`` where the log has no such column.
    """

    names: tuple[str, ...]
    user: int
    item: int
    rating: int | None = None
    time: int | None = None
    event: int | None = None
    weight: int | None = None

    def position(self, role: str) -> int | None:
        """Return the 0-based position of a role's column."""
        place: int | None = getattr(self, role)
        return place


def base_name(name: str) -> str:
    """Return a column's name without the type suffix of RecBole's files.

    Examples
    --------
    >>> base_name("user_id:token")
    'user_id'
    """
    return _RECBOLE_SUFFIX.sub("", name.strip().lstrip("\ufeff"))


def is_recbole(header: Sequence[str]) -> bool:
    """Tell whether every name of a header carries one of RecBole's type suffixes."""
    return all(_RECBOLE_SUFFIX.search(name.strip()) for name in header)


def normalise(name: str) -> str:
    """Return the form in which names are compared.

    Examples
    --------
    >>> normalise("Book-Rating"), normalise("user_id:token")
    ('bookrating', 'userid')
    """
    return re.sub(r"[\s_\-]+", "", base_name(name)).casefold()


def recognise(header: Sequence[str], role: str) -> list[int]:
    """Return the positions of the columns whose names fit `role` best.

    Examples
    --------
    >>> recognise(["book_id", "item_id", "isbn"], "item"), recognise(["book_id", "isbn"], "item")
    ([1], [0, 1])
    """
    names = list(map(normalise, header))
    found = ([p for p, name in enumerate(names) if name in group] for group in NAMES[role])
    return next(filter(None, found), [])


def is_header(fields: Sequence[str], options: ReadOptions) -> bool:
    """Tell whether the first line of a log holds column names.

    It does if a user and an item column are recognised, or an option names one of its fields.
    """
    if any(_named(fields, name) for name in _overrides(options).values()):
        return True
    return all(recognise(fields, role) for role in ("user", "item"))


def is_record(fields: Sequence[str]) -> bool:
    """Tell whether the first line of a log can only be data.

    That is if every field is a number, or every field from the third on, if there is a third.

    Examples
    --------
    >>> is_record(["u1", "i1", "4.5"]), is_record(["u1", "i1"]), is_record(["1", "2"])
    (True, False, True)
    """
    if len(fields) < 2:
        return False
    fields = fields[:-1] if len(fields) > 2 and not fields[-1] else fields  # a separator at the end
    rest = fields[2:]
    return all(map(is_number, rest)) if rest else all(map(is_number, fields))


def is_number(text: str) -> bool:
    """Tell whether `text` is a finite decimal number."""
    try:
        return math.isfinite(float(text)) and "_" not in text
    except ValueError:
        return False


def is_date(text: str) -> bool:
    """Tell whether a text begins with a date that is all numbers."""
    return _DATE.match(text) is not None


def named_columns(header: Sequence[str], options: ReadOptions, where: str) -> Columns:
    """Find every role's column in a header.

    Parameters
    ----------
    header
        Column names, as written.
    options
        ``user_col`` and so on, which go before recognition.
    where
        The file, for messages.

    Raises
    ------
    DataError
        The user or item column is missing, a role has two candidates, or an option names no column.
    UsageError
        Two roles were given the same column.
    """
    given = _overrides(options)
    unread = {*_left_out(options), *_not_asked(options, given)}
    places = {
        role: None if role in unread else _find(header, role, given.get(role), where)
        for role in ROLES
    }
    return _columns(tuple(base_name(name) for name in header), places, where)


def numbered_columns(fields: int, options: ReadOptions, where: str) -> Columns:
    """Assign roles to the columns of a file that has no header.

    Options are positions from 1. If none is given, the columns are user, item, rating and time, as
    many as there are. If one is, the others than user and item are read only from columns that are
    given, and these two take the first columns that are left. Ratings or times that are said to be
    none are skipped where there are columns enough for them.

    Parameters
    ----------
    fields
        Number of columns.
    options, where
        As in :func:`named_columns`.

    Raises
    ------
    DataError
        There is no such position, or no column is left for the user or the item.
    UsageError
        Two roles were given the same column.
    """
    given = {
        role: _position(role, text, fields, where) for role, text in _overrides(options).items()
    }
    if options.reads_events and "event" not in given:
        _missing("event", [f"column {place + 1}" for place in range(fields)], where)
    wanted = ROLES[:2] if given else _BY_PLACE
    left_out = _left_out(options)
    free = iter([place for place in range(fields) if place not in given.values()])
    places: dict[str, int | None] = dict.fromkeys(ROLES)
    for role in ROLES:
        if role in given:
            places[role] = given[role]
        elif role in wanted and role not in left_out:
            places[role] = next(free, None)
        elif (
            role in _BY_PLACE and fields >= len(_BY_PLACE) and not given
        ):  # a column that is not to be read
            next(free, None)
    names = _made_up_names(fields, places)
    for role in ("user", "item"):
        if places[role] is None:
            _missing(role, names, where)
    return _columns(names, places, where)


def title_column(header: Sequence[str]) -> int | None:
    """Return the position of the title in an item table, if one is recognised."""
    return next(iter(recognise(header, "title")), None)


def in_words(columns: Columns, header: bool) -> str:
    """Return which column was taken for what, and which were not.

    Examples
    --------
    >>> in_words(Columns(("userId", "movieId", "price"), 0, 1), header=True)
    "user from 'userId', item from 'movieId'; no rating: every row counts; not used: 'price'"
    >>> in_words(Columns(("item", "user", "rating"), 1, 0, 2), header=False)
    'no header; user from column 2, item from column 1, rating from column 3'
    """
    taken = {role: place for role in ROLES if (place := columns.position(role)) is not None}

    def column(place: int) -> str:
        name = columns.names[place][:40] if header else ""
        return repr(name) if name else f"column {place + 1}"

    unused = [place for place in range(len(columns.names)) if place not in taken.values()]
    said = [", ".join(f"{role} from {column(place)}" for role, place in taken.items())]
    if not header:
        said.insert(0, "no header")
    if columns.rating is None:
        said.append("no rating: every row counts")
    if unused:
        more = f" and {len(unused) - _UNUSED} more" if len(unused) > _UNUSED else ""
        said.append(f"not used: {', '.join(map(column, unused[:_UNUSED]))}{more}")
    if header and columns.event is None and (events := recognise(columns.names, "event")):
        said.append(f"--event-col {columns.names[events[0]]} reads kinds of events")
    return "; ".join(said)


def check_options(columns: Columns, options: ReadOptions, where: str) -> None:
    """Raise a :class:`DataError` for an option whose column is not there."""
    if options.time_format is not None and columns.time is None:
        raise DataError(
            f"{where}: --time-format, and no time column found; it has {_listed(columns.names)}",
            "name it with --time-col, or leave --time-format out",
        )


def check_guess(columns: Columns, fields: Sequence[str], options: ReadOptions, where: str) -> None:
    """Raise a :class:`DataError` if users or items were guessed to be in a column of dates.

    Parameters
    ----------
    columns, where
        The roles, and the file.
    fields
        The first row of data.
    options
        A column that is given is no guess.
    """
    for role in ("user", "item"):
        place = columns.position(role)
        guessed = getattr(options, f"{role}_col") is None
        if guessed and place is not None and is_date(fields[place]):
            raise DataError(
                f"{where}: no header, and column {place + 1}, which would be the {role}, has dates:"
                f" {fields[place]!r}",
                "say which columns are what, by position: --user-col 1 --item-col 3 --time-col 2",
            )


def _overrides(options: ReadOptions) -> dict[str, str]:
    """Return the columns that are given, by role."""
    given = {role: getattr(options, f"{role}_col") for role in ROLES}
    left_out = {*_left_out(options), *(["event"] if options.event_col == FOUND else [])}
    return {r: str(name) for r, name in given.items() if name is not None and r not in left_out}


def _not_asked(options: ReadOptions, given: Mapping[str, str]) -> set[str]:
    """Return the roles that no column has unless an option asks for it."""
    asked = {*given, *(["event"] if options.reads_events else [])}
    return set(_ASKED_FOR) - asked


def _left_out(options: ReadOptions) -> frozenset[str]:
    """Return the roles that no column has, as an option says."""
    return frozenset(role for role in ROLES[2:] if getattr(options, f"{role}_col") == NO_COLUMN)


def _named(header: Sequence[str], name: str) -> list[int]:
    exact = [place for place, column in enumerate(header) if column == name]
    return exact or [place for place, column in enumerate(header) if base_name(column) == name]


def _find(header: Sequence[str], role: str, name: str | None, where: str) -> int | None:
    places = recognise(header, role) if name is None else _named(header, name)
    if len(places) > 1:
        found = ", ".join(repr(header[place]) for place in places)
        raise DataError(
            f"{where}: {len(places)} columns could be the {role}: {found}",
            "rename the columns so that their names differ"
            if name is not None or len({header[place] for place in places}) == 1
            else f"say which one with --{role}-col",
        )
    if places:
        return places[0]
    if name is not None:
        raise DataError(
            f"{where}: there is no column {name!r}; it has {_listed(header)}",
            f"give --{role}-col one of these names (or --no-header and a position from 1)",
        )
    if role in ("user", "item", "event"):
        _missing(role, header, where)
    return None


def _position(role: str, text: str, fields: int, where: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= fields:
        return int(text) - 1
    raise DataError(
        f"{where}: there is no column {text!r}; without a header it has columns 1 to {fields}",
        f"give --{role}-col a position from 1 to {fields}",
    )


def _missing(role: str, header: Sequence[str], where: str) -> NoReturn:
    if role == "event":
        raise DataError(
            f"{where}: no column of events found; it has {_listed(header)}",
            "name it with --event-col",
        )
    raise DataError(
        f"{where}: no {role} column found; it has {_listed(header)}",
        "name the columns with --user-col and --item-col, or say --no-header if the first line "
        "is data (and --sep if the fields are not separated as they should be)",
    )


def _listed(header: Sequence[str], limit: int = 20) -> str:
    shown = ", ".join(repr(name[:40]) for name in header[:limit])
    more = f" and {len(header) - limit} more" if len(header) > limit else ""
    return f"the columns {shown}{more}"


def _made_up_names(fields: int, places: Mapping[str, int | None]) -> tuple[str, ...]:
    names = [f"column {place + 1}" for place in range(fields)]
    for role, place in places.items():
        if place is not None:
            names[place] = role
    return tuple(names)


def _columns(names: tuple[str, ...], places: Mapping[str, int | None], where: str) -> Columns:
    taken = [place for place in places.values() if place is not None]
    if len(set(taken)) < len(taken):
        raise UsageError(
            f"{where}: one column cannot be two of {', '.join(ROLES[:-1])} and {ROLES[-1]}",
            "give --user-col, --item-col, --rating-col and the others different columns",
        )
    user, item = places["user"], places["item"]
    if user is None or item is None:
        _missing("user" if user is None else "item", names, where)
    others = (places[role] for role in ROLES[2:])
    return Columns(names, user, item, *others)
