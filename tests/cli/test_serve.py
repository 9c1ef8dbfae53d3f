"""``diffrec serve``, as a process of its own that is asked over its socket."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.cli.conftest import Cli

pytestmark = [
    pytest.mark.usefixtures("fitted"),
    pytest.mark.skipif(os.name == "nt", reason="needs signals and unix sockets"),
]


class Server:
    """A running server."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process, self.address = process, address

    def connect(self) -> socket.socket:
        if self.address.startswith("unix:"):
            found = socket.socket(socket.AF_UNIX)
            found.connect(self.address.removeprefix("unix:"))
            return found
        return socket.create_connection(("127.0.0.1", int(self.address.rpartition(":")[2])))

    def ask(self, path: str, body: object = None) -> tuple[int, dict]:
        connection = HTTPConnection("localhost", timeout=20)
        connection.sock = self.connect()
        try:
            if body is None:
                connection.request("GET", path)
            else:
                headers = {"Content-Type": "application/json"}
                connection.request("POST", path, json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(number)
        _, told = self.process.communicate(timeout=30)
        return self.process.returncode, told


def until(condition: Callable[[], bool]) -> None:
    """Wait for what happens soon."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


@contextmanager
def serving(*options: str) -> Iterator[Server]:
    command = [sys.executable, "-m", "diffrec_cli", "serve", *options]
    with subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        # A job in the background of a script ignores Ctrl-C, and so do its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            assert process.stderr is not None
            first = process.stderr.readline()
            assert first.startswith("serving "), first + process.stderr.read()
            yield Server(process, first.split()[-1])
        finally:
            with suppress(OSError):
                process.kill()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_it_answers_over_a_unix_socket_as_recommend_does_and_stops_cleanly(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    monkeypatch.chdir(tmp_path)  # the whole path may be too long for a socket
    printed = cli("recommend", "-u", "u0001", "-k", 3, "--format", "json")
    with serving("--unix-socket", "lists.sock") as server:
        status, answer = server.ask("/recommend?user=u0001&k=3")
        assert (status, answer) == (200, json.loads(printed.out))
        stopped, told = server.stop(number)
    assert (stopped, told) == (code, "")
    assert not Path("lists.sock").exists()


def test_a_request_that_runs_is_answered_before_the_end() -> None:
    with serving("--port", "0") as server:
        connection = server.connect()
        body = b'{"user": "u0001", "k": 3, "why": true}'
        head = f"POST /recommend HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        connection.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode() + body[:9])
        time.sleep(0.3)  # the head is there
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        connection.sendall(body[9:])
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        connection.close()
        assert server.stop()[0] == 143


def test_models_change_while_requests_go_on_and_none_is_lost(cli: Cli, fitted: Path) -> None:
    found: list[tuple[int, str]] = []
    done = threading.Event()

    with serving("--port", "0") as server:

        def ask() -> None:
            while not done.is_set():
                status, answer = server.ask("/recommend?user=u0001&k=3")
                found.append((status, answer.get("model", "")))
                time.sleep(0.005)  # the others have work, too

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        assert cli("models", "export", "shop", fitted / "shop.tar").code == 0
        assert cli("models", "import", fitted / "shop.tar").code == 0
        assert cli("models", "default", "shop@2").code == 0
        until(lambda: server.ask("/health")[1]["model"] == "shop@2")
        assert cli("models", "rm", "shop@2", "--yes").code == 0
        until(lambda: "problem" in server.ask("/health")[1])
        assert server.ask("/health")[1]["problem"] == "shop@2 was removed; it stays in memory"
        done.set()
        for thread in threads:
            thread.join(20)
        _, told = server.stop()
    assert {status for status, _ in found} == {200}
    assert {model for _, model in found} == {"shop@1", "shop@2"}
    assert told.splitlines() == [
        "shop@2 takes the place of shop@1",
        "shop@2 was removed; it stays in memory",
    ]


def test_slow_oversized_and_leaving_clients_are_cut_and_others_are_answered() -> None:
    with serving("--port", "0", "--timeout", "0.2", "--max-body", "1000") as server:
        head = b"POST /recommend HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        slow = server.connect()
        slow.sendall(head + b"Content-Length: 50\r\n\r\n{")
        assert slow.recv(100).startswith(b"HTTP/1.1 408")
        large = server.connect()
        large.sendall(head + b"Content-Length: 5000\r\n\r\n")
        assert large.recv(100).startswith(b"HTTP/1.1 413")
        endless = server.connect()
        with suppress(OSError):  # it is cut meanwhile
            endless.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 2_000_000)
        assert server.ask("/recommend?user=u0001")[0] == 200
        for _ in range(50):  # ask and leave at once
            leaving = server.connect()
            leaving.sendall(b"GET /recommend?user=u0001 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            leaving.close()
        silent = server.connect()
        silent.sendall(b"GET /reco")
        silent.settimeout(20)
        began = time.monotonic()
        assert silent.recv(100) == b""  # cut after 2 * 0.2 + 5 s
        assert time.monotonic() - began < 15
        assert server.ask("/recommend?user=u0001")[0] == 200
        assert server.stop() == (143, "")


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--host", "0.0.0.0"], 2, "other machines could ask"),
        (["--timeout", "0"], 2, "--timeout 0"),
        (["--token-file", "nowhere"], 2, "cannot be read"),
        (["--model", "nothing"], 4, "no model 'nothing'"),
    ],
)
def test_what_makes_no_sense_is_an_error_with_its_fix(
    cli: Cli, options: list[str], code: int, words: str
) -> None:
    outcome = cli("serve", "--port", 0, *options)
    assert outcome.code == code
    assert words in outcome.err
    assert "fix: " in outcome.err


def test_a_token_is_no_option(cli: Cli) -> None:
    assert cli("serve", "--token", "0123456789abcdef").code == 2
