"""What `serve` checks before it serves."""

import logging
import sys
from pathlib import Path

import pytest

from diffrec_cli import workflows
from diffrec_cli.errors import MissingExtraError, NotFoundError, UsageError
from diffrec_cli.workflows.progress import Event, Fault
from diffrec_cli.workflows.serve_lists import _faults_told, read_token

TOKEN = "0123456789abcdef"


def token_file(directory: Path, content: str = f"{TOKEN}\n", mode: int = 0o600) -> Path:
    path = directory / "token"
    path.write_text(content)
    path.chmod(mode)
    return path


class TestToken:
    def test_it_is_the_word_in_the_file(self, tmp_path: Path) -> None:
        told: list[Event] = []
        assert read_token(token_file(tmp_path), told.append) == TOKEN
        assert told == []

    @pytest.mark.parametrize("content", ["", "short", "0123456789 abcdef", "0123456789abcdé…"])
    def test_what_is_no_long_word_is_refused(self, tmp_path: Path, content: str) -> None:
        with pytest.raises(UsageError, match="not one word of 16") as caught:
            read_token(token_file(tmp_path, content), print)
        assert "openssl rand" in caught.value.fix

    def test_a_file_that_is_not_there_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="No such file"):
            read_token(tmp_path / "token", print)

    def test_a_file_that_others_may_write_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="others may write it"):
            read_token(token_file(tmp_path, mode=0o620), print)

    def test_a_file_that_others_can_read_is_told_of(self, tmp_path: Path) -> None:
        told: list[Event] = []
        assert read_token(token_file(tmp_path, mode=0o644), told.append) == TOKEN
        (fault,) = told
        assert isinstance(fault, Fault)
        assert TOKEN not in fault.text


def test_what_uvicorn_logs_is_a_line_with_its_cause_and_place() -> None:
    told: list[Event] = []
    logger = logging.getLogger("uvicorn.error")
    with _faults_told(told.append):
        try:
            raise ZeroDivisionError("by\nnought")
        except ZeroDivisionError as error:
            logger.error("Exception in ASGI application\n", exc_info=error)
        logger.error("Cancel %s running task(s)", 2)
        logger.info("Started")
    logger.error("after the end")
    fault, other = told
    assert isinstance(fault, Fault)
    assert fault.text.startswith("ZeroDivisionError: by nought (")
    assert "test_serve_lists.py:" in fault.text
    assert other == Fault("Cancel 2 running task(s)")


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "prometheus_client"])
def test_without_the_extra_it_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=package.replace("_", "-")) as caught:
        workflows.serve()
    assert "diffrec-cli[serve]" in caught.value.fix


def test_without_a_model_nothing_is_served(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no model yet"):
        workflows.serve(port=0)
