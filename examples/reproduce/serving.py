"""A ``diffrec serve`` of its own for the drills: started, asked, watched and stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
DIFFREC = (sys.executable, "-m", "diffrec_cli", "-q")


class Server:
    """A running server, and what it told."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process, self.port, self.log = process, port, log

    @property
    def memory(self) -> int:
        """Resident bytes that are the process's own: neither a file's nor shared."""
        resident, shared = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1:3]
        return (int(resident) - int(shared)) * PAGE

    def connect(self) -> socket.socket:
        """Return a connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def get(self, path: str) -> str:
        """Return a page."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def figure(self, name: str) -> float:
        """Return the sum of a metric's lines that begin with a name."""
        lines = self.get("/metrics").splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


@contextmanager
def serving(*options: str) -> Iterator[Server]:
    """Give a server on a free port; it must end by SIGTERM, as it should."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as directory, Path(directory, "log").open("wb") as log:
        command = [*DIFFREC[:-1], "serve", "--port", str(port), *options]
        process = subprocess.Popen(command, stderr=log)
        server = Server(process, port, Path(log.name))
        try:
            _wait_for(server)
            yield server
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(60)
        if code != 143:
            raise SystemExit(f"the server ended with {code}: {server.log.read_text()}")


def _wait_for(server: Server) -> None:
    for _ in range(300):
        try:
            server.get("/health")
            return
        except OSError:
            if server.process.poll() is not None:
                break
            time.sleep(0.1)
    raise SystemExit(f"the server did not start: {server.log.read_text()}")
