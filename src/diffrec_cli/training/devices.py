"""Devices, precision, and errors when memory runs out."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from diffrec_cli.errors import DeviceError, UsageError
from diffrec_cli.launch import launched, neighbours
from diffrec_cli.memory import available_memory
from diffrec_cli.system_errors import amount_of, is_out_of_memory

DEVICES = ("auto", "cuda", "mps", "cpu")
PRECISIONS = ("auto", "fp32", "bf16")
#: Advice when ``fit`` or ``compare`` runs out of memory.
TRAINING_FIX = "use a smaller --batch-size, or --variant l"
COMPARING_FIX = "use a smaller --set batch_size, or leave the model out of --models"

# Constants of glibc's malloc.h, and their defaults.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_DEFAULT_TRIM_THRESHOLD, _DEFAULT_MMAP_MAX = 128 * 1024, 65536


def choose_device(asked: str) -> str:
    """Return the device to use; ``auto`` prefers CUDA, then MPS, then the CPU.

    Raises
    ------
    DeviceError
        The device asked for is not there.
    """
    import torch

    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if asked == "auto":
        return next((device for device, there in present.items() if there), "cpu")
    if asked.split(":")[0] not in DEVICES:
        raise UsageError(f"--device {asked}: unknown device", f"one of: {', '.join(DEVICES)}")
    if asked != "cpu" and not present.get(asked.split(":")[0], False):
        raise DeviceError(
            f"--device {asked}: torch {torch.__version__} finds no such device",
            "see `diffrec doctor`, or use --device auto",
        )
    index = int(asked.split(":")[1]) if ":" in asked and asked.split(":")[1].isdigit() else 0
    if asked.startswith("cuda") and index >= torch.cuda.device_count():
        raise DeviceError(
            f"--device {asked}: there are {torch.cuda.device_count()} CUDA devices",
            "count them from cuda:0",
        )
    return asked


def own_device(device: str) -> str:
    """Return the device of this process: of several, each has a GPU of its own."""
    several = launched()[1] > 1
    return f"cuda:{neighbours()[0]}" if device == "cuda" and several else device


def available_on(device: str) -> int | None:
    """Return the bytes that each process of this machine may take; ``None``: unknown."""
    import torch

    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(torch.device(device))[0])
    free = available_memory()
    return None if free is None else free // neighbours()[1]


def choose_precision(asked: str, device: str) -> str:
    """Return ``fp32`` or ``bf16``; ``auto`` takes bf16 where the hardware multiplies it fast."""
    _check_precision(asked)
    if asked != "auto":
        return asked
    return "bf16" if fast_bf16(device) else "fp32"


def ranking_precision(asked: str) -> str:
    """Return ``fp32`` or ``bf16`` for ranking; ``auto`` is fp32."""
    _check_precision(asked)
    return "bf16" if asked == "bf16" else "fp32"


def _check_precision(asked: str) -> None:
    if asked not in PRECISIONS:
        raise UsageError(f"--precision {asked}: unknown", f"one of: {', '.join(PRECISIONS)}")


def fast_bf16(device: str) -> bool:
    """Return whether this device has hardware for matrix products in bf16."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_capability(torch.device(device))[0] >= 8
    if device != "cpu":
        return False
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, check, bool)() for check in checks)


def device_name(device: str) -> str:
    """Return a readable name of the device."""
    import platform

    import torch

    if device.startswith("cuda"):
        return f"{device} ({torch.cuda.get_device_name(torch.device(device))})"
    if device == "cpu":
        return f"cpu ({torch.get_num_threads()} threads)"
    return f"{device} ({platform.machine()})"


def ranking_fix(device: str) -> str:
    """Return advice when ranking runs out of memory; it chooses its batch size itself."""
    others = "end other programs that use its memory"
    return others if device == "cpu" else f"{others}, or use --device cpu"


@contextmanager
def memory_errors(device: str, fix: str = TRAINING_FIX) -> Iterator[None]:
    """Turn running out of memory into a :class:`DeviceError`.

    Parameters
    ----------
    device
        Device of the computation.
    fix
        Advice, with options of the running command.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise DeviceError(f"out of memory on {device}{amount_of(error)}", fix) from error


@contextmanager
def reused_memory() -> Iterator[Callable[[], None]]:
    """Let glibc keep freed memory for later allocations, and give it all back at the end.

    By default glibc takes each large array from the system anew. The system clears its pages, which
    took half the time of a training step on wide catalogues. It begins when the yielded function is
    called first: allocate long-lived arrays before, as they would fragment the memory to reuse (0.4
    GB more at Amazon-book's size).
    """
    allocator = _glibc() if sys.platform == "linux" else None
    if allocator is None:
        yield lambda: None
        return

    def begin() -> None:
        allocator.mallopt(_M_MMAP_MAX, 0)
        allocator.mallopt(_M_TRIM_THRESHOLD, -1)

    try:
        yield begin
    finally:
        allocator.mallopt(_M_MMAP_MAX, _DEFAULT_MMAP_MAX)
        allocator.mallopt(_M_TRIM_THRESHOLD, _DEFAULT_TRIM_THRESHOLD)
        allocator.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    """Return the C library if it is glibc."""
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") else None
