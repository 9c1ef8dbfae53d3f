"""The options of ``serve``, and their checks."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from ipaddress import ip_address
from pathlib import Path

from diffrec_cli.errors import UsageError


@dataclass(frozen=True)
class ServeOptions:
    """Where to listen, and how much to accept."""

    host: str = "127.0.0.1"
    """Address to listen at. Beyond loopback there must be a `token_file`."""
    port: int = 8000
    """Port to listen at; 0 takes a free one."""
    unix_socket: str | Path | None = None
    """Path of a unix socket to listen at, instead of a port."""
    token_file: str | Path | None = None
    """File with the bearer token that requests must have."""
    timeout: float = 10.0
    """Seconds that a request may take to arrive, and its list to be made."""
    max_body: int = 262_144
    """Largest body of a request, in bytes."""
    max_k: int = 1000
    """Longest list that may be asked for."""
    max_items: int = 2000
    """Most items in a history, or in a list of items that are allowed or blocked."""
    max_requests: int = 512
    """Requests at a time; more are told to come again."""

    def __post_init__(self) -> None:
        """Refuse impossible options and combinations."""
        for field in fields(self):
            name, value = field.name, getattr(self, field.name)
            if name.startswith("max_") and value < 1:
                raise UsageError(
                    f"--{name.replace('_', '-')} {value}: not 1 or more", f"such as {field.default}"
                )
        if not 0 < self.timeout < math.inf:
            raise UsageError(f"--timeout {self.timeout:g}: not above 0", "such as 10")
        if not 0 <= self.port < 65536:
            raise UsageError(f"--port {self.port}: not 0 to 65535", "such as 8000")
        if self.unix_socket is None and not self.is_local and self.token_file is None:
            raise UsageError(
                f"--host {self.host}: other machines could ask for everyone's lists",
                "give --token-file FILE with a secret that requests must have, or leave --host out",
            )

    @property
    def is_local(self) -> bool:
        """Whether the address is of this machine alone."""
        try:
            return self.host == "localhost" or ip_address(self.host).is_loopback
        except ValueError:  # a name
            return False

    @property
    def hosts(self) -> tuple[str, ...]:
        """Names by which requests may call the server; none: any.

        On loopback a web page could otherwise ask under a name of its own that leads here (DNS
        rebinding), and read the answer.
        """
        if self.unix_socket is not None or not self.is_local:
            return ()
        return ("localhost", "127.0.0.1", "[::1]", "::1", self.host)
