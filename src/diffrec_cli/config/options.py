"""Options for reading and splitting a log."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, Literal

from diffrec_cli.config.checks import FINITE, SEED, Count, Settings, Size, check
from diffrec_cli.errors import ConfigError

#: What a model was trained on in the end; beyond ``train`` only after selection (``--refit``).
TRAINED_ON = (TRAIN, TRAIN_AND_VALID, ALL) = ("train", "train+valid", "all")
#: The same in words.
IN_WORDS = {TRAIN: "the train part", TRAIN_AND_VALID: "train and valid", ALL: "every interaction"}


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
            columns = ("user_col", "item_col", "rating_col", "time_col", "header", "sep")
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
    repeats: Literal["first", "last", "max"] = "first"
    """Which of a pair's ratings counts: the oldest that is liked, the last, or the highest."""
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
