"""A command line run in this process, and a state directory with a fitted model."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from diffrec_cli.cli.app import run
from diffrec_cli.data.sources.sample import SampleOptions, write_sample


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


Cli = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def restored_signals() -> Iterator[None]:
    """Put back the signal handlers that the program sets for itself."""
    names = ("SIGTERM", "SIGPIPE", "SIGHUP")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def cli(capfdbinary: pytest.CaptureFixture[bytes]) -> Cli:
    """Run ``diffrec ARGUMENTS...``; neither stream is a terminal."""

    def call(*arguments: object) -> Outcome:
        capfdbinary.readouterr()
        code = run([str(argument) for argument in arguments])
        out, err = capfdbinary.readouterr()
        return Outcome(code, out.decode(), err.decode())

    return call


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a small sample log and its item table."""
    directory = tmp_path_factory.mktemp("sample")
    options = SampleOptions(users=120, items=60, interactions=2400, seed=2)
    return write_sample(directory / "ratings.csv", options)


@pytest.fixture(scope="session")
def _home_with_model(sample: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("fitted") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIFFREC_HOME", str(home))
        log, items = (str(path) for path in sample)
        arguments = ["fit", log, "--items", items, "--variant", "t", "--name", "shop", "-q"]
        assert run([*arguments, "--epochs", "4", "--set", "dims=16", "--device", "cpu"]) == 0
    return home


@pytest.fixture
def fitted(_home_with_model: Path, isolated_home: Path) -> Path:
    """Return a state directory, this test's own, with dataset ``ratings`` and model ``shop@1``."""
    shutil.copytree(_home_with_model, isolated_home)
    return isolated_home
