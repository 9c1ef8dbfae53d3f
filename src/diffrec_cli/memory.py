"""How much memory is available, and how much was used, as far as the platform tells."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from diffrec_cli.errors import DeviceError

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")
_STATUS = Path("/proc/self/status")


def available_memory() -> int | None:
    """Return the bytes available without swapping, or None if unknown.

    On Linux a container's limit counts too. Elsewhere it is the physical memory.
    """
    known = [size for size in (_meminfo(), _cgroup()) if size is not None]
    return min(known) if known else _physical()


def require_memory(model: str, needed: int, n_items: int) -> None:
    """Raise a :class:`DeviceError` if a model needs more bytes than are available."""
    available = available_memory()
    if available is not None and needed > available:
        raise DeviceError(
            f"{model} on {n_items:,} items needs {needed / 1e9:.1f} GB of memory, "
            f"{available / 1e9:.1f} GB are available",
            "use another model (itemknn needs far less), or drop rare items with "
            "--min-item-interactions",
        )


def reset_peak_memory(device: str) -> None:
    """Reset the peak of a CUDA device; the peak of a process cannot be reset."""
    if device.startswith("cuda"):
        import torch

        # Torch raises if CUDA is not initialised.
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # torch has no type for it
            torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: str) -> int:
    """Return the peak memory in bytes, 0 if unknown.

    On CUDA it is that of tensors since :func:`reset_peak_memory`, elsewhere that of this process.
    """
    if device.startswith("cuda"):
        import torch

        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "linux":  # its ru_maxrss begins with the peak of the parent
        return _kilobytes(_STATUS, "VmHWM:") or 0
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _meminfo() -> int | None:
    return _kilobytes(_MEMINFO, "MemAvailable:")


def _kilobytes(path: Path, name: str) -> int | None:
    """Return a figure of Linux's /proc in bytes."""
    with suppress(OSError, ValueError, IndexError):
        for line in path.read_text().splitlines():
            if line.startswith(name):
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
