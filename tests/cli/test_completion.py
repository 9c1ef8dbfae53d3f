"""Completion: what a shell gets for a half-typed line, and how it comes to ask."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from diffrec_cli.catalogue import PRESETS, VARIANTS, write_own
from diffrec_cli.cli import _completion
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
        ("diffrec recommend --model=shop@2", ["--model=shop@2"]),
        ("diffrec fit x --name ", ["shop"]),
        ("diffrec data show ", ["ratings"]),
        ("diffrec data rm ra", ["ratings"]),
        ("diffrec prepare x --name ", ["ratings"]),
        ("diffrec compare x --dataset ", ["ratings"]),
        ("diffrec fit x --preset ", [*PRESETS, "mine"]),
        ("diffrec fit x -v multiv", ["multivae", "multivae-t"]),
        ("diffrec quickstart -v ", ["auto", "base", "l", "t", "lt"]),
        ("diffrec fit x -v au", ["auto"]),
        ("diffrec fit x --set pat", ["patience="]),
        ("diffrec fit x --set half_", []),
        ("diffrec tune x --variant l", ["l", "l+graph", "lightgcn", "lt", "lt+graph"]),
        ("diffrec compare x --models pop,rp", ["pop,rp3beta", "pop,rp3beta-t"]),
        ("diffrec eval --baselines ease,po", ["ease,popularity", "ease,pop"]),
        ("diffrec eval --baselines mult", []),
        ("diffrec eval --metrics recall,nd", ["recall,ndcg"]),
        ("diffrec eval --min ndcg@", ["ndcg@10=", "ndcg@20="]),
        ("diffrec eval --split ", ["valid", "test"]),
        (
            "diffrec fit x -v ease --set ",
            ["lambda=", "neighbours=", "user_exponent=", "item_exponent="],
        ),
        (
            "diffrec compare x -m ease,itemknn --set ",
            ["lambda=", "neighbours=", "user_exponent=", "item_exponent=", "shrink="],
        ),
        ("diffrec doctor --format j", ["json", "jsonl"]),
        ("diffrec fit x --device ", ["auto", "cuda", "mps", "cpu"]),
        ("diffrec fit x --device=c", ["--device=cuda", "--device=cpu"]),
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
    assert _completion.PRESETS == PRESETS
    assert _completion.diffrec_variants() == ["auto", *VARIANTS]


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
    ("shell", "line", "expected"),
    [
        ("bash", "diffrec models show shop", "shop\nshop@1\nshop@2\n"),
        ("zsh", "diffrec models show shop@1", "_arguments '*: :((\"shop@1\"))'\n"),
        (
            "zsh",
            "diffrec eval --split=",
            '_arguments \'*: :(("--split=valid"\n"--split=test"))\'\n',
        ),
        ("zsh", "diffrec eval --split=x", "_files\n"),
        ("fish", "diffrec models show shop@1", "shop@1\n"),
        ("fish", "diffrec eval --split=", "--split=valid\n--split=test\n"),
    ],
)
def test_each_shell_is_answered(shell: str, line: str, expected: str) -> None:
    words = {"COMP_WORDS": line.replace(" ", "\n"), "COMP_CWORD": "3"}
    variables = {**LINES, "_DIFFREC_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": line}
    process = subprocess.run(
        [sys.executable, "-m", "diffrec_cli"],
        env=environment(**variables, **words),
        capture_output=True,
        check=True,
    )
    assert (process.stdout.decode(), process.stderr) == (expected, b"")


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


@cache
def source(shell: str) -> str:
    """Return what a shell is to load."""
    process = subprocess.run(
        [sys.executable, "-m", "diffrec_cli"],
        env=environment(_DIFFREC_COMPLETE=f"source_{shell}"),
        capture_output=True,
        check=True,
    )
    return process.stdout.decode()


ALL = "\x1b*"  # has bash put every candidate into the line


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (f"mod\tsh\tsh{ALL}", "models|show|shop|shop@1|shop@2"),
        (f"models show shop@{ALL}", "models|show|shop@1|@2"),
        ("models show shop@2\t", "models|show|shop@2"),
        (f"models show 'shop@{ALL}", "models|show|shop@1|shop@2"),
        (f"recommend --model=sh{ALL}", "recommend|--model=shop|shop@1|shop@2"),
        (f"recommend --model=shop@{ALL}", "recommend|--model=shop@1|@2"),
        (f'recommend --model="shop@{ALL}', "recommend|--model=shop@1|shop@2"),
        (f"eval --min recall@{ALL}", "eval|--min|recall@10=|@20="),
        ("eval --min recall@1\t.1 --spl\tte\t", "eval|--min|recall@10=.1|--split|test"),
        ("fit x -v ease --set l\t5", "fit|x|-v|ease|--set|lambda=5"),
        ("compare x --models pop,ease-\t", "compare|x|--models|pop,ease-t"),
        ("fit a:b --dev\tcp\t", "fit|a:b|--device|cpu"),
        ("fit a:b --nothing= --dev\t", "fit|a:b|--nothing=|--device"),
        (
            f"models show  --json\x01\x1bf\x1bf\x1bf\x06sh{ALL}",
            "models|show|shop|shop@1|shop@2|--json",
        ),
        (f"fit rat{ALL}", "fit|rat.csv|ratings"),
        ("fit my\t", "fit|my log.csv"),
        ("recommend --out=my\t", "recommend|--out=my log.csv"),
    ],
)
def test_bash_completes(typed: str, expected: str, tmp_path: Path) -> None:
    for name in ("rat.csv", "my log.csv"):
        (tmp_path / name).touch()
    # The program that completes is the one on the path; what is run in the end is the function.
    rc = f"{source('bash')}\ndiffrec() {{ (IFS='|'; echo \"$*\" >line); exit; }}\n"
    (tmp_path / "rc").write_text(rc)
    keyboard, terminal = os.openpty()
    try:
        os.write(keyboard, f"diffrec {typed}\r".encode())
        subprocess.run(
            ["bash", "--noprofile", "--rcfile", "rc", "-i"],
            cwd=tmp_path,
            env=environment(INPUTRC=os.devnull, TERM="dumb", HISTFILE=os.devnull),
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
            timeout=60,
            check=True,
        )
    finally:
        os.close(keyboard)
        os.close(terminal)
    assert (tmp_path / "line").read_text() == f"{expected}\n"


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
    script = f"{source('fish')}\ncomplete --do-complete '{line}'"
    process = subprocess.run(
        ["fish", "--no-config", "-c", script],
        env=environment(HOME=str(tmp_path)),
        capture_output=True,
        check=True,
    )
    assert process.stdout.decode().split() == expected


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """Return the shell that runs the program, whose user has an empty home."""
    monkeypatch.setattr("shellingham.detect_shell", lambda: (request.param, ""))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    return str(request.param)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"], indirect=True)
def test_the_script_of_a_shell_is_shown(shell: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        run(["--show-completion"])
    out, err = capfd.readouterr()
    assert (out.split(), err) == (source(shell).split(), "")


@pytest.mark.parametrize(
    ("shell", "script", "rc"),
    [
        ("bash", ".bash_completions/diffrec.sh", ".bashrc"),
        ("zsh", ".zfunc/_diffrec", ".zshrc"),
        ("fish", ".config/fish/completions/diffrec.fish", None),
    ],
    indirect=["shell"],
)
def test_installing_keeps_the_start_up_file_and_adds_to_it_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], shell: str, script: str, rc: str | None
) -> None:
    if rc is not None:
        (tmp_path / rc).write_text("alias ll='ls -l'")  # without a newline at its end
    for _ in range(2):
        with pytest.raises(SystemExit, match="0"):
            run(["--install-completion"])
        assert str(tmp_path / script) in capfd.readouterr().out
    assert (tmp_path / script).read_text().split() == source(shell).split()
    if rc is not None:
        first, *added = (tmp_path / rc).read_text().split("\n")
        assert first == "alias ll='ls -l'"
        assert sum(Path(script).parts[0] in line for line in added) == 1


@pytest.mark.parametrize("shell", ["tcsh"], indirect=True)
@pytest.mark.parametrize("option", ["--show-completion", "--install-completion"])
def test_another_shell_is_an_error(cli: Cli, shell: str, option: str) -> None:
    outcome = cli(option)
    assert outcome.code == 1
    assert f"Shell {shell}" in outcome.out + outcome.err


@pytest.mark.parametrize("shell", ["bash"], indirect=True)
def test_a_home_that_cannot_be_written_is_a_usage_error(
    cli: Cli, shell: str, tmp_path: Path
) -> None:
    (tmp_path / ".bashrc").mkdir()
    (tmp_path / ".bash_completions").touch()
    outcome = cli("--install-completion")
    assert outcome.code == 2
    assert "cannot write" in outcome.err
    assert "--show-completion" in outcome.err
