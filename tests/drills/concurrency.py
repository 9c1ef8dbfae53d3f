"""Sixteen processes at once on one home, over fifty rounds: no version is lost, doubled or torn."""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Iterator

from tests.drills.forked import Fork
from tests.drills.shop import Ending, Shop, row, shop
from tests.drills.table import Row, show

ROUNDS, AT_ONCE = 50, 16
#: Some commands make versions, whose references they print; others read, or take away.
MAKING = (
    "fit log -v pop --name shop",
    "fit log -v itemknn --name other",
    "update shop NEW",
    "models import ARCHIVE --name imported",
    "fit log -v base --name trained --device cpu --set dims=8 --epochs 1",
)
OTHERS = (
    "recommend --user u0002",
    "recommend --model shop --all-users -k 5",
    "eval shop --device cpu",
    "models ls",
    "models verify",
    "doctor",
    "models default shop",
    "models prune shop --keep 3 --yes",
    "models prune other --keep 2 --yes",
    "models rm imported --yes",
    "prepare LOG --name log",
    "prepare LOG --name again --overwrite --min-rating 3",
    "forget --user u0077 --yes",
    "report shop -o OUT/shop.html --overwrite",
)


def main() -> int:
    """Run the drill."""
    return show(drill())


def drill() -> Iterator[Row]:
    """Yield a row for every ten rounds, each on a home of its own."""
    chance = random.Random(1)
    for first in range(0, ROUNDS, 10):
        with shop() as tried:
            endings, harm = [], []
            for _ in range(10):
                chosen = [*chance.choices(MAKING, k=6), *chance.choices(OTHERS, k=AT_ONCE - 6)]
                found = _at_once(tried, chosen)
                endings += found
                harm += _harm(tried, found)
            yield row(f"rounds {first + 1} to {first + 10}", endings, harm)


def _at_once(tried: Shop, commands: list[str]) -> list[Ending]:
    forks = [Fork(tried, command) for command in commands]
    return [fork.ended() for fork in forks]


def _harm(tried: Shop, endings: list[Ending]) -> list[str]:
    made = Counter(
        ending.out.strip() for ending in endings if ending.command in MAKING and not ending.code
    )
    harm = [
        f"{count} commands made {reference!r}" for reference, count in made.items() if count > 1
    ]
    for command in ("models verify", "doctor"):
        checked = Fork(tried, command).ended()
        if checked.code:
            harm.append(
                f"afterwards `{command}` ends with {checked.code}: {checked.out}{checked.err}"
            )
    return harm


if __name__ == "__main__":
    sys.exit(main())
