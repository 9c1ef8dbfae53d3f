"""Completion: what a shell gets for a half-typed line, and how it comes to ask."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from diffrec_cli.catalogue import PRESETS, write_own
from diffrec_cli.cli import _completion, _shells
from diffrec_cli.cli.app import run
from diffrec_cli.evaluation.metrics import METRICS
from tests.cli.conftest import Cli

Tab = Callable[[str], list[str]]

BIN = Path(sys.executable).parent
LINES = {"_DIFFREC_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}


def environment(**variables: str) -> dict[str, str]:
    """Return this process's environment and these, with ``diffrec`` to be found."""
    return {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", **variables}


@pytest.fixture
def tab(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Tab:
    """Return what may come next on a line; nothing else may be printed."""

    def press(line: str) -> list[str]:
        for name, value in {**LINES, "_TYPER_COMPLETE_ARGS": line}.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit):
            run([])
        out, err = capfd.readouterr()
        assert err == ""
        return [candidate.partition("\t")[0] for candidate in out.splitlines() if candidate]

    return press


@pytest.fixture
def shop(fitted: Path) -> Path:
    """Return a state directory with ``shop@1`` and 2, dataset ``ratings`` and preset ``mine``."""
    shutil.copytree(fitted / "models" / "shop" / "1", fitted / "models" / "shop" / "2")
    write_own("mine", "t", {"T": 5})
    return fitted


REFERENCES = ["shop", "shop@1", "shop@2"]


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("diffrec mod", ["models"]),
        ("diffrec models ver", ["verify"]),
        ("diffrec fit --prec", ["--precision"]),
        ("diffrec models show ", REFERENCES),
        ("diffrec models show shop@", ["shop@1", "shop@2"]),
        ("diffrec -q models rm s", REFERENCES),
        ("diffrec models mv ", ["shop"]),
        ("diffrec models default ", REFERENCES),
        ("diffrec models verify ", REFERENCES),
        ("diffrec models export ", REFERENCES),
        ("diffrec eval shop@1 sh", REFERENCES),
        ("diffrec recommend --model ", REFERENCES),
        ("diffrec recommend --model=shop@2", ["shop@2"]),
        ("diffrec fit x --name ", ["shop"]),
        ("diffrec data show ", ["ratings"]),
        ("diffrec data rm ra", ["ratings"]),
        ("diffrec prepare x --name ", ["ratings"]),
        ("diffrec compare x --dataset ", ["ratings"]),
        ("diffrec fit x --preset ", [*PRESETS, "mine"]),
        ("diffrec fit x -v multiv", ["multivae", "multivae-t"]),
        ("diffrec quickstart -v ", ["base", "l", "t", "lt"]),
        ("diffrec tune x --variant l", ["l", "lt", "lightgcn"]),
        ("diffrec compare x --models pop,rp", ["pop,rp3beta", "pop,rp3beta-t"]),
        ("diffrec eval --baselines ease,po", ["ease,popularity", "ease,pop"]),
        ("diffrec eval --baselines mult", []),
        ("diffrec eval --metrics recall,nd", ["recall,ndcg"]),
        ("diffrec eval --min ndcg@", ["ndcg@10=", "ndcg@20="]),
        ("diffrec eval --split ", ["valid", "test"]),
        ("diffrec fit x -v ease --set ", ["lambda="]),
        ("diffrec compare x -m ease,itemknn --set ", ["lambda=", "neighbours=", "shrink="]),
        ("diffrec doctor --format j", ["json", "jsonl"]),
        ("diffrec fit x --device ", ["auto", "cuda", "mps", "cpu"]),
        ("diffrec fit x --device=c", ["cuda", "cpu"]),
        ("diffrec fit x --setting ", ["clean", "noisy", "temporal"]),
        ("diffrec fit nothing-begins-so", []),
    ],
)
def test_what_may_come_next(tab: Tab, line: str, expected: list[str]) -> None:
    found = tab(line)
    assert sorted(found) == sorted(expected)


@pytest.mark.usefixtures("shop")
def test_a_dataset_does_not_hide_the_files_that_begin_so(
    tab: Tab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rat").mkdir()
    for name in ("ratings.csv", "rat log.csv", "other.csv", ".ratings", "rat/ings.csv"):
        (tmp_path / name).touch()
    assert tab("diffrec fit rat") == ["ratings", "rat/", "rat log.csv", "ratings.csv"]
    assert tab("diffrec fit other") == []  # the shell's own completion of files takes over


def test_names_are_those_that_the_program_takes() -> None:
    assert _completion.METRICS == METRICS


@pytest.mark.parametrize("what", ["absent", "a file", "of nobody", "full of junk"])
@pytest.mark.parametrize("line", ["models show ", "data rm ", "fit x --preset mi", "fit "])
def test_a_damaged_home_gives_no_names(
    tab: Tab, isolated_home: Path, monkeypatch: pytest.MonkeyPatch, what: str, line: str
) -> None:
    if what == "a file":
        isolated_home.write_text("not a directory")
    elif what == "of nobody":
        monkeypatch.setenv("DIFFREC_HOME", "~there-is-no-such-user")
    elif what == "full of junk":
        for name in ("models/.incoming-1", "models/shop/one", "datasets/.lock", "presets/a b.json"):
            (isolated_home / name).mkdir(parents=True)
        (isolated_home / "models" / "default.json").write_text("{")
    assert [name for name in tab(f"diffrec {line}") if name != "shop"] == []


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        (
            {
                "_DIFFREC_COMPLETE": "complete_bash",
                "COMP_WORDS": "diffrec models show shop",
                "COMP_CWORD": "3",
            },
            b"shop\nshop@1\nshop@2\n",
        ),
        (
            {
                "_DIFFREC_COMPLETE": "complete_zsh",
                "_TYPER_COMPLETE_ARGS": "diffrec models show shop@1",
            },
            b"_arguments '*: :((\"shop@1\"))'\n",
        ),
        ({**LINES, "_TYPER_COMPLETE_ARGS": "diffrec models show shop@1"}, b"shop@1\n"),
    ],
    ids=["bash", "zsh", "fish"],
)
def test_typers_own_ways_of_asking_work(variables: dict[str, str], expected: bytes) -> None:
    command = [sys.executable, "-m", "diffrec_cli"]
    process = subprocess.run(command, env=environment(**variables), capture_output=True, check=True)
    assert (process.stdout, process.stderr) == (expected, b"")


@pytest.mark.parametrize("asked", ["complete_bash", "complete_tcsh", "nonsense"])
def test_a_question_that_makes_no_sense_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], asked: str
) -> None:
    monkeypatch.setenv("_DIFFREC_COMPLETE", asked)
    monkeypatch.delenv("COMP_WORDS", raising=False)
    try:
        code: object = run([])
    except SystemExit as end:
        code = end.code
    assert code == 1
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("line", ["diffrec models show ", "diffrec fit ", "diffrec eval --min "])
def test_asking_imports_nothing_heavy(line: str) -> None:
    code = (
        "import sys\nfrom diffrec_cli.cli.app import run\n"
        "try:\n    run([])\nexcept SystemExit:\n    pass\n"
        "print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    process = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(**LINES, _TYPER_COMPLETE_ARGS=line),
        capture_output=True,
        check=True,
    )
    loaded = set(process.stderr.decode().split())
    assert not loaded & {"torch", "pandas", "scipy", "sklearn", "pyarrow"}


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("line", "replaced", "expected"),
    [
        ("diffrec models show sh", "sh", ["shop", "shop@1", "shop@2"]),
        ("diffrec models show shop@", "", ["1", "2"]),  # bash breaks the word at @
        ("diffrec models show shop@", "@", ["1", "2"]),
        ("diffrec models show shop@2", "2", ["2"]),
        ("diffrec models show 'shop@", "shop@", ["shop@1", "shop@2"]),  # not in quotes
        ("diffrec recommend --model=sh", "sh", ["shop", "shop@1", "shop@2"]),
        ("diffrec recommend --model=shop@", "", ["1", "2"]),
        ("diffrec eval --min recall@2", "2", ["20="]),
        ("diffrec fit --dry", "--dry", ["--dry-run"]),
        ("diffrec fit nothing-begins-so", "nothing-begins-so", []),
    ],
)
def test_bash_gets_what_it_replaces(line: str, replaced: str, expected: list[str]) -> None:
    script = f"""{_shells.script("bash")}
        COMP_LINE=$1 COMP_POINT=${{#1}}
        _diffrec diffrec "$2"
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    process = subprocess.run(
        ["bash", "-c", script, "bash", line, replaced],
        env=environment(),
        capture_output=True,
        check=True,
    )
    assert process.stdout.decode().split() == expected


@pytest.mark.skipif(shutil.which("fish") is None, reason="needs fish")
@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("diffrec models show shop@", ["shop@1", "shop@2"]),
        ("diffrec recommend --model=shop@", ["--model=shop@1", "--model=shop@2"]),
        ("diffrec data sample /dev/nul", ["/dev/null"]),
    ],
)
def test_fish_gets_whole_words_and_files(line: str, expected: list[str], tmp_path: Path) -> None:
    script = f"{_shells.script('fish')}\ncomplete --do-complete '{line}'"
    process = subprocess.run(
        ["fish", "--no-config", "-c", script],
        env=environment(HOME=str(tmp_path)),
        capture_output=True,
        check=True,
    )
    assert process.stdout.decode().split() == expected


@pytest.mark.parametrize("shell", _shells.SHELLS)
def test_a_shell_understands_its_script(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    script = _shells.script(shell).encode()
    process = subprocess.run([shell, "-n"], input=script, capture_output=True, check=False)
    assert (process.returncode, process.stderr) == (0, b"")


@pytest.mark.parametrize("shell", _shells.SHELLS)
def test_the_script_of_a_shell_is_shown(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    monkeypatch.setattr(_shells, "current", lambda: shell)
    shown = cli("--show-completion")
    assert (shown.code, shown.out, shown.err) == (0, _shells.script(shell), "")
    monkeypatch.setenv("_DIFFREC_COMPLETE", f"source_{shell}")
    assert cli().out == _shells.script(shell)


@pytest.mark.parametrize(
    ("shell", "script", "rc"),
    [
        ("bash", ".bash_completions/diffrec.sh", ".bashrc"),
        ("zsh", ".zfunc/_diffrec", ".zshrc"),
        ("fish", ".config/fish/completions/diffrec.fish", None),
    ],
)
def test_installing_adds_one_line_and_nothing_else(
    cli: Cli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    shell: str,
    script: str,
    rc: str | None,
) -> None:
    monkeypatch.setattr(_shells, "current", lambda: shell)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for name in ("ZDOTDIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    if rc is not None:
        (tmp_path / rc).write_text("alias ll='ls -l'")  # without a newline at its end
    for _ in range(2):
        outcome = cli("--install-completion")
        assert outcome.code == 0
        assert str(tmp_path / script) in outcome.err
        assert outcome.out == ""
    assert (tmp_path / script).read_text() == _shells.script(shell)
    if rc is not None:
        first, second = (tmp_path / rc).read_text().splitlines()
        assert first == "alias ll='ls -l'"
        assert Path(script).parts[0] in second


def test_another_shell_is_a_usage_error(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_shells, "current", lambda: "tcsh")
    for option in ("--show-completion", "--install-completion"):
        outcome = cli(option)
        assert outcome.code == 2
        assert "'tcsh'" in outcome.err
        assert "source_bash" in outcome.err


def test_a_home_that_cannot_be_written_is_a_usage_error(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home-is-a-file").touch()
    monkeypatch.setattr(_shells, "current", lambda: "bash")
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home-is-a-file")
    outcome = cli("--install-completion")
    assert outcome.code == 2
    assert "cannot write" in outcome.err
    assert "--show-completion" in outcome.err
