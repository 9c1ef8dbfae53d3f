"""Options for reading and splitting a log."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, Literal

from diffrec_cli.config.checks import FINITE, SEED, Count, Settings, Size, check
from diffrec_cli.errors import ConfigError

#: What a model was trained on in the end; beyond ``train`` only after selection (``--refit``).
TRAINED_ON = (TRAIN, TRAIN_AND_VALID, ALL) = ("train", "train+valid", "all")
#: The same in words.
IN_WORDS = {TRAIN: "the train part", TRAIN_AND_VALID: "train and valid", ALL: "every interaction"}


#: What columns of a log can be: the first four in this order where a file has no header.
ROLES = ("user", "item", "rating", "time", "event", "weight")
#: What an option says of a role that no column has, and of one to be found by its name.
NO_COLUMN, FOUND = "none", "auto"


def split_names(text: str) -> tuple[str, ...]:
    """Return the names in a list separated by commas; one may be empty.

    Examples
    --------
    >>> split_names("purchase, cart")
    ('purchase', 'cart')
    """
    return tuple(name.strip() for name in text.split(","))


def _number(text: str) -> float:
    with suppress(ValueError):
        return float(text)
    return math.nan


@dataclass(frozen=True)
class ReadOptions(Settings):
    """How a log file is read; ``None`` means to detect it."""

    user_col: str | None = None
    """Column of user ids: a name, or a position from 1 when there is no header."""
    item_col: str | None = None
    """Column of item ids."""
    rating_col: str | None = None
    """Column of ratings; ``none``: there is none."""
    time_col: str | None = None
    """Column of timestamps; ``none``: there is none."""
    event_col: str | None = None
    """Column of kinds of events; ``auto``: the one of a known name. It is only read if one of
    these is given."""
    event_kinds: str | None = None
    """Kinds of events to keep, as in ``purchase,cart``; ``None``: all."""
    event_weights: str | None = None
    """Strength of an interaction by its kind, as in ``view=.2,cart=.5,purchase=1``; 0 leaves a kind
    out, and other kinds have 1."""
    weight_col: str | None = None
    """Column of counts, such as plays: they give an interaction the strength log2(1 + count)."""
    sep: str | None = None
    """Field separator, of one or more characters (``\\t`` for a tab)."""
    header: bool | None = None
    """Whether the first line has column names."""
    skip_lines: Count = 0
    """Lines at the beginning that are neither names nor data; comments (``#``, ``%``) are found."""
    quotes: bool | None = None
    """Whether double quotes hold a field together; ``None``: as the file shows."""
    missing: Literal["error", "skip"] = "error"
    """What to do with a row that has no user, item, rating or time: stop, or leave it out."""
    encoding: str = "utf-8"
    """Text encoding of the file."""
    time_format: str | None = None
    """strptime format of textual timestamps."""
    item_id_col: str | None = None
    """Column of ids in the table of items."""

    def __post_init__(self) -> None:
        """Check every field, and that kinds of events are named as they should be."""
        super().__post_init__()
        asked = self.event_kinds is not None or self.event_weights is not None
        if self.event_col == NO_COLUMN and asked:
            raise ConfigError(
                "event_col none reads no kinds of events, and event_kinds and event_weights do",
                "leave out --event-col none, or the others",
            )
        kinds = self.event_kinds is None or all(self.kinds)
        check(kinds, "event_kinds", self.event_kinds, "kinds separated by commas: purchase,cart")
        weights = self.weight_of_kind
        named = 0 if self.event_weights is None else len(split_names(self.event_weights))
        finite = all(0 <= weight < math.inf for weight in weights.values())
        right = named == len(weights) and all(weights) and finite
        expected = "a number of 0 or more for each kind: view=.2,cart=.5,purchase=1"
        check(right, "event_weights", self.event_weights, expected)

    @property
    def reads_events(self) -> bool:
        """Whether kinds of events are read."""
        asked = (self.event_col, self.event_kinds, self.event_weights)
        return any(one is not None for one in asked) and self.event_col != NO_COLUMN

    def for_target(self, target: str | None) -> ReadOptions:
        """Return options that read kinds of events if some are the target of a split."""
        if target is None or self.reads_events:
            return self
        if self.event_col == NO_COLUMN:
            raise ConfigError(
                "event_col none reads no kinds of events, and target does",
                "leave out --event-col none, or --target",
            )
        return replace(self, event_col=FOUND)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of events to keep; none: all of them."""
        return () if self.event_kinds is None else split_names(self.event_kinds)

    @property
    def weight_of_kind(self) -> dict[str, float]:
        """The strength of each kind that has one given; NaN is one that cannot be read.

        Kinds that are given twice are there once.
        """
        pairs = () if self.event_weights is None else split_names(self.event_weights)
        found = (pair.rpartition("=") for pair in pairs)
        return {kind.strip(): _number(weight) for kind, _, weight in found}

    @property
    def changes(self) -> dict[str, Any]:
        """What is said: fields that are not the defaults."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: v for name, v in values.items() if v != getattr(ReadOptions, name)}

    @property
    def describes_columns(self) -> bool:
        """Whether anything is said of a log's columns, lines or times."""
        return bool(self.changes.keys() - {"missing", "encoding", "item_id_col"})

    def with_changes(self, said: ReadOptions | None) -> ReadOptions:
        """Return these options with what is said instead.

        Columns stand together: if the user's or the item's is said, none of these counts any more.
        """
        changes = {} if said is None else said.changes
        if changes.keys() & {"user_col", "item_col"}:
            columns = (*(f"{role}_col" for role in ROLES), "header", "sep")
            changes = {**dict.fromkeys(columns), **changes}
        return replace(self, **changes)


@dataclass(frozen=True)
class SplitOptions(Settings):
    """How a log becomes a dataset (paper, section 4.1.1)."""

    setting: Literal["clean", "noisy", "temporal"] = "clean"
    """Clean keeps ratings at or above the threshold; noisy adds others to train and valid;
    temporal is clean and requires timestamps."""
    min_rating: Annotated[float | None, FINITE] = None
    """Lowest positive rating; ``None`` is 4 on scales up to 5, an error on others."""
    ratios: tuple[float, float, float] = (7, 1, 2)
    """Shares of train, valid and test."""
    order: Literal["times", "file", "none"] | None = None
    """Whether a user's rows are in order by the time column, as they stand in the file, or not at
    all (the split is then random, by ``seed``). ``None``: by the time column; in a log without one,
    as the rows stand if they show an order."""
    since: str | None = None
    """First moment of the log that counts: a date, ``180d`` before its last row, or a number."""
    until: str | None = None
    """First moment of the log that does not count any more."""
    test_from: str | None = None
    """First moment of test, for all users; what is before is cut into train and valid by
    ``ratios``. ``None``: test has its share of ``ratios``."""
    parts: Literal["train,valid,test", "train,test,valid"] | None = None
    """How the parts of lists that are split already follow in time. ``None``: as in the first."""
    repeats: Literal["first", "last", "max", "keep"] = "first"
    """Which of a pair's ratings counts: the oldest that is liked, the last, or the highest.
    ``keep``: each part has the pairs that are in it, though one before may have them too; a pair
    of n rows has the strength log2(1 + n)."""
    target: str | None = None
    """Kinds of events that valid and test count, as in ``purchase``; others are history. ``None``:
    all do."""
    split_by: Literal["user", "time"] = "user"
    """Whether to cut each user's sequence, or the whole log at two times."""
    noise: Literal["natural", "random"] = "natural"
    """Source of noise in the noisy setting: low ratings, or items drawn at random."""
    noise_ratio: float | None = None
    """Random noise: items added per clean item."""
    min_user_interactions: Size = 1
    """Users with fewer interactions are dropped, and items below ``min_item_interactions``, until
    there are none (k-core)."""
    min_item_interactions: Size = 1
    """Items with fewer interactions are dropped."""
    seed: Annotated[int, SEED] = 1
    """Seed of the noise, and of the split where there is no order."""

    def __post_init__(self) -> None:
        """Check every field and name the one that is wrong."""
        super().__post_init__()
        # Comparisons with infinity hold for no NaN.
        shares = all(ratio >= 0 for ratio in self.ratios) and sum(self.ratios) < math.inf
        right = len(self.ratios) == 3 and shares and self.ratios[0] > 0
        expected = "three finite numbers, the first above 0 and none below"
        check(right, "ratios", self.ratios, expected)
        for option, asks in (
            ("setting temporal", self.setting == "temporal"),
            ("split_by time", self.split_by == "time"),
            ("test_from", self.test_from is not None),
        ):
            if asks and self.order in ("file", "none"):
                raise ConfigError(
                    f"order {self.order} goes without times, and {option} reads them",
                    f"leave out --order, or --{option.replace('_', '-')}",
                )
        self._check_noise()
        self._check_repeats()

    @property
    def targets(self) -> tuple[str, ...]:
        """The kinds of events that valid and test count; none: all of them."""
        return () if self.target is None else split_names(self.target)

    def _check_repeats(self) -> None:
        """Raise a :class:`ConfigError` if parts may have the same pairs, and options forbid it."""
        check(self.target is None or all(self.targets), "target", self.target, "kinds of events")
        if self.target is not None and self.repeats in ("last", "max"):
            raise ConfigError(
                f"repeats {self.repeats} leaves one row of a pair, and target needs the others",
                "leave out --repeats, or say --repeats keep",
            )
        asked = "--target" if self.target is not None else "--repeats keep"
        if self.setting == "noisy" and (self.target is not None or self.repeats == "keep"):
            raise ConfigError(
                f"{asked} does not go with the setting 'noisy', whose interactions are all alike",
                f"leave out {asked}, or --setting noisy",
            )

    def _check_noise(self) -> None:
        """Raise a :class:`ConfigError` if options of noise have no effect."""
        ratio, random = self.noise_ratio, self.noise == "random"
        for name, given in (("noise_ratio", ratio is not None), ("noise", random)):
            option = "--noise-ratio" if name == "noise_ratio" else "--noise random"
            if given and self.setting != "noisy":
                raise ConfigError(
                    f"{name} has no effect in the setting {self.setting!r}",
                    f"{option} needs --setting noisy",
                )
        if ratio is not None and not random:
            raise ConfigError(
                "noise_ratio has no effect on natural noise", "--noise-ratio needs --noise random"
            )
        finite = ratio is not None and 0 < ratio < float("inf")
        check(finite or not random, "noise_ratio", ratio, "above 0 and finite (say 0.3)")
