"""The program as a whole: help, versions, exit codes, streams, imports, signals."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import diffrec_cli
from tests.cli.conftest import Cli

COMMANDS = (
    "prepare",
    "fit",
    "eval",
    "recommend",
    "serve",
    "models",
    "data",
    "doctor",
    "quickstart",
    "config",
)


def diffrec(*arguments: str, **options) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "diffrec_cli", *arguments]
    return subprocess.run(command, capture_output=True, timeout=120, check=False, **options)


def imported_by(*arguments: str) -> set[str]:
    """Return the top-level packages that a command imports."""
    code = (
        "import sys\nfrom diffrec_cli.cli.app import run\n"
        f"assert run({list(arguments)!r}) == 0\n"
        "print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    return set(process.stderr.decode().splitlines()[-1].split())


def test_help_names_every_command(cli: Cli) -> None:
    outcome = cli("--help")
    assert outcome.code == 0
    assert all(command in outcome.out for command in COMMANDS)


@pytest.mark.parametrize("command", [*COMMANDS, "models export", "data sample"])
def test_every_command_has_help_that_fits_80_columns(
    cli: Cli, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    outcome = cli(*command.split(), "--help")
    assert outcome.code == 0
    assert max(len(line) for line in outcome.out.splitlines()) <= 80


def test_version(cli: Cli) -> None:
    assert cli("--version").out == f"diffrec {diffrec_cli.__version__}\n"


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["fit", "--help"], ["models", "ls"]]
)
def test_light_commands_import_neither_torch_nor_pandas(arguments: list[str]) -> None:
    assert not imported_by(*arguments) & {"torch", "pandas", "scipy", "sklearn", "pyarrow"}


@pytest.mark.usefixtures("fitted")
@pytest.mark.parametrize("form", ["csv", "json", "jsonl", "table"])
def test_a_users_list_imports_neither_torch_nor_pandas(form: str) -> None:
    loaded = imported_by("recommend", "--user", "u0001", "--titles", "--format", form)
    assert not loaded & {"torch", "pandas", "scipy", "sklearn"}


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, diffrec_cli.workflows; print(*{m.split('.')[0] for m in sys.modules})"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert not set(process.stdout.decode().split()) & {"torch", "pandas", "numpy", "typer", "rich"}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["nonsense"], 2),
        (["fit"], 2),
        (["fit", "x", "--bogus"], 2),
        (["fit", "x", "--seed", "soon"], 2),
        (["recommend", "-k", "many"], 2),
    ],
)
def test_usage_errors_are_one_line_and_a_fix(cli: Cli, arguments: list[str], code: int) -> None:
    outcome = cli(*arguments)
    assert outcome.code == code
    what, fix = outcome.err.splitlines()
    assert what.startswith("error: ")
    assert "--help" in fix
    assert outcome.out == ""


def test_an_error_shows_its_traceback_only_with_debug(cli: Cli) -> None:
    plain, debug = cli("recommend", "--user", "1"), cli("recommend", "--user", "1", "--debug")
    assert plain.code == debug.code == 4
    assert "Traceback" not in plain.err
    assert "Traceback" in debug.err


def test_an_internal_error_is_exit_1_without_a_traceback(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from diffrec_cli.registry import versions

    monkeypatch.setattr(versions, "list_models", lambda: 1 / 0)
    outcome = cli("models", "ls")
    assert outcome.code == 1
    assert "ZeroDivisionError" in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.usefixtures("fitted")
@pytest.mark.parametrize("switch", [["--no-color"], []])
def test_nothing_is_coloured_without_a_terminal(cli: Cli, switch: list[str]) -> None:
    outcome = cli("models", "ls", "--format", "table", *switch)
    assert "shop@1" in outcome.out
    assert "\x1b" not in outcome.out + outcome.err


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell and its signals")
class TestShell:
    """What only a real process shows."""

    @pytest.mark.usefixtures("fitted")
    def test_a_closed_pipe_ends_quietly_with_141(self) -> None:
        command = f"{sys.executable} -m diffrec_cli recommend --all-users -k 20 --format csv"
        script = f"set -o pipefail; {command} | head -1"
        # Enough output to fill the pipe after its reader is gone: 120 users are, 20 rows each.
        process = subprocess.run(
            ["bash", "-c", f"{script}; exit ${{PIPESTATUS[0]}}"], capture_output=True, check=False
        )
        assert process.stdout == b"user,rank,item,score\n"
        assert process.stderr == b""
        assert process.returncode in (141, 0)

    @pytest.mark.parametrize(
        ("number", "code", "word"),
        [(signal.SIGINT, 130, b"interrupted"), (signal.SIGTERM, 143, b"interrupted")],
    )
    def test_an_interrupted_fit_keeps_its_best_and_says_how_to_go_on(
        self, sample: tuple[Path, Path], isolated_home: Path, number: int, code: int, word: bytes
    ) -> None:
        command = [sys.executable, "-m", "diffrec_cli", "fit", str(sample[0]), "--name", "shop"]
        options = ["-v", "base", "--epochs", "100000", "--patience", "100000", "--set", "dims=16"]
        process = subprocess.Popen(
            [*command, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Tests that run in the background of a shell inherit an ignored SIGINT.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        wait_for_epochs(isolated_home, 3)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert process.returncode == code
        assert word in err
        assert b"--resume" in err
        assert out == b"shop@1\n"
        listed = diffrec("models", "ls", "--format", "jsonl")
        assert b'"complete": false' in listed.stdout

        resumed = diffrec(
            *command[3:], *options, "--resume", "--max-time", "1s", "--format", "json"
        )
        assert resumed.returncode == 0, resumed.stderr
        assert b'"model": "shop@2"' in resumed.stdout

    def test_a_killed_fit_leaves_earlier_models_and_can_be_resumed(
        self, fitted: Path, sample: tuple[Path, Path]
    ) -> None:
        command = [
            "fit",
            "ratings",
            "--name",
            "shop",
            "-v",
            "base",
            "--set",
            "dims=16",
            "--epochs",
            "100000",
        ]
        process = subprocess.Popen(
            [sys.executable, "-m", "diffrec_cli", *command, "--patience", "100000"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for_epochs(fitted, 3)
        process.kill()
        process.wait()
        listed = diffrec("models", "ls", "--format", "csv")
        assert listed.returncode == 0
        assert listed.stdout.count(b"shop,1,") == 1
        assert diffrec("models", "verify", "shop@1").returncode == 0
        resumed = diffrec(*command, "--patience", "100000", "--resume", "--max-time", "1s")
        assert resumed.returncode == 0, resumed.stderr
        assert resumed.stdout == b"shop@2\n"


def wait_for_epochs(home: Path, count: int) -> None:
    """Wait until a running fit has logged so many epochs."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        logs = list((home / "runs").glob("*/epochs.jsonl"))
        if logs and len(logs[0].read_text().splitlines()) >= count:
            return
        time.sleep(0.02)
    raise TimeoutError(f"no {count} epochs in a minute")
