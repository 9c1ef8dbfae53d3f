"""The options of ``recommend``, and their checks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path

from diffrec_cli.config import ReadOptions
from diffrec_cli.errors import UsageError

ON_UNKNOWN = ("error", "skip", "popular")
#: Fields that may name a file to read.
FILES = ("users_file", "history", "events", "new_items", "allow", "block", "block_for")


#: Length of a list where no one says it.
DEFAULT_LENGTH = 20


@dataclass(frozen=True)
class RecommendOptions:
    """For whom to make lists, of which items, and how."""

    users: Sequence[str] = ()
    """Ids of known users."""
    users_file: str | Path | None = None
    """A file of user ids, one a line (``-`` is stdin), answered as they arrive."""
    all_users: bool = False
    """All known users, sorted by id."""
    shard: str | None = None
    """``I/N``: part I, from 1, of N of all users."""
    history: str | Path | None = None
    """A file of histories of unseen users: ``user,item[,time]``, or one item a line (``-`` is
    stdin)."""
    like: Sequence[str] = ()
    """Items to move lists towards; without users, the items of one history."""
    dislike: Sequence[str] = ()
    """Items to move lists away from, and to leave out."""
    like_where: str | None = None
    """A condition, written like `where`: move lists towards items that meet it."""
    dislike_where: str | None = None
    """The same, away from such items."""
    strength: float = 1.0
    """How strongly to move lists, see :func:`~diffrec_cli.ranking.guidance.guided`."""
    events: str | Path | None = None
    """A file ``user,item[,time]`` of interactions since the fit, appended to the histories."""
    new_items: str | Path | None = None
    """A table of items that came after the model was trained: lists may have them."""
    item_features: Sequence[str] = ()
    """Columns of the table of items by which new items are like known ones; none: all."""
    read: ReadOptions | None = None
    """How to read `history` or `events`; ``None``: as the model's log was, if they have its
    columns."""
    k: int | None = None
    """Length of the lists; ``None``: 20, or all items of a smaller catalogue."""
    include_seen: bool = False
    """Also recommend items in the history."""
    allow: str | Path | Sequence[str] | None = None
    """A file of item ids, one a line, or the ids in a list: recommend only these."""
    block: str | Path | Sequence[str] | None = None
    """The same: never recommend these."""
    block_for: str | Path | None = None
    """A file ``user,item``: never this item for this user."""
    where: str | None = None
    """Only items that meet this condition, such as ``year >= 1990 and genre contains Comedy``."""
    diversity: float = 0.0
    """0 to 1: how different from each other a list's items should be."""
    on_unknown: str = "error"
    """For an unknown user: ``error``, ``skip``, or ``popular`` items."""
    titles: bool = False
    """Add the items' titles."""
    why: bool = False
    """Add the history items that raised each score most."""
    device: str = "auto"
    """Where to compute; ``auto`` uses NumPy for a few users, without loading torch."""
    precision: str = "auto"
    """``bf16`` (torch) finds candidates in bfloat16 and scores them again; ``auto`` is ``fp32``."""

    @property
    def length(self) -> int:
        """Length of the lists."""
        return DEFAULT_LENGTH if self.k is None else self.k

    def __post_init__(self) -> None:
        """Refuse impossible options and combinations."""
        self._check_who()
        if sum(str(getattr(self, name)) == "-" for name in FILES) > 1:
            raise UsageError("several options ask for stdin (-)", "give all but one of them a file")
        if self.on_unknown not in ON_UNKNOWN:
            raise UsageError(
                f"--on-unknown {self.on_unknown}: unknown", f"one of: {', '.join(ON_UNKNOWN)}"
            )
        if self.k is not None and (not isinstance(self.k, Integral) or self.k < 1):
            raise UsageError(f"-k {self.k}: a list needs 1 item or more", "for example -k 20")
        if not 0 <= self.strength < math.inf:
            raise UsageError(f"--strength {self.strength:g}: not 0 or more", "for example 0.5")
        moves = [self.dislike, self.like_where, self.dislike_where, self.names_users and self.like]
        if self.strength != 1 and not any(moves):
            raise UsageError(
                f"--strength {self.strength:g}: nothing moves the lists",
                "give users --like, --dislike, --like-where or --dislike-where, or leave it out",
            )
        if self.item_features and self.new_items is None:
            raise UsageError("--item-features goes with --new-items", "leave it out")
        if not 0 <= self.diversity <= 1:
            raise UsageError(f"--diversity {self.diversity:g}: not 0 to 1", "for example 0.3")

    @property
    def names_users(self) -> bool:
        """Whether users are asked for, not only `like`."""
        return self._ways > 0

    @property
    def _ways(self) -> int:
        files = self.users_file is not None, self.history is not None
        return sum((bool(self.users), self.all_users, *files))

    def _check_who(self) -> None:
        if self._ways > 1 or (self._ways == 0 and not self.like):
            raise UsageError(
                "give one of --user, --users, --all-users, --history and --like"
                + (", not several" if self._ways > 1 else ""),
                "for example: diffrec recommend --user 42",
            )
        if self.shard is not None and not self.all_users:
            raise UsageError(f"--shard {self.shard}: only with --all-users", "leave --shard out")
        if self.read is not None and self.events is None and self.history is None:
            raise UsageError(
                "options of columns and lines are for --events and --history",
                "leave them out, or give such a file",
            )
        if self.events is not None and (self.history is not None or self._ways == 0):
            raise UsageError(
                "--events: for known users, who have no --history or --like",
                "put the events into the history",
            )
