"""Data that talks to the terminal: ``python -m tests.drills.terminal``."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.drills.table import Row, show

PROGRAM = (sys.executable, "-m", "diffrec_cli")
ESCAPES = {
    "CSI": "\x1b[31m",
    "title": "\x1b]0;title\x07",
    "link": "\x1b]8;;http://example.org\x1b\\",
    "clipboard": "\x1b]52;c;aGk=\x07",
    "DCS": "\x1bP1$r\x1b\\",
    "C1": "\x9b31m\x85",
    "CR, BS": "a\rb\b\b",
    "bidi": "\u202ea\u2066b\u200f",
    "zero width": "a\u200bb\u2060c\ufeff",
    "U+2028, U+2029": "a\u2028b\u2029c",
    "markup": "[red]a[/red] [/] :smile:",
}
#: Nothing of these may reach a terminal; rich's own line ends aside.
ACTING = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)
#: Commands; ESC stands for an escape, USER and ITEM for ids with one.
COMMANDS = (
    "recommend --user USER --titles --why --format table",
    "recommend --user USER --titles --format csv",
    "recommend --user USER --titles --format json",
    "recommend --user USER --titles --format jsonl",
    "similar ITEM --titles --format table",
    "forget --user USER --dry-run --format table",
    "report shop --user USER --out -",
    "data show log --format table",
    "models show shop --format table",
)
#: Each option that is echoed, and each name of a file.
ECHOING = (
    "ESC",
    "--ESC",
    "recommend --ESC",
    "recommend --user ESC",
    "recommend --users ESC",
    "recommend --user USER --model ESC",
    "recommend --user USER --device ESC",
    "recommend --user USER --precision ESC",
    "recommend --user USER --on-unknown ESC",
    "recommend --user USER --where ESC",
    "recommend --user USER --like ESC",
    "recommend --user USER --dislike ESC",
    "recommend --user USER --allow ESC",
    "recommend --user USER --events ESC",
    "recommend --user USER --out ESC",
    "recommend --user USER --format ESC",
    "recommend --user USER -k ESC",
    "recommend --all-users --shard ESC",
    "recommend --history ESC",
    "similar ESC",
    "fit ESC",
    "fit log --variant ESC",
    "fit log --set ESC=1",
    "fit log -v base --set lr=ESC",
    "fit log -v base --set lr=ESC --debug",
    "fit log --name ESC",
    "fit log --preset ESC",
    "fit log --track ESC",
    "fit log --log-json ESC/x",
    "fit log --max-time ESC",
    "prepare ESC",
    "prepare log.csv --user-col ESC",
    "prepare log.csv --time-format ESC",
    "prepare log.csv --encoding ESC",
    "prepare log.csv --sep ESC",
    "prepare log.csv --name ESC",
    "eval ESC",
    "eval shop --metrics ESC",
    "eval shop --min ESC=1",
    "eval shop --baselines ESC",
    "eval shop --split ESC",
    "compare log --models ESC",
    "compare log --models pop --plot ESC",
    "tune log --variant ESC",
    "backtest log.csv --horizon ESC",
    "update ESC new.csv",
    "update shop ESC",
    "forget --user ESC --yes",
    "models show ESC",
    "models rm ESC --yes",
    "models mv shop ESC",
    "models import ESC",
    "models export shop ESC/x",
    "data show ESC",
    "data sample ESC",
    "export shop --vectors ESC/x",
    "report shop --out ESC/x",
    "config ESC",
)


@contextmanager
def shop(escape: str) -> Iterator[Path]:
    """Make a home with a model whose users, items and titles all have an escape."""
    with TemporaryDirectory(prefix="drill-") as directory:
        folder = Path(directory)
        with (folder / "log.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(["user", "item", "timestamp"])
            for number in range(40 * 12):
                user, item = number % 40, (number % 40 * 7 + number // 40 * 3) % 30
                writer.writerow([f"u{escape}{user}", f"i{escape}{item}", 1000 + number])
        with (folder / "items.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(["item", "title"])
            writer.writerows([f"i{escape}{item}", f"t{escape}{item}"] for item in range(30))
        fit = ["fit", "log.csv", "--items", "items.csv", "-v", "ease", "--name", "shop"]
        code, shown = on_terminal(folder, fit)
        if code:
            raise RuntimeError(shown)
        yield folder


def environment(folder: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "DIFFREC_HOME": str(folder / "home"), "NO_COLOR": "1", **more}


def on_terminal(folder: Path, words: list[str]) -> tuple[int, str]:
    """Run a command whose output is a terminal; return its exit code and what was shown."""
    primary, terminal = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, *words],
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    pieces = []
    try:
        while piece := os.read(primary, 4096):
            pieces.append(piece)
    except OSError:  # Linux's way to say that the other end is closed
        pass
    os.close(primary)
    shown = b"".join(pieces).decode(errors="surrogateescape")
    return process.wait(), shown.replace("\r\n", "\n")


def words_of(command: str, escape: str) -> list[str]:
    values = {"USER": f"u{escape}0", "ITEM": f"i{escape}3", "ESC": escape}
    words = []
    for word in command.split():
        for name, value in values.items():
            word = word.replace(name, value)
        words.append(word)
    return words


def shown(name: str, escape: str, commands: tuple[str, ...], kind: str) -> Row:
    """Run commands on a terminal; nothing that acts may be shown."""
    codes, faults = [], []
    with shop(escape) as folder:
        for command in commands:
            code, text = on_terminal(folder, words_of(command, escape))
            codes.append(code)
            acting = ACTING.findall(text)
            if acting or "internal error" in text or code not in range(8):
                faults.append(f"`{command}` ended with {code}, {acting}: {text[-300:]!a}")
    done = codes.count(0)
    return Row(f"{kind}: {name}", len(codes), done, len(codes) - done, 0, tuple(faults))


def round_trips(name: str, escape: str) -> Row:
    """Read back what is piped as CSV and JSON, to streams of two encodings."""
    tries, faults = 0, []
    users = {f"u{escape}0"}
    items = {f"i{escape}{number}" for number in range(30)}
    with shop(escape) as folder:
        for encoding in ("utf-8", "ascii"):
            for form in ("csv", "json", "jsonl"):
                words = ["recommend", "--user", *users, "-k", "30", "--include-seen"]
                done = subprocess.run(
                    [*PROGRAM, *words, "--format", form],
                    cwd=folder,
                    env=environment(folder, PYTHONIOENCODING=encoding),
                    capture_output=True,
                    check=False,
                )
                tries += 1
                rows = parsed(done.stdout.decode(), form)
                if {r["user"] for r in rows} != users or {r["item"] for r in rows} != items:
                    faults.append(f"{form} to {encoding}: {done.stdout[:300]!a}")
    return Row(f"round trip: {name}", tries, tries - len(faults), 0, 0, tuple(faults))


def parsed(text: str, form: str) -> list[dict[str, str]]:
    if form == "csv":
        return list(csv.DictReader(io.StringIO(text, newline="")))
    if form == "json":
        return json.loads(text)["recommendations"]
    return [json.loads(line) for line in text.split("\n") if line]


def drill() -> list[Row]:
    """Try each escape in every field of a log, and in every option that is echoed."""
    rows = []
    for name, escape in ESCAPES.items():
        rows.append(shown(name, escape, COMMANDS, "data"))
        rows.append(round_trips(name, escape))
    every = "".join(ESCAPES.values())
    rows.append(shown("all", every, ECHOING, "options"))
    return rows


def main() -> int:
    """Print the table; return 1 if a fault was found."""
    return show(drill())


if __name__ == "__main__":
    sys.exit(main())
