"""A made-up log that resembles real ones, for tours and tests.

Popularity has a long tail. Users have tastes (groups of items, and favourite shelves in them) that
drift. A fifth of the events are popular items outside a user's tastes, with low ratings.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from diffrec_cli.data.splitting.grouping import ranks_within
from diffrec_cli.data.tables import write_file, write_stream
from diffrec_cli.errors import UsageError
from diffrec_cli.files import check_user_file

_MAX_GROUPS = 12
_SHELVES = 3  # per group
_OFF_TASTE = 0.2  # share of events
_FAVOURITE_SHELF = 0.8  # share of events in taste
_LASTING_TASTE = 0.2  # share of events in taste that do not drift
_ZIPF = 0.7
_MIN_EVENTS = 8
_LARGEST_SHARE = 0.6  # of the catalogue, for one user
_START, _WINDOW = 1_500_000_000, 2 * 365 * 86400  # July 2017, and two years, in seconds

_TASTE_RATINGS = (0.0, 0.02, 0.1, 0.5, 1.0)  # cumulative, of 1 to 5
_OFF_RATINGS = (0.3, 0.7, 1.0, 1.0, 1.0)
_KINDS = ["view", "cart", "purchase"]
_TO_CART, _TO_PURCHASE = (0.1, 0.5), (0.3, 0.6)  # chances off taste, and in taste

_GENRES = (
    "Drama Comedy Thriller Adventure Romance Mystery Fantasy Documentary Western Musical War Horror"
)
_ADJECTIVES = (
    "Silent Golden Broken Distant Crimson Hidden Restless Paper Midnight Borrowed Frozen Gentle "
    "Hollow Electric Wandering Forgotten Salted Velvet Burning Patient Crooked Winter Amber Secret "
    "Second Northern Lonely Marble Sleeping Copper Stolen Quiet Scarlet Drifting Painted Last"
)
_NOUNS = (
    "Harbour Orchard Lantern River Letter Garden Island Station Mirror Summer Violin Kingdom "
    "Lighthouse Market Promise Shadow Bridge Window Captain Meadow Compass Engine Carnival Library "
    "Sparrow Castle Desert Signal Staircase Harvest Archive Ferry Anthem Tiger Village Clockmaker"
)
_PATTERNS = (
    ("The ", " ", ""),
    ("", " ", ""),
    ("Our ", " ", " for Two"),
    ("Return to the ", " ", ""),
    ("My ", " ", ""),
    ("", " ", " Blues"),
    ("Beyond the ", " ", ""),
    ("The Last Days of the ", " ", ""),
    ("One ", " ", " Too Many"),
    ("Song of the ", " ", ""),
)


@dataclass(frozen=True)
class SampleOptions:
    """Size of a made-up log."""

    users: int = 1000
    """Number of users."""
    items: int = 600
    """Number of items."""
    interactions: int = 40_000
    """Number of rows: distinct pairs of a user and an item."""
    seed: int = 1
    """Seed; equal options give equal logs."""
    repeat_share: float = 0.0
    """Share of further rows that repeat an item which the user had before, mostly a frequent or a
    late one."""
    drift: float = 1.0
    """How far tastes move: 0 not at all, 1 to another taste in the end."""
    events: bool = False
    """Whether rows are views, carts and purchases: who buys has put it into the cart, and viewed
    it. Then there are more rows than interactions, and no ratings."""

    def __post_init__(self) -> None:
        """Check that such a log is possible."""
        _check(self.users >= 2, "users", self.users, "2 or more")
        _check(self.items >= 20, "items", self.items, "20 or more")
        _check(
            self.users <= self.interactions <= self.users * self.items // 2,
            "interactions",
            self.interactions,
            f"from {self.users} (one a user) to {self.users * self.items // 2} (half of all pairs)",
        )
        _check(self.users * self.items < 2**62, "users", self.users, "fewer")
        _check(self.seed >= 0, "seed", self.seed, "0 or more")
        _check(0 <= self.repeat_share < 1, "repeat-share", self.repeat_share, "0 or more, below 1")
        _check(0 <= self.drift <= 1, "drift", self.drift, "from 0 to 1")


def _check(holds: bool, name: str, value: float, expected: str) -> None:
    if not holds:
        raise UsageError(f"a sample with --{name} {value} cannot be made", f"it must be {expected}")


@dataclass(frozen=True, slots=True)
class _Catalogue:
    """Items sorted by group and shelf; `weight_before[i]` is the popularity of items before i."""

    shelf_start: NDArray[np.int64]  # (groups * shelves + 1,)
    weight_before: NDArray[np.float64]  # (items + 1,)
    item: NDArray[np.int64]  # (items,) number of the item at each place

    @property
    def groups(self) -> int:
        return (len(self.shelf_start) - 1) // _SHELVES


@dataclass(frozen=True, slots=True)
class _Events:
    """One entry an event, grouped by user, oldest first."""

    user: NDArray[np.int64]
    start: NDArray[np.int64]  # first place in the catalogue of what the event draws from
    end: NDArray[np.int64]  # and the place after the last
    off_taste: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Rows:
    """One entry a row of the log; `value` is its rating, or its kind of event."""

    user: NDArray[np.int64]
    item: NDArray[np.int64]
    value: NDArray[np.int64]
    time: NDArray[np.int64]
    off_taste: NDArray[np.bool_]

    def take(self, places: NDArray[np.int64]) -> _Rows:
        """Return some rows."""
        return _Rows(
            self.user[places],
            self.item[places],
            self.value[places],
            self.time[places],
            self.off_taste[places],
        )

    def above(self, others: _Rows) -> _Rows:
        """Return these rows, and others after them."""
        return _Rows(
            np.concatenate([self.user, others.user]),
            np.concatenate([self.item, others.item]),
            np.concatenate([self.value, others.value]),
            np.concatenate([self.time, others.time]),
            np.concatenate([self.off_taste, others.off_taste]),
        )


def _with_repeats(rng: np.random.Generator, options: SampleOptions, rows: _Rows) -> _Rows:
    """Return the rows, and others of the same pairs later, so many that they are a share of all.

    Each item of a taste wears out at a pace of its own: a few are bought again and again.
    """
    wanted = round(len(rows.user) * options.repeat_share / (1 - options.repeat_share))
    pace = rng.lognormal(0.0, 1.5, len(rows.user)) * ~rows.off_taste
    again = rows.take(rng.choice(len(rows.user), wanted, p=pace / pace.sum()))
    end = np.zeros(options.users, np.int64)
    np.maximum.at(end, rows.user, rows.time)
    later = again.time + rng.random(wanted) * (end[again.user] - again.time + 86_400)
    return rows.above(replace(again, time=later.astype(np.int64) + 1))


def _funnel(rng: np.random.Generator, rows: _Rows) -> _Rows:
    """Return a view for each row, and of some a cart and a purchase soon after it."""
    cart = rng.random(len(rows.user)) < np.where(rows.off_taste, *_TO_CART)
    bought = cart & (rng.random(len(rows.user)) < np.where(rows.off_taste, *_TO_PURCHASE))
    stages = [np.arange(len(rows.user)), np.flatnonzero(cart), np.flatnonzero(bought)]
    found = [rows.take(stage) for stage in stages]
    parts = [
        replace(part, value=np.full(len(part.user), kind), time=part.time + kind * 60)
        for kind, part in enumerate(found)
    ]
    return parts[0].above(parts[1]).above(parts[2])


def sample_log(options: SampleOptions) -> tuple[pa.Table, pa.Table]:
    """Make up a log and the table of its items.

    Parameters
    ----------
    options
        Sizes and seed.

    Returns
    -------
    Table of user, item, rating (1 to 5) or event, and timestamp (seconds), oldest first; and table
    (items,) of item, title, genre and year.
    """
    rng = np.random.default_rng(options.seed)
    catalogue = _catalogue(rng, options)
    events = _events(rng, options, catalogue)
    places = _draw_distinct_items(rng, options, catalogue, events)
    rating = _ratings(rng, events.off_taste)
    time = _timestamps(rng, events.user)
    table = _item_table(rng, catalogue)
    rows = _Rows(events.user, catalogue.item[places], rating, time, events.off_taste)
    if options.repeat_share:
        rows = _with_repeats(rng, options, rows)
    if options.events:
        rows = _funnel(rng, rows)
    order = np.argsort(rows.time, kind="stable")
    what = (
        {"event": _take(_KINDS, rows.value[order])}
        if options.events
        else {"rating": rows.value[order]}
    )
    log = pa.table(
        {
            "user": _numbered("u", options.users).take(pa.array(rows.user[order])),
            "item": _numbered("i", options.items).take(pa.array(rows.item[order])),
            **what,
            "timestamp": rows.time[order],
        }
    )
    return log, table


def write_sample(
    path: str | Path, options: SampleOptions, *, overwrite: bool = False
) -> tuple[Path, Path]:
    """Write a made-up log and its items as CSV.

    Parameters
    ----------
    path
        ``OUT`` or ``OUT.csv``.
    options
        Sizes and seed.
    overwrite
        Replace files of these names.

    Returns
    -------
    Paths of ``OUT.csv`` and ``OUT-items.csv``.

    Raises
    ------
    UsageError
        One of them exists and `overwrite` is not set, or cannot be written.
    """
    stem = str(path).removesuffix(".csv")
    log, items = Path(f"{stem}.csv"), Path(f"{stem}-items.csv")
    check_user_file(log, overwrite=overwrite)
    rows, table = sample_log(options)
    # The log comes last: what a kill leaves is a table without it, which is taken as it is.
    if overwrite or not _is_written(items, table):
        write_file(items, [table], overwrite=overwrite)
    write_file(log, [rows], overwrite=overwrite)
    return log, items


def _is_written(path: Path, table: pa.Table) -> bool:
    """Tell whether a file has the rows of a table already."""
    content = BytesIO()
    write_stream(content, "csv", [table])
    with suppress(OSError):
        return path.read_bytes() == content.getvalue()
    return False


def _catalogue(rng: np.random.Generator, options: SampleOptions) -> _Catalogue:
    # A user's three tastes need clearly more items than the user has events.
    mean = options.interactions / options.users
    groups = int(np.clip(options.items / mean, 3, _MAX_GROUPS))
    shelves = groups * _SHELVES
    start = np.linspace(0, options.items, shelves + 1).round().astype(np.int64)
    popularity = (1.0 + rng.permutation(options.items)) ** -_ZIPF
    weight_before = np.concatenate([[0.0], np.cumsum(popularity)])
    return _Catalogue(start, weight_before, rng.permutation(options.items))


def _events(rng: np.random.Generator, options: SampleOptions, catalogue: _Catalogue) -> _Events:
    """Choose for each event the items to draw from: a shelf, a group, or all."""
    counts = _activity(rng, options)
    user = np.repeat(np.arange(options.users), counts)
    n = len(user)
    progress = ranks_within(user) / np.maximum(counts - 1, 1)[user]  # 0 to 1

    # Three tastes a user: the first fades, the second takes over, the third stays.
    tastes = rng.permuted(np.tile(np.arange(catalogue.groups), (options.users, 1)), axis=1)[:, :3]
    shelf = rng.integers(_SHELVES, size=(options.users, 3))
    moved = rng.random(n) < options.drift / (1 + np.exp(-10 * (progress - 0.5)))
    which = np.where(rng.random(n) < _LASTING_TASTE, 2, moved.astype(np.int64))

    first = tastes[user, which] * _SHELVES
    favourite = rng.random(n) < _FAVOURITE_SHELF
    low = first + np.where(favourite, shelf[user, which], 0)
    high = np.where(favourite, low + 1, first + _SHELVES)
    off_taste = rng.random(n) < _OFF_TASTE
    low, high = np.where(off_taste, 0, low), np.where(off_taste, catalogue.groups * _SHELVES, high)
    return _Events(user, catalogue.shelf_start[low], catalogue.shelf_start[high], off_taste)


def _activity(rng: np.random.Generator, options: SampleOptions) -> NDArray[np.int64]:
    """Return (users,) numbers of events, lognormal, whose sum is exact."""
    least = min(_MIN_EVENTS, options.interactions // options.users)
    most = max(least, int(options.items * _LARGEST_SHARE))
    weights = rng.lognormal(0.0, 0.7, options.users)
    counts = np.full(options.users, least)
    while missing := options.interactions - int(counts.sum()):
        room = np.where(counts < most, weights, 0.0)
        extra = np.floor(missing * room / room.sum()).astype(np.int64)
        if not extra.any():  # the remainder, one each to the most active
            extra[np.argsort(-room, kind="stable")[:missing]] = 1
        counts = np.minimum(counts + extra, most)
    return counts


def _draw_distinct_items(
    rng: np.random.Generator, options: SampleOptions, catalogue: _Catalogue, events: _Events
) -> NDArray[np.int64]:
    """Draw every event's place in the catalogue by popularity, no item twice for a user.

    A repeated pair is drawn again: twice from the same shelf, then from ever wider ranges.
    """
    places = np.empty(len(events.user), np.int64)
    taken = np.zeros(0, np.int64)
    pending = np.arange(len(events.user))
    start, end = events.start.copy(), events.end.copy()
    flat = False
    attempt = 0
    while len(pending):
        drawn = _draw(rng, catalogue, start[pending], end[pending], flat)
        keys = events.user[pending] * options.items + drawn
        first = np.zeros(len(pending), np.bool_)
        first[np.unique(keys, return_index=True)[1]] = True
        accepted = first & ~_contains(taken, keys)
        places[pending[accepted]] = drawn[accepted]
        taken = np.sort(np.concatenate([taken, keys[accepted]]))
        pending = pending[~accepted]
        attempt += 1
        if attempt > 2:
            width = end[pending] - start[pending]
            start[pending] = np.maximum(0, start[pending] - (width + 1) // 2)
            end[pending] = np.minimum(options.items, end[pending] + (width + 1) // 2)
        flat = attempt > 6  # popular items are exhausted first
    return places


def _draw(
    rng: np.random.Generator,
    catalogue: _Catalogue,
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    flat: bool,
) -> NDArray[np.int64]:
    if flat:
        return rng.integers(start, end)
    low, high = catalogue.weight_before[start], catalogue.weight_before[end]
    target = low + rng.random(len(start)) * (high - low)
    found = np.searchsorted(catalogue.weight_before, target, side="right") - 1
    return np.clip(found, start, end - 1)


def _contains(ascending: NDArray[np.int64], keys: NDArray[np.int64]) -> NDArray[np.bool_]:
    if not len(ascending):
        return np.zeros(len(keys), np.bool_)
    place = np.minimum(np.searchsorted(ascending, keys), len(ascending) - 1)
    found: NDArray[np.bool_] = ascending[place] == keys
    return found


def _ratings(rng: np.random.Generator, off_taste: NDArray[np.bool_]) -> NDArray[np.int64]:
    draw = rng.random(len(off_taste))
    liked = np.searchsorted(_TASTE_RATINGS, draw, side="right")
    disliked = np.searchsorted(_OFF_RATINGS, draw, side="right")
    return np.where(off_taste, disliked, liked) + 1


def _timestamps(rng: np.random.Generator, user: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return times, ascending for each user: bursts of hours, pauses of weeks."""
    gaps = rng.lognormal(12.0, 2.0, len(user)).clip(1, 30 * 86400).astype(np.int64) + 1
    total = np.cumsum(gaps)
    begin = np.flatnonzero(ranks_within(user) == 0)
    joined = _START + rng.integers(_WINDOW, size=len(begin))
    return total - np.repeat(total[begin] - joined, np.diff(np.append(begin, len(user))))


def _item_table(rng: np.random.Generator, catalogue: _Catalogue) -> pa.Table:
    items = len(catalogue.item)
    group = np.empty(items, np.int64)
    shelf = np.searchsorted(catalogue.shelf_start, np.arange(items), side="right") - 1
    group[catalogue.item] = shelf // _SHELVES
    return pa.table(
        {
            "item": _numbered("i", items),
            "title": _titles(rng, items),
            "genre": _take(_GENRES.split(), group),
            "year": rng.integers(1950, 2020, items),
        }
    )


def _titles(rng: np.random.Generator, count: int) -> pa.Array:
    """Return (count,) distinct titles, numbered when the words run out."""
    adjectives, nouns = _ADJECTIVES.split(), _NOUNS.split()
    words = len(adjectives) * len(nouns) * len(_PATTERNS)
    code = rng.permutation(max(count, words))[:count]
    volume, code = np.divmod(code, words)
    code, pattern = np.divmod(code, len(_PATTERNS))
    adjective, noun = np.divmod(code, len(nouns))
    before, between, after = (_take([p[i] for p in _PATTERNS], pattern) for i in range(3))
    number = pc.binary_join_element_wise(", Part ", pa.array(volume + 1).cast(pa.string()), "")
    return pc.binary_join_element_wise(
        before,
        _take(adjectives, adjective),
        between,
        _take(nouns, noun),
        after,
        pc.if_else(pa.array(volume > 0), number, ""),
        "",
    )


def _take(words: list[str], index: NDArray[np.int64]) -> pa.Array:
    return pa.array(words).take(pa.array(index))


def _numbered(letter: str, count: int) -> pa.Array:
    """Return (count,) ids such as u0001, zero-padded to at least four digits."""
    digits = pa.array(np.arange(1, count + 1)).cast(pa.string())
    padded = pc.utf8_lpad(digits, width=max(4, len(str(count))), padding="0")
    return pc.binary_join_element_wise(letter, padded, "")
