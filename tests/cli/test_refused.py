"""What the system refuses ends in an error with the exit code of its place, and leaves nothing."""

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from diffrec_cli.paths import config_file, home

from .conftest import Cli

LONG = "n" * 300
USER = ("recommend", "--user", "u0001")


def no_error(out: str) -> bool:
    return "internal error" not in out and "damaged" not in out


@pytest.mark.parametrize("odd", ["directory", "loop", LONG, "d/" * 2500 + "x"])
def test_an_input_that_is_no_file_is_bad_input(
    cli: Cli, fitted: Path, tmp_path: Path, odd: str
) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    path = tmp_path / odd
    for command in (
        ("prepare", path, "--name", "odd"),
        ("recommend", "--history", path),
        ("recommend", "--users", path),
        ("update", "shop", path),
        ("models", "import", path),
    ):
        done = cli(*command)
        assert done.code in (2, 3, 4), (command, done)
        assert no_error(done.err), done


@pytest.mark.parametrize("odd", ["loop", LONG])
def test_an_output_that_cannot_be_made_is_a_wrong_request(
    cli: Cli, fitted: Path, tmp_path: Path, odd: str
) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    path = tmp_path / odd
    for command in (
        (*USER, "-o", path / "x.csv"),
        ("models", "export", "shop", path / "x.tar"),
        ("report", "shop", "-o", path / "x.html"),
        ("data", "sample", path / "x.csv"),
        ("export", "shop", "--vectors", path / "x"),
    ):
        done = cli(*command)
        assert done.code == 2, (command, done)
        assert no_error(done.err), done


@pytest.mark.parametrize(
    ("home", "code"),
    [("~nosuchuser/x", 2), (os.fsdecode(b"/tmp/\xff"), 2), (f"/tmp/{LONG}", 6), ("/dev/null", 6)],
)
def test_a_home_that_cannot_be_used_is_told(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, sample: tuple[Path, Path], home: str, code: int
) -> None:
    monkeypatch.setenv("DIFFREC_HOME", home)
    done = cli("prepare", sample[0])
    assert done.code == code, done
    assert no_error(done.err)


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("fit", "--help")])
@pytest.mark.parametrize("home", ["~nosuchuser/x", "/dev/null", "with a forget that failed"])
def test_help_and_the_version_need_no_home(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: str, words: tuple[str, ...]
) -> None:
    if home.startswith("with"):
        (tmp_path / "forgetting").mkdir()
        (tmp_path / "forgetting" / "plan.json").write_text("{")
        home = str(tmp_path)
    monkeypatch.setenv("DIFFREC_HOME", home)
    done = cli(*words)
    assert (done.code, done.err) == (0, "")
    assert done.out


def test_doctor_reports_a_forget_that_cannot_be_finished(cli: Cli, isolated_home: Path) -> None:
    (isolated_home / "forgetting").mkdir(parents=True)
    (isolated_home / "forgetting" / "plan.json").write_text("{")
    assert cli("data", "ls").code == 6
    done = cli("doctor", "--format", "csv")
    assert (done.code, done.err) == (6, "")
    assert "forget,False,cannot be finished" in done.out


def test_an_empty_home_is_the_usual_one_for_all_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DIFFREC_HOME")
    usual = home(), config_file()
    monkeypatch.setenv("DIFFREC_HOME", "")
    assert (home(), config_file()) == usual


@pytest.mark.parametrize("command", [("doctor",), ("models", "ls")])
def test_a_config_file_that_nobody_may_read_is_a_fault_of_the_home(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    original = Path.read_text

    def forbidden(self: Path, *arguments: str) -> str:
        if self.name == "config.toml":
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return original(self, *arguments)

    monkeypatch.setattr(Path, "read_text", forbidden)
    done = cli(*command)
    assert done.code == 6, done
    assert "Permission denied" in done.err


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps no list of users in a file")
def test_a_user_whom_no_list_has_is_told_to_name_a_home(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, sample: tuple[Path, Path], tmp_path: Path
) -> None:
    def unlisted(user: int) -> None:
        raise KeyError(user)

    for variable in ("DIFFREC_HOME", "HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unlisted)
    for command in (("prepare", sample[0]), ("doctor",)):
        done = cli(*command)
        assert done.code == 2, done
        assert "home directory" in done.err
        assert "set DIFFREC_HOME" in done.err
    assert cli("fit", "--help").code == 0
    monkeypatch.setenv("DIFFREC_HOME", str(tmp_path / "home"))
    assert cli("prepare", sample[0]).code == 0


@pytest.mark.parametrize(
    "command",
    [
        ("models", "export", "shop", "{out}/x.tar"),
        ("report", "shop", "-o", "{out}/x.html", "--user", "u0001"),
        (*USER, "-o", "{out}/x.parquet"),
        ("recommend", "--all-users", "-o", "{out}/x.csv"),
        ("data", "sample", "{out}/x.csv"),
        ("export", "shop", "--vectors", "{out}/x"),
        ("update", "shop", "{new}"),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_a_disk_that_fails_at_the_last_moment_leaves_what_was_there(
    cli: Cli,
    fitted: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
) -> None:
    out, new = tmp_path / "out", tmp_path / "new.csv"
    out.mkdir()
    new.write_text("user,item\nu0001,i0051\nu0001,i0052\nu0001,i0053\nu0001,i0054\n")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    words = [word.format(out=out, new=new) for word in command]
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        done = cli(*words)
    assert done.code == (6 if command[0] == "update" else 2), done
    assert "no space left" in done.err
    assert "Traceback" not in done.err
    assert [path.name for path in out.iterdir() if not path.name.endswith(".partial")] == []
    assert list(tmp_path.rglob(".incoming-*")) == []
    assert cli("models", "default").out == "shop@1\n"
    assert cli("models", "verify").code == 0


def limited(kind: int, value: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(kind, (value, value))


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (resource.RLIMIT_AS, 120_000_000, "out of memory"),
        (resource.RLIMIT_AS, 400_000_000, "torch needs"),
        (resource.RLIMIT_NOFILE, 8, "out of file handles"),
    ],
)
def test_a_limit_is_named(fitted: Path, kind: int, value: int, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "diffrec_cli", "eval", "shop", "--device", "cpu"],
        capture_output=True,
        text=True,
        preexec_fn=limited(kind, value),
        check=False,
    )
    assert done.returncode == 5, done.stderr
    assert said in done.stderr
    assert "damaged" not in done.stderr
