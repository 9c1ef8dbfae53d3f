"""Devices are chosen, never guessed: what is asked for and absent is an error."""

import pytest
import torch

from diffrec_cli.errors import DeviceError, UsageError
from diffrec_cli.training.devices import choose_device, choose_precision, memory_errors


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


def test_other_errors_pass_unchanged() -> None:
    with pytest.raises(RuntimeError, match="shape"), memory_errors("cpu"):
        raise RuntimeError("shape mismatch")
