"""Standard streams that are closed, full or hung up: known endings, and nothing left behind."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Cli

pytestmark = [
    pytest.mark.usefixtures("fitted"),
    pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell and its signals"),
]

PROGRAM = f"{shlex.quote(sys.executable)} -m diffrec_cli"


def shell(line: str, **options) -> subprocess.CompletedProcess[bytes]:
    """Run a line in which ``diffrec`` is the program."""
    line = line.replace("diffrec", PROGRAM, 1)
    options = {"capture_output": True, "input": b""} | options
    return subprocess.run(["bash", "-c", line], timeout=120, check=False, **options)


def lines(process: subprocess.CompletedProcess[bytes]) -> list[str]:
    return process.stderr.decode().splitlines()


@pytest.mark.parametrize(
    "command",
    [
        "--version",
        "recommend --help",
        "models ls",
        "data show ratings",
        "recommend --user u0001",
        "compare ratings -m pop",
        "prepare no-such.csv --dry-run",
    ],
)
def test_a_result_for_a_closed_stdout_alone_is_refused_at_the_start(command: str) -> None:
    process = shell(f"diffrec {command} >&-")
    assert process.returncode == 2
    what, fix = lines(process)
    assert what.startswith("error: stdout is closed")
    assert "> FILE" in fix


@pytest.mark.parametrize(
    "command",
    [
        "fit ratings -v pop --name other",
        "recommend --all-users -o lists.csv",
        "models export shop shop.tar",
        "models verify shop",  # its exit code is a result
    ],
)
def test_what_has_its_result_elsewhere_needs_no_stream_at_all(command: str, tmp_path: Path) -> None:
    assert shell(f"diffrec {command} <&- >&- 2>&-", cwd=tmp_path).returncode == 0
    for name in command.split()[-1:]:
        assert "." not in name or (tmp_path / name).stat().st_size > 0


@pytest.mark.parametrize("closed", ["<&-", "2>&-"])
def test_a_result_is_printed_without_the_other_streams(cli: Cli, closed: str) -> None:
    expected = cli("recommend", "--user", "u0001", "-k", 2).out
    assert shell(f"diffrec recommend --user u0001 -k 2 {closed}").stdout.decode() == expected


@pytest.mark.parametrize("command", ["recommend --users -", "prepare -", "update shop -"])
def test_a_closed_stdin_that_is_to_be_read_is_refused(command: str) -> None:
    process = shell(f"diffrec {command} <&-")
    assert process.returncode == 2
    assert lines(process) == [
        "error: stdin is closed, there is nothing to read",
        "  fix: give a file instead of -",
    ]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
class TestFull:
    @pytest.mark.parametrize(
        "command",
        [
            "--version",
            "models ls",
            "models ls --format table",
            "recommend --user u0001",
            "recommend --user u0001 --format json",
        ],
    )
    def test_a_full_stdout_is_one_line_and_a_fix(self, command: str) -> None:
        process = shell(f"diffrec {command} > /dev/full")
        assert process.returncode == 2
        what, fix = lines(process)[-2:]
        assert what == "error: stdout cannot be written: No space left on device"
        assert fix.startswith("  fix: free some space")
        assert b"Exception ignored" not in process.stderr

    def test_a_full_stderr_ends_no_work(self) -> None:
        process = shell(
            "diffrec recommend --users - --on-unknown skip 2> /dev/full", input=b"who\n"
        )
        assert process.returncode == 0


class TestStreamOfUsers:
    def test_users_before_an_unknown_one_are_answered_then_comes_the_error(self) -> None:
        process = shell("diffrec recommend --users - -k 1", input=b"u0003\nu0001\nwho\nu0002\n")
        assert users(process) == ["u0003", "u0001"]
        assert process.returncode == 4
        assert lines(process)[0] == "error: shop@1: unknown user 'who'"

    def test_users_before_a_line_that_is_no_text_are_answered_then_comes_the_error(self) -> None:
        process = shell("diffrec recommend --users - -k 1", input=b"u0003\nu\xff\nu0002\n")
        assert users(process) == ["u0003"]
        assert process.returncode == 3
        assert lines(process)[0] == "error: -:2: not UTF-8 text"

    @pytest.mark.parametrize("what", ["skip", "popular"])
    def test_a_line_that_is_no_text_is_told_and_passed_over(self, what: str) -> None:
        given = b"\xffu\nu0003\n\n\xfe\nu0002"
        process = shell(f"diffrec recommend --users - -k 1 --on-unknown {what}", input=given)
        assert users(process) == ["u0003", "u0002"]
        assert process.returncode == 0
        assert lines(process) == ["-: not UTF-8 text, skipped: line 1, 4"]

    def test_an_error_at_the_first_user_comes_before_any_output(self) -> None:
        process = shell("diffrec recommend --users - --format json", input=b"who\nu0001\n")
        assert (process.returncode, process.stdout) == (4, b"")

    def test_a_named_unknown_user_is_refused_before_the_others_are_answered(self) -> None:
        process = shell("diffrec recommend -u u0001 -u who")
        assert (process.returncode, process.stdout) == (4, b"")


def users(process: subprocess.CompletedProcess[bytes]) -> list[str]:
    return [line.split(",")[0] for line in process.stdout.decode().splitlines()[1:]]


class TestHangup:
    def test_a_hangup_leaves_no_temporary_file_and_ends_with_129(self, tmp_path: Path) -> None:
        process = writing(tmp_path)
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGHUP)  # a shell and the kernel each send one
        assert process.wait(timeout=60) == 129
        assert list(tmp_path.glob(".incoming-*")) == []
        assert not (tmp_path / "lists.csv").exists()

    def test_nohup_stays_deaf(self, tmp_path: Path) -> None:
        process = writing(tmp_path, lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        process.send_signal(signal.SIGHUP)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=60) == 0
        assert (tmp_path / "lists.csv").stat().st_size > 0

    @pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
    def test_workers_die_with_their_parent_however_it_ends(self) -> None:
        command = "compare ratings -m base --seeds 1 --set epochs=1000000 --set patience=1000000"
        process = subprocess.Popen(
            [sys.executable, "-m", "diffrec_cli", *command.split(), "--device", "cpu"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(lambda: children(process.pid))
        workers = children(process.pid)
        process.kill()
        process.wait()
        wait_for(lambda: not any(map(is_alive, workers)))


def writing(directory: Path, before: Callable[[], object] | None = None) -> subprocess.Popen[bytes]:
    """Start to write lists of a stream that goes on."""
    process = subprocess.Popen(
        [sys.executable, "-m", "diffrec_cli", "recommend", "--users", "-", "-o", "lists.csv"],
        stdin=subprocess.PIPE,
        cwd=directory,
        preexec_fn=before or (lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL)),
    )
    assert process.stdin is not None
    process.stdin.write(b"u0001\n")
    process.stdin.flush()
    wait_for(lambda: list(directory.glob(".incoming-*")))
    return process


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for one in lists for child in one.read_text().split()]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "a minute has passed"
        time.sleep(0.02)
