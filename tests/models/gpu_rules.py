"""Rules for code that runs on a GPU, checked without one.

The model is on the device ``meta``. Its tensors have shapes, types and gradients but no numbers, so
it is a device of its own, and no code path that is the CPU's is taken. What cannot be done there is
what a GPU's host would have to wait for: to read a number, or a shape that depends on numbers.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from diffrec_cli.models.backend import TorchBackend

DEVICE = torch.device("meta")
_TORCH = str(Path(torch.__file__).parent)
_OPTIMIZERS = str(Path(torch.optim.__file__).parent)
_WAITS = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
_INDEXING = {torch.ops.aten.index, torch.ops.aten.index_put, torch.ops.aten.index_put_}
_MASKS = {torch.bool, torch.uint8}
_TOO_WIDE = {torch.float64, torch.complex128}  # for MPS
#: Calls that make a tensor of numbers of Python; torch shows no operation of theirs.
_METHODS = {Tensor.new_tensor}
_OF_NUMBERS = {torch.tensor, torch.as_tensor, torch.asarray, *_METHODS}
#: What torch does with an array of NumPy before it is copied to the device.
_OF_ARRAYS = {torch.ops.aten.lift_fresh, torch.ops.aten._to_copy}


class BrokenRuleError(AssertionError):
    """Says which operator broke a rule, how, and in which line."""

    def __init__(self, operator: object, how: str) -> None:
        super().__init__(f"{operator} {how}, at {_line()}")


class _Operations(TorchDispatchMode):
    """Checks every operation of torch, those of gradients and optimisers too."""

    def __init__(self, copies_may_wait: bool) -> None:
        super().__init__()
        self.copies_may_wait = copies_may_wait

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        read = _tensors((args, kwargs))
        places = {tensor.device for tensor in read}
        to = kwargs.get("device", DEVICE)
        copied = func.overloadpacket is torch.ops.aten._to_copy
        if DEVICE in places and (_waits(func, args) or (copied and to != DEVICE)):
            raise BrokenRuleError(func, "makes the host wait for the device")
        if len(places) > 1:
            raise BrokenRuleError(func, "reads tensors of the device and of the host")
        crosses = copied and to == DEVICE and DEVICE not in places
        if crosses and not (self.copies_may_wait or kwargs.get("non_blocking", False)):
            raise BrokenRuleError(func, "copies to the device and makes the host wait for it")
        made = func(*args, **kwargs)
        for tensor in _tensors(made):
            _check_made(func, tensor)
        return made


class _Calls(TorchFunctionMode):
    """Checks what a GPU's host does for a call before the operations that torch shows."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is Tensor.matmul and args[0].layout is torch.sparse_csr:  # not there on this device
            return args[1].new_empty(len(args[0]), args[1].shape[1])
        if func in _OF_NUMBERS and not _in_optimizer() and not _is_array(args[func in _METHODS]):
            raise BrokenRuleError(func.__name__, "makes a tensor on the host, and may copy it")
        if func in (Tensor.__getitem__, Tensor.__setitem__) and args[0].device == DEVICE:
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            if any(isinstance(part, list | np.ndarray) for part in index):
                raise BrokenRuleError(func.__name__, "copies an index to the device")
            # On CUDA the number becomes a tensor of the host, which index_put_ copies.
            by_tensor = any(isinstance(part, Tensor) for part in index)
            if len(args) > 2 and by_tensor and not isinstance(args[2], Tensor):
                raise BrokenRuleError(func.__name__, "copies a number to the device")
        return func(*args, **(kwargs or {}))


def _is_array(data: Any) -> bool:
    return isinstance(data, Tensor | np.ndarray)


def _waits(func: Any, args: tuple[Any, ...]) -> bool:
    if func.overloadpacket in _INDEXING:  # a mask is replaced by its places
        return any(part is not None and part.dtype in _MASKS for part in args[1])
    return not _WAITS.isdisjoint(func.tags)


def _check_made(func: Any, made: Tensor) -> None:
    if made.device == DEVICE:
        if made.dtype in _TOO_WIDE:
            raise BrokenRuleError(func, f"makes a tensor of {made.dtype}, which MPS lacks")
    elif func.overloadpacket not in _OF_ARRAYS and not (made.ndim == 0 and _in_optimizer()):
        # But AdamW's, where it is not fused as on a GPU, counts its steps on the host.
        raise BrokenRuleError(func, f"makes a tensor on {made.device}")


@contextlib.contextmanager
def checked(*, copies_may_wait: bool = False) -> Iterator[None]:
    """Raise :class:`BrokenRuleError` at the first operation that breaks a rule.

    1. Tensors are made on the model's device. Arrays of NumPy are the only things that are copied
       to it.
    2. None is float64 there.
    3. The host waits for no operation: it reads no number, and no shape that hangs on numbers.
    4. Copies to the device do not wait, unless `copies_may_wait`.
    """
    run_backward = torch.autograd._engine_run_backward

    def called(*args: Any, **kwargs: Any) -> Any:
        with _Calls():  # torch asks about the call of `backward` alone, not about those within
            return run_backward(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.autograd, "_engine_run_backward", called)
        # Torch has no autocast there. It is off in what is checked.
        patch.setattr(torch, "autocast", lambda *args, **kwargs: contextlib.nullcontext())
        patch.setattr(torch, "is_autocast_enabled", lambda kind: False)
        with _Calls(), _Operations(copies_may_wait):
            yield


class GpuBackend(TorchBackend):
    """A backend that copies as one on CUDA does, and says from which files it was asked to.

    Its numbers on the host are made up: scores fall along a row, and columns rise.
    """

    def __init__(self) -> None:
        super().__init__(str(DEVICE))
        self.to_host: list[str] = []

    def asarray(self, array: Any) -> Tensor:
        tensor: Tensor = torch.as_tensor(array).to(self.device, non_blocking=True)
        return tensor

    def host(self, array: Tensor) -> np.ndarray:
        self.to_host.append(_line().partition(":")[0])
        row = np.arange(array.shape[-1])
        found = (1 / (1 + row)).astype(np.float32) if array.is_floating_point() else row
        return np.broadcast_to(found, array.shape).copy()


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _frames() -> Iterator[FrameType]:
    frame = sys._getframe(1)
    while frame.f_back is not None:
        frame = frame.f_back
        yield frame


def _in_optimizer() -> bool:
    return any(frame.f_code.co_filename.startswith(_OPTIMIZERS) for frame in _frames())


def _line() -> str:
    """Return the innermost line that is neither torch's nor of this module."""
    for frame in _frames():
        name = frame.f_code.co_filename
        if not name.startswith(_TORCH) and name != __file__:
            return f"{'/'.join(Path(name).parts[-2:])}:{frame.f_lineno}"
    return "?"
