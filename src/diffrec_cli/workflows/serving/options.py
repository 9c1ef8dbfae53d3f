"""What can be asked of ``recommend``, field by field, and what contradicts what."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path

from diffrec_cli.errors import UsageError

ON_UNKNOWN = ("error", "skip", "popular")
#: Fields that may name a file to read.
FILES = ("users_file", "history", "events", "allow", "block", "block_for")


@dataclass(frozen=True)
class RecommendOptions:
    """For whom lists are made, of which items, and how they look."""

    users: Sequence[str] = ()
    """Ids of known users."""
    users_file: str | Path | None = None
    """A file of them, one a line (``-`` is stdin), answered as they arrive."""
    all_users: bool = False
    """All of them, sorted by id."""
    shard: str | None = None
    """``I/N``: of all users the I-th of N parts, from 1."""
    history: str | Path | None = None
    """A file of histories of users that the model need not know: ``user,item[,time]`` with a
    header, or one item a line (``-`` is stdin)."""
    like: Sequence[str] = ()
    """Items of one history; for users who are asked for otherwise, items that their lists are
    moved towards."""
    dislike: Sequence[str] = ()
    """Items that lists are moved away from; they are in none."""
    like_where: str | None = None
    """A condition, written like `where`: lists are moved towards what goes with the items for which
    it holds; these and all others may still be in them."""
    dislike_where: str | None = None
    """The same, away from them."""
    strength: float = 1.0
    """How strongly lists are moved, see :func:`~diffrec_cli.ranking.guidance.guided`."""
    events: str | Path | None = None
    """A file ``user,item[,time]`` of what happened since: appended to the histories of known
    users, and all there is of new ones."""
    k: int = 20
    """Length of the lists."""
    include_seen: bool = False
    """Also recommend what the user has already."""
    allow: str | Path | None = None
    """A file of item ids, one a line: only these."""
    block: str | Path | None = None
    """A file of item ids: none of these."""
    block_for: str | Path | None = None
    """A file ``user,item``: not this item for this user."""
    where: str | None = None
    """Only items for which this holds, such as ``year >= 1990 and genre contains Comedy``."""
    diversity: float = 0.0
    """0 to 1: how much it counts that the items of a list are unlike each other."""
    on_unknown: str = "error"
    """For a user that the model does not know: ``error``, ``skip``, or ``popular`` items."""
    titles: bool = False
    """Add the items' titles."""
    why: bool = False
    """Add to each item those of the history that raised its score most."""
    device: str = "auto"
    """Where to compute; ``auto`` serves few users with NumPy, without loading torch."""
    precision: str = "auto"
    """``bf16`` finds candidates in bfloat16 and scores them again, where torch serves; ``auto`` is
    ``fp32``."""

    def __post_init__(self) -> None:
        """Refuse options that make no sense, or not together."""
        self._check_who()
        if sum(str(getattr(self, name)) == "-" for name in FILES) > 1:
            raise UsageError("several options ask for stdin (-)", "give all but one of them a file")
        if self.on_unknown not in ON_UNKNOWN:
            raise UsageError(
                f"--on-unknown {self.on_unknown}: unknown", f"one of: {', '.join(ON_UNKNOWN)}"
            )
        if not isinstance(self.k, Integral) or self.k < 1:
            raise UsageError(f"-k {self.k}: a list needs 1 item or more", "for example -k 20")
        if not 0 <= self.strength < math.inf:
            raise UsageError(f"--strength {self.strength:g}: not 0 or more", "for example 0.5")
        moves = [self.dislike, self.like_where, self.dislike_where, self.names_users and self.like]
        if self.strength != 1 and not any(moves):
            raise UsageError(
                f"--strength {self.strength:g}: nothing moves the lists",
                "give users --like, --dislike, --like-where or --dislike-where, or leave it out",
            )
        if not 0 <= self.diversity <= 1:
            raise UsageError(f"--diversity {self.diversity:g}: not 0 to 1", "for example 0.3")

    @property
    def names_users(self) -> bool:
        """Whether somebody is asked for besides by `like`."""
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
        if self.events is not None and (self.history is not None or self._ways == 0):
            raise UsageError(
                "--events: for known users, who have no --history or --like",
                "put the events into the history",
            )
