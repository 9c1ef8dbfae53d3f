"""Sockets that can be had, and only by those who should."""

import os
import socket
import stat
from pathlib import Path

import pytest

from diffrec_cli.errors import UsageError
from diffrec_cli.workflows.http.connections import listening
from diffrec_cli.workflows.http.options import ServeOptions

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs unix sockets")


def test_a_free_port_is_found_and_named() -> None:
    with listening(ServeOptions(port=0)) as (found, address):
        assert address == f"http://127.0.0.1:{found.getsockname()[1]}"
        with socket.create_connection(found.getsockname()):
            pass


def test_a_port_that_is_taken_is_an_error() -> None:
    with listening(ServeOptions(port=0)) as (found, _):
        port = found.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port}") as caught:
            listening(ServeOptions(port=port)).__enter__()
        assert "--port" in caught.value.fix


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a..b", "a" * 70])
def test_a_name_that_is_no_host_is_an_error(host: str) -> None:
    options = ServeOptions(host=host, token_file="token")
    with pytest.raises(UsageError, match="cannot listen"), listening(options):
        pass


class TestUnixSocket:
    @pytest.fixture
    def path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.chdir(tmp_path)  # the whole path may be too long for a socket
        return Path("lists.sock")

    def test_it_is_for_this_user_alone_and_leaves_nothing(self, path: Path) -> None:
        umask = os.umask(0o000)
        try:
            with listening(ServeOptions(unix_socket=path)) as (_, address):
                assert address == "unix:lists.sock"
                assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert os.umask(0o000) == 0o000
        finally:
            os.umask(umask)
        assert not path.exists()

    def test_one_that_a_killed_server_left_is_replaced(self, path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(path))
        with listening(ServeOptions(unix_socket=path)), socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))

    def test_one_in_use_is_left_alone(self, path: Path) -> None:
        options = ServeOptions(unix_socket=path)
        with listening(options):
            with pytest.raises(UsageError, match="another server listens"), listening(options):
                pass
            assert path.exists()

    def test_another_file_is_left_alone(self, path: Path) -> None:
        path.write_text("mine")
        with pytest.raises(UsageError, match="no socket"):
            listening(ServeOptions(unix_socket=path)).__enter__()
        assert path.read_text() == "mine"

    def test_what_took_its_place_is_left_alone(self, path: Path) -> None:
        with listening(ServeOptions(unix_socket=path)):
            path.unlink()
            path.write_text("mine")
        assert path.read_text() == "mine"

    def test_a_directory_that_is_not_there_is_an_error(self) -> None:
        options = ServeOptions(unix_socket="nowhere/lists.sock")
        with pytest.raises(UsageError, match="cannot listen at nowhere"), listening(options):
            pass
