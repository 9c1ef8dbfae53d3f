"""Streams that are closed, full, left or hung up: ``python -m tests.drills.streams``."""

from __future__ import annotations

import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from tests.drills.table import Row, show

PROGRAM = f"{shlex.quote(sys.executable)} -m diffrec_cli"
FAST = "--device cpu --set dims=16 --epochs 2"
#: Commands whose result is what they print.
PRINTING = (
    "--version",
    "--help",
    "fit --help",
    "models ls",
    "models show shop",
    "models default",
    "data ls",
    "data show log",
    "config show",
    "config path",
    "similar i0003",
    "recommend --user u0001",
    "recommend --all-users --format json",
    "recommend --history new.csv --format table",
    "eval shop --device cpu",
    "compare log -m pop --seeds 1",
    "report shop --out -",
    "prepare log.csv --dry-run",
    "forget --user u0001 --dry-run",
)
#: Commands whose result is elsewhere: in a file, below the home, or their exit code.
STORING = (
    "prepare log.csv --name other --overwrite",
    f"fit log -v base --name other {FAST} --overwrite",
    "update shop@1 new.csv",
    "recommend --all-users -o lists.csv",
    "recommend --users users.txt -o lists.parquet",
    "report shop --out page.html --overwrite",
    "models export shop shop.tar --overwrite",
    "models import shop.tar --name copy",
    "models verify shop",
    "export shop --vectors vectors",
    "data sample made.csv --overwrite",
    "doctor",
)
READING = ("recommend --users -", "recommend --history -", "prepare -", "update shop -")
ENDLESS = "--device cpu --set epochs=1000000 --set patience=1000000 --set dims=16"
CLOSED = {
    "stdin": "<&-",
    "stdout": ">&-",
    "stderr": "2>&-",
    "stdin, stdout, stderr": "<&- >&- 2>&-",
}
LINES, FLAT_MB = 100_000, 16


def shell(home: Path, line: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    """Run a line in which ``diffrec`` is the program, in the folder beside the home."""
    line = line.replace("diffrec", PROGRAM, 1)
    options = {"input": b"", "capture_output": True, **options}
    return subprocess.run(
        ["bash", "-c", line], cwd=home.parent, check=False, timeout=300, **options
    )


@contextmanager
def shop() -> Iterator[Path]:
    """Make a home with the dataset ``log`` and the model ``shop``."""
    with TemporaryDirectory(prefix="drill-") as directory:
        home = Path(directory) / "home"
        os.environ["DIFFREC_HOME"] = str(home)
        (home.parent / "new.csv").write_text("user,item\nu0001,i0051\nu0002,i0052\nu0001,i0059\n")
        (home.parent / "users.txt").write_text("u0001\nu0002\n")
        for command in (
            "data sample log.csv --users 120 --items 60 --interactions 2400",
            f"fit log.csv -v t --name shop {FAST}",
            "models export shop shop.tar",
        ):
            made = shell(home, f"diffrec {command}")
            if made.returncode:
                raise RuntimeError(f"{command}: {made.stderr.decode()}")
        yield home


def row(kind: str, endings: list[tuple[str, int, bool, str]]) -> Row:
    """Count endings: what was done, exit code, whether that was right, and what was said."""
    faults = [
        f"`{line}` ended with {code}: {said[-300:]}"
        for line, code, right, said in endings
        if not right or "internal error" in said or "Traceback" in said or "ignored" in said
    ]
    codes = [code for _, code, _, _ in endings]
    signalled = sum(code < 0 or code > 128 for code in codes)
    done = codes.count(0)
    refused = len(codes) - done - signalled
    return Row(kind, len(codes), done, refused, signalled, tuple(faults))


def closed() -> Iterator[Row]:
    """Close each stream of each command, and all three."""
    for names, closing in CLOSED.items():
        with shop() as home:
            endings = []
            for command in (*PRINTING, *STORING, *(READING if "stdin" in names else ())):
                needed = "stdin" if command in READING else "stdout" if command in PRINTING else ""
                code = 2 if needed and needed in names else 0
                shutil.rmtree(home.parent / "vectors", ignore_errors=True)  # it must be new
                done = shell(home, f"diffrec {command} {closing}")
                endings.append(
                    (command, done.returncode, done.returncode == code, done.stderr.decode())
                )
            yield row(f"closed {names}", endings)


def full() -> Row:
    """Send each result to a full device."""
    with shop() as home:
        endings = []
        for command in PRINTING:
            done = shell(home, f"diffrec {command} > /dev/full")
            endings.append((command, done.returncode, done.returncode == 2, done.stderr.decode()))
        return row("full stdout", endings)


def left() -> Row:
    """Let the reader go before, or after, the first line."""
    with shop() as home:
        endings = []
        for command in PRINTING * 2:
            reader = "head -1 >/dev/null" if len(endings) % 2 else "true"
            done = shell(home, f"diffrec {command} | {reader}; exit ${{PIPESTATUS[0]}}")
            right = done.returncode in (0, 141)
            endings.append((command, done.returncode, right, done.stderr.decode()))
        return row("reader left", endings)


def hangups(tries: int = 40) -> Row:
    """Hang up at random moments of commands that write; nothing of them may be left."""
    chance = random.Random(28)
    with shop() as home:
        endings = []
        for number in range(tries):
            command = STORING[number % 7]
            process = subprocess.Popen(
                [*shlex.split(PROGRAM), *command.split()],
                cwd=home.parent,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                preexec_fn=_hears_hangups,
            )
            time.sleep(chance.uniform(0.3, 5.0))
            process.send_signal(signal.SIGHUP)
            said = process.communicate(timeout=120)[1].decode()
            over = list(home.parent.rglob(".incoming-*"))
            # Before the program has set its handler, the signal itself ends it.
            right = process.returncode in (0, 129, -signal.SIGHUP) and not over
            endings.append((command, process.returncode, right, f"{said} {over or ''}"))
        verified = shell(home, "diffrec doctor")
        endings.append(("doctor", verified.returncode, verified.returncode == 0, ""))
        return row("hangups", endings)


def _hears_hangups() -> None:
    """Hear them even if the drill runs under ``nohup``."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def orphans() -> Row:
    """End the parents of workers in several ways; the workers may not go on."""
    endings = []
    for command in (
        f"compare log -m base --seeds 1 {ENDLESS}",
        f"tune log -v base --jobs 2 {ENDLESS}",
        f"backtest log.csv -m base --cuts 2 {ENDLESS}",
    ):
        for number in (signal.SIGKILL, signal.SIGHUP, signal.SIGTERM):
            with shop() as home:
                endings.append(_orphaned(home, command, number))
    return row("orphans", endings)


def _orphaned(home: Path, command: str, number: int) -> tuple[str, int, bool, str]:
    process = subprocess.Popen(
        [*shlex.split(PROGRAM), *command.split()],
        cwd=home.parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=_hears_hangups,
    )
    while not _children(process.pid) and process.poll() is None:
        time.sleep(0.1)
    time.sleep(5.0)  # they are at work
    workers = _children(process.pid)
    process.send_signal(number)
    code = process.wait(timeout=60)
    until = time.monotonic() + 30.0
    while (alive := list(filter(_is_alive, workers))) and time.monotonic() < until:
        time.sleep(0.1)
    for worker in alive:
        os.kill(worker, signal.SIGKILL)
    right = bool(workers) and not alive and code in (-number, 128 + number)
    return f"{command} {number}", code, right, f"{len(alive)} of {len(workers)} went on"


def _children(pid: int) -> list[int]:
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for one in lists for child in one.read_text().split()]


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def long_stream() -> Row:
    """Stream users, some unknown and some no text, through one process, in order."""
    given, expected = _users()
    with shop() as home:
        command = f"{PROGRAM} recommend --users - -k 1 --on-unknown skip"
        process = subprocess.Popen(
            shlex.split(command),
            cwd=home.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        feeder = threading.Thread(target=_feed, args=(process.stdin, given))
        feeder.start()
        answered, memory = [], []
        for number, line in enumerate(process.stdout or ()):
            answered.append(line.split(b",")[0].decode())
            if number % 10_000 == 9_999:
                memory.append(_megabytes(process.pid))
        feeder.join()
        code = process.wait(timeout=60)
    in_order = answered[1:] == expected
    flat = memory[-1] - memory[1] < FLAT_MB
    said = f"in order: {in_order}; MB: {memory}"
    print(f"{LINES:,} lines: {said}", file=sys.stderr)
    return row("100,000 lines", [("stream", code, code == 0 and in_order and flat, said)])


def _users() -> tuple[list[bytes], list[str]]:
    """Return lines, and the users among them who are known."""
    given, expected = [], []
    for number in range(LINES):
        if number % 97 == 5:
            given.append(b"who%d" % number)
        elif number % 89 == 7:
            given.append(b"u\xff%d" % number)
        else:
            expected.append(f"u{1 + number * 7 % 120:04d}")
            given.append(expected[-1].encode())
    return given, expected


def _feed(stream: BinaryIO, lines: list[bytes]) -> None:
    with stream:
        stream.write(b"\n".join([*lines, b""]))


def _megabytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) // 1024


def drill() -> list[Row]:
    """Try all of it."""
    return [*closed(), full(), left(), hangups(), orphans(), long_stream()]


def main() -> int:
    """Print the table; return 1 if a fault was found."""
    return show(drill())


if __name__ == "__main__":
    sys.exit(main())
