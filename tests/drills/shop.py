"""A small shop to try things on: its log, its model, and the program in a process of its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.drills.table import Row

PROGRAM = (sys.executable, "-m", "diffrec_cli")
#: Exit codes of the package's errors, and those of signals.
REFUSED, SIGNALLED = range(2, 8), (130, 141, 143)
LEFT_OVER = ".incoming-"
_MOST_SECONDS = 300
_CALLED_DAMAGED = re.compile(r"damaged|cannot be loaded|import (it|the model) again")

#: Commands that read, and those that write; LOG, NEW, ARCHIVE and OUT are replaced by paths.
READING = (
    "models ls",
    "models verify",
    "models show",
    "data ls",
    "data show log",
    "recommend --user u0001",
    "recommend --history NEW",
    "similar i0003",
    "eval shop --device cpu",
    "doctor",
)
FAST_FIT = "--device cpu --set dims=16 --epochs 2"
WRITING = (
    "prepare LOG --name other --min-rating 3",
    f"fit log -v t --name shop {FAST_FIT}",
    "update shop NEW",
    "models import ARCHIVE",
    "models export shop OUT/shop.tar --overwrite",
    "data sample OUT/made.csv --overwrite --users 120 --items 60 --interactions 2400",
    "recommend --all-users -o OUT/lists.csv",
    "recommend --user u0001 -o OUT/lists.parquet",
    "report shop -o OUT/shop.html --overwrite",
    "export shop --vectors OUT/vectors",
    "compare log --models pop,itemknn --seeds 1 --device cpu --plot OUT/costs.png",
    f"tune log -v t --trials 1 {FAST_FIT.replace('--epochs 2', '--set epochs=2')}",
)


@dataclass(frozen=True)
class Ending:
    """How a process ended."""

    command: str
    code: int
    out: str
    err: str

    @property
    def fault(self) -> str | None:
        """What is wrong with it, if anything is: the home was healthy."""
        known = self.code == 0 or self.code in REFUSED  # no signal was sent
        refused = self.code in REFUSED
        for wrong, why in (
            (not known, f"ended with {self.code}"),
            ("Traceback" in self.err, "a traceback"),
            ("internal error" in self.err, "an internal error"),
            ("Exception ignored" in self.err, "an ignored exception"),
            (_CALLED_DAMAGED.search(self.out + self.err), "called damaged what is not"),
            (refused and "error: " not in self.err and not self.out, "refused without a word"),
        ):
            if wrong:
                return f"`{self.command}`: {why}: {self.err.strip()[-300:]}"
        return None


@dataclass(frozen=True)
class Shop:
    """A home with the dataset ``log`` and the model ``shop``, and a folder of the user."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def out(self) -> Path:
        return self.root / "out"

    def words(self, command: str) -> list[str]:
        """Return a command's words, with paths of this shop."""
        paths = {
            "LOG": self.root / "log.csv",
            "NEW": self.root / "new.csv",
            "ARCHIVE": self.root / "shop.tar",
            "OUT": self.out,
        }
        words = []
        for word in command.split():
            for name, path in paths.items():
                word = word.replace(name, str(path))
            words.append(word)
        return words

    def run(
        self,
        command: str,
        before: Callable[[], object] | None = None,
        prefix: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
    ) -> Ending:
        """Run a command to its end, behind a prefix; `before` is called in its process."""
        own = {"DIFFREC_HOME": str(self.home), "MPLCONFIGDIR": str(self.root)}
        done = subprocess.run(
            [*prefix, *PROGRAM, *self.words(command)],
            env={**os.environ, **own, **(variables or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=self.root,
            timeout=_MOST_SECONDS,
            check=False,
            preexec_fn=before,
        )
        return Ending(
            command, done.returncode, done.stdout.decode(), done.stderr.decode(errors="replace")
        )

    def harm(self) -> str | None:
        """Return what is not as it should be afterwards; None if all is well."""
        for command in ("models verify shop@1", "doctor --format jsonl"):
            ending = self.run(command)
            if ending.code != 0:
                wrong = [line for line in ending.out.splitlines() if "false" in line] or ending.err
                return f"afterwards `{command}` ends with {ending.code}: {wrong}"
        return self.left_over()

    def left_over(self) -> str | None:
        """Return what unfinished writes left, anywhere; None if nothing."""
        left = [path for path in self.root.rglob(f"{LEFT_OVER}*") if path.exists()]
        return f"left over: {', '.join(map(str, left))}" if left else None


@contextmanager
def shop() -> Iterator[Shop]:
    """Make a shop that other users can read too."""
    with TemporaryDirectory(prefix="drill-") as directory:
        root = Path(directory)
        root.chmod(0o755)
        made = Shop(root)
        made.out.mkdir()
        for command in (
            "data sample LOG --users 120 --items 60 --interactions 2400",
            f"fit LOG -v t --name shop {FAST_FIT}",
            "models export shop ARCHIVE",
        ):
            ending = made.run(command)
            if ending.code:
                raise RuntimeError(f"{command}: {ending.err}")
        (root / "new.csv").write_text("user,item\nu0001,i0051\nu0002,i0052\nu0001,i0059\n")
        yield made


def copied(original: Shop, root: Path) -> Shop:
    """Copy a shop to another directory, which exists and is empty."""
    shutil.copytree(original.root, root, dirs_exist_ok=True)
    return Shop(root)


def row(kind: str, endings: Sequence[Ending], harm: Iterable[str] = ()) -> Row:
    """Count how tries ended."""
    faults = [fault for ending in endings if (fault := ending.fault) is not None]
    well = [ending for ending in endings if ending.fault is None]
    return Row(
        kind,
        tries=len(endings),
        succeeded=sum(ending.code == 0 for ending in well),
        refused=sum(ending.code in REFUSED for ending in well),
        signalled=sum(ending.code in SIGNALLED for ending in well),
        faults=(*faults, *harm),
    )


def name_of(code: int) -> str:
    """Return an exit code, or the name of the signal that ended a process."""
    return signal.Signals(-code).name if code < 0 else str(code)
