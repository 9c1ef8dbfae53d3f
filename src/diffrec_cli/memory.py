"""How much memory a fit may take, as far as the platform tells."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from diffrec_cli.errors import DeviceError

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


def available_memory() -> int | None:
    """Return the bytes that can be had without swapping, or None where nobody knows.

    Linux tells what is available, and a container its limit; elsewhere it is the physical
    memory, since what is free there excludes the caches that would be given up.
    """
    known = [size for size in (_meminfo(), _cgroup()) if size is not None]
    return min(known) if known else _physical()


def require_memory(model: str, needed: int, n_items: int) -> None:
    """Raise a :class:`DeviceError` if a model of so many items needs more bytes than there are."""
    available = available_memory()
    if available is not None and needed > available:
        raise DeviceError(
            f"{model} on {n_items:,} items needs {needed / 1e9:.1f} GB of memory, "
            f"{available / 1e9:.1f} GB are available",
            "leave it out (itemknn needs far less), or drop rare items with "
            "--min-item-interactions",
        )


def _meminfo() -> int | None:
    with suppress(OSError, ValueError, IndexError):
        for line in _MEMINFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _cgroup() -> int | None:
    with suppress(OSError, ValueError):  # "max" is no number: no limit
        limit = int((_CGROUP / "memory.max").read_text())
        return max(0, limit - int((_CGROUP / "memory.current").read_text()))
    return None


def _physical() -> int | None:
    with suppress(AttributeError, ValueError, OSError):  # no sysconf on Windows
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None
