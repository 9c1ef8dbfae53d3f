"""Two who want one name at once, and readers of what goes: ``python -m tests.drills.races``.

Without ``--overwrite`` one of a pair gets the name and the other is told that it is taken.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.drills.shop import READING, Ending, Shop, row, shop
from tests.drills.table import Row, show

PAIRS = 15
#: Commands of a pair; the first word of a row is what both want.
_PAIRS = {
    "prepare, other content": ("prepare LOG --name new", "prepare NEW --name new"),
    "models export": ("models export shop OUT/new.tar",) * 2,
    "report": ("report shop -o OUT/new.html --user u0001",) * 2,
    "data sample": (
        "data sample OUT/new.csv --users 120 --items 60 --interactions 2400 --seed 1",
        "data sample OUT/new.csv --users 120 --items 60 --interactions 2400 --seed 2",
    ),
    "export --vectors": ("export shop --vectors OUT/new --device cpu",) * 2,
}
_GOES = (
    ("models rm shop@2 --yes", "models import ARCHIVE --name shop"),
    ("models mv shop sold", "models mv sold shop"),
)


def _at_once(shop: Shop, commands: Sequence[str]) -> list[Ending]:
    with ThreadPoolExecutor(len(commands)) as threads:
        return list(threads.map(shop.run, commands))


def _pair(shop: Shop, commands: Sequence[str]) -> tuple[list[Ending], list[str]]:
    endings = _at_once(shop, commands)
    done = [ending for ending in endings if ending.code == 0]
    harm = [] if len(done) == 1 else [f"{len(done)} of two have `{commands[0]}` done"]
    harm += [found for found in [shop.left_over()] if found]
    shutil.rmtree(shop.home / "datasets" / "new", ignore_errors=True)
    for path in shop.out.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return endings, harm


def drill(pairs: int = PAIRS) -> list[Row]:
    """Run the pairs, then readers while their model goes and comes."""
    rows = []
    with shop() as one:
        for kind, commands in _PAIRS.items():
            tried = [_pair(one, commands) for _ in range(pairs)]
            endings = [ending for pair, _ in tried for ending in pair]
            rows.append(row(f"race: {kind}", endings, [h for _, wrong in tried for h in wrong]))
        one.run(_GOES[0][1])
        endings = []
        readers = [command for command in READING if "log" not in command]
        for number in range(pairs):
            goes = _GOES[number % 2]
            two = [readers[(2 * number + i) % len(readers)] for i in (0, 1)]
            endings += _at_once(one, [*two, goes[0]])
            one.run(goes[1])
        rows.append(row("race: a model goes", endings, filter(None, [one.harm()])))
    return rows


def main() -> int:
    return show(drill())


if __name__ == "__main__":
    sys.exit(main())
