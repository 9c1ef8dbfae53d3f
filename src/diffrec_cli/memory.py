"""How much memory is available, and how much was used, as far as the platform tells."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from diffrec_cli.errors import DeviceError
from diffrec_cli.system_errors import MORE_MEMORY, MORE_THREADS

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")
_STATUS = Path("/proc/self/status")

#: Files of a control group, by version: its limit, what is used, and a key of ``memory.stat``: what
#: of this is a cache of files, which gives way.
_GROUP_FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
#: From here on, a limit of version 1 is none.
_NO_LIMIT = 1 << 60
#: An address space below this is tight: allocators and threads reserve about 1.5 GB.
_TIGHT = 4 << 30
#: A limit on a user's processes and threads from which on there are enough of them.
_ENOUGH_THREADS = 1 << 10
_M_ARENA_MAX, _M_MMAP_THRESHOLD = -8, -3  # of glibc's malloc.h
#: Bytes of address space that libraries need when they are loaded, and for first results. With less
#: many end the process from within, and nobody can say why.
_TO_LOAD = {"numpy": 130 << 20, "scipy": 80 << 20, "pyarrow": 150 << 20, "torch": 700 << 20}


def available_memory() -> int | None:
    """Return the bytes available without swapping, or None if unknown.

    On Linux the limits of a container (control groups of version 1 and 2) and of the address space
    (``ulimit -v``) count too. Elsewhere it is the physical memory.
    """
    left = address_space_left()
    known = [size for size in (_meminfo(), _cgroups(), left) if size is not None]
    return min(known) if known else _physical()


def address_space_left() -> int | None:
    """Return the bytes that ``ulimit -v`` leaves to this process, or None without a limit."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return None
    return max(0, limit - (_kilobytes(_STATUS, "VmSize:") or 0))


def fit_into_limits() -> None:
    """Let libraries reserve little where it is tight; call it before they are loaded.

    One that there is no room for is refused with a :class:`DeviceError`.
    """
    if _few_threads():
        sys.meta_path.insert(0, _NoThreads)
    left = address_space_left()
    if left is None or left >= _TIGHT:
        return
    sys.meta_path.insert(0, _Room)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    import ctypes

    with suppress(OSError, AttributeError):  # not glibc
        # Each thread has an arena of its own otherwise. Its variable is read before Python runs.
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
        # Large arrays are given back at once; between others they could not.
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 1 << 20)


def _few_threads() -> bool:
    """Tell whether a limit on processes leaves fewer threads than libraries start."""
    try:
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    except (ImportError, AttributeError):  # not on Windows
        return False
    if limit == resource.RLIM_INFINITY or limit >= _ENOUGH_THREADS:
        return False
    return not _can_start(_threads_of_libraries())


def _threads_of_libraries() -> int:
    """Return about how many threads NumPy, Arrow and torch start together."""
    return 4 * (os.cpu_count() or 1) + 8


def _can_start(threads: int) -> bool:
    """Tell whether so many threads can be started, by starting them."""
    import threading

    end, started = threading.Event(), list[threading.Thread]()
    try:
        for _ in range(threads):
            thread = threading.Thread(target=end.wait)
            thread.start()
            started.append(thread)
    except RuntimeError:
        return False
    finally:
        end.set()
        for thread in started:
            thread.join()
    return True


class _NoThreads:
    """Refuses libraries that start threads: without any, they end the process from within."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        """Refuse such a library; else leave it to the finders of Python."""
        if name in _TO_LOAD:
            raise DeviceError(
                f"out of threads: {name} and others start up to {_threads_of_libraries()}",
                MORE_THREADS,
            )


class _Room:
    """Looks, before a library is loaded, whether there is room for it."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        """Refuse what has no room; else leave it to the finders of Python."""
        needed, left = _TO_LOAD.get(name), address_space_left()
        if needed is not None and left is not None and left < needed:
            raise DeviceError(
                f"out of memory: {name} needs {needed / 1e6:.0f} MB of address space, and"
                f" {left / 1e6:.0f} MB are left",
                MORE_MEMORY,
            )


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


def _cgroups() -> int | None:
    """Return what the limits of this process's control groups leave, or None without a limit."""
    left = [_left_in(group, *names) for group in _groups() for names in _GROUP_FILES]
    return min((size for size in left if size is not None), default=None)


def _groups() -> Iterator[Path]:
    """Yield the directories of this process's control groups, and those above them.

    In a container, the path of a group may be that of the host, and only the root is there.
    """
    lines: list[str] = []
    with suppress(OSError):
        lines = _OWN_CGROUPS.read_text().splitlines()
    yield from (_CGROUP, _CGROUP / "memory")
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "memory" not in controllers.split(","):
            continue
        root = _CGROUP / "memory" if controllers else _CGROUP
        group = root / path.lstrip("/")
        yield from (one for one in (group, *group.parents) if root in one.parents)


def _left_in(group: Path, limit: str, used: str, cached: str) -> int | None:
    with suppress(OSError, ValueError):  # "max" is no number: no limit
        most = int((group / limit).read_text())
        if most < _NO_LIMIT:
            held = int((group / used).read_text()) - _figure(group / "memory.stat", cached)
            return max(0, most - held)
    return None


def _figure(path: Path, name: str) -> int:
    with suppress(OSError, ValueError):
        figures = (line.split() for line in path.read_text().splitlines())
        return next((int(value) for key, value in figures if key == name), 0)
    return 0


def _physical() -> int | None:
    with suppress(AttributeError, ValueError, OSError):  # no sysconf on Windows
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None
