"""Devices are chosen, never guessed: what is asked for and absent is an error."""

import platform
import resource
import sys
from pathlib import Path

import pytest
import torch

from diffrec_cli.errors import DeviceError, UsageError
from diffrec_cli.training.devices import (
    choose_device,
    choose_precision,
    memory_errors,
    ranking_fix,
    ranking_precision,
    reused_memory,
)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    def has(*, cuda: bool, mps: bool) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: int(cuda))
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return has


@pytest.mark.parametrize(
    ("cuda", "mps", "chosen"),
    [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_auto_prefers_cuda_then_mps_then_cpu(machine, cuda: bool, mps: bool, chosen: str) -> None:
    machine(cuda=cuda, mps=mps)
    assert choose_device("auto") == chosen


@pytest.mark.parametrize("asked", ["cuda", "cuda:0", "mps"])
def test_an_absent_device_is_exit_5(machine, asked: str) -> None:
    machine(cuda=False, mps=False)
    with pytest.raises(DeviceError, match=asked) as caught:
        choose_device(asked)
    assert caught.value.exit_code == 5
    assert caught.value.fix


def test_a_cuda_device_beyond_the_last_is_exit_5(machine) -> None:
    machine(cuda=True, mps=False)
    with pytest.raises(DeviceError, match="cuda:3"):
        choose_device("cuda:3")


def test_an_unknown_device_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="tpu"):
        choose_device("tpu")


def test_precision_is_what_was_asked_for() -> None:
    assert choose_precision("fp32", "cpu") == "fp32"
    assert choose_precision("bf16", "cpu") == "bf16"
    assert choose_precision("auto", "mps") == "fp32"
    with pytest.raises(UsageError, match="fp8"):
        choose_precision("fp8", "cpu")


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory"),
              RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)  # fmt: skip
def test_running_out_of_memory_is_exit_5(error: BaseException) -> None:
    with pytest.raises(DeviceError, match="out of memory") as caught, memory_errors("cpu"):
        raise error
    assert "--batch-size" in caught.value.fix


def test_the_fix_is_that_of_the_command() -> None:
    with pytest.raises(DeviceError) as caught, memory_errors("cuda", ranking_fix("cuda")):
        raise MemoryError
    assert "--batch-size" not in caught.value.fix
    assert "--device cpu" in caught.value.fix
    assert "--device" not in ranking_fix("cpu")


def test_other_errors_pass_unchanged() -> None:
    with pytest.raises(RuntimeError, match="shape"), memory_errors("cpu"):
        raise RuntimeError("shape mismatch")


def test_ranking_is_in_fp32_unless_bf16_is_asked_for() -> None:
    assert [ranking_precision(asked) for asked in ("auto", "fp32", "bf16")] == [
        "fp32",
        "fp32",
        "bf16",
    ]
    with pytest.raises(UsageError, match="--precision fp16"):
        ranking_precision("fp16")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_freed_memory_is_kept_for_the_next_step_and_given_back_at_the_end() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    size = 2**28
    before = resident()
    with reused_memory() as reuse:
        torch.ones(size // 4)
        not_yet = resident() - before
        reuse()
        torch.ones(size // 4)
        kept = resident() - before
    if platform.libc_ver()[0] == "glibc":
        assert not_yet < 0.1 * size
        assert kept > 0.9 * size
    assert resident() - before < 0.1 * size
