"""The two array namespaces that inference runs on, behind the few operations that differ.

NumPy serves small requests without importing torch; torch serves many users
and accelerators. Everything else in the inference path is written once.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.data.sequences import Rows

Array = Any  # np.ndarray or torch.Tensor
FloatArray = NDArray[np.float32]
IndexArray = NDArray[np.int64]


class Backend(Protocol):
    """What a scorer needs beyond operators."""

    @property
    def xp(self) -> Any:
        """The array namespace."""

    def asarray(self, array: Any) -> Array:
        """Bring a NumPy array (or a tensor) to this backend."""

    def bag(self, rows: Rows, W: Array) -> Array:
        """Return the sparse product x W, (B, H), for rows x (B, D) and W (D, H)."""

    def dense(self, rows: Rows, width: int) -> Array:
        """Return the rows as a dense (B, width) array."""

    def largest(self, scores: Array, k: int) -> tuple[FloatArray, IndexArray]:
        """Return the k largest scores of each row and their columns, in any order, on the host."""


class NumpyBackend:
    """NumPy on the CPU."""

    xp: Any = np

    def asarray(self, array: Any) -> Array:
        """Return the array itself."""
        return array

    def bag(self, rows: Rows, W: Array) -> Array:
        """Return x W. A loop: this backend serves few users, and it needs no scipy."""
        out = np.zeros((len(rows), W.shape[1]), W.dtype)
        for row, (start, stop) in enumerate(
            zip(rows.indptr[:-1].tolist(), rows.indptr[1:].tolist(), strict=True)
        ):
            out[row] = rows.values[start:stop] @ W[rows.items[start:stop]]
        return out

    def dense(self, rows: Rows, width: int) -> Array:
        """Return the rows as a dense (B, width) array."""
        x = np.zeros((len(rows), width), rows.values.dtype)
        x[rows.rows, rows.items] = rows.values
        return x

    def largest(self, scores: Array, k: int) -> tuple[FloatArray, IndexArray]:
        """Return the k largest scores of each row and their columns, without sorting the rest."""
        place = np.argpartition(scores, scores.shape[1] - k, axis=1)[:, scores.shape[1] - k :]
        return np.take_along_axis(scores, place, axis=1), place


class TorchBackend:
    """Torch on one device.

    Parameters
    ----------
    device
        ``cpu``, ``cuda``, ``mps``, ...
    """

    def __init__(self, device: str) -> None:
        import torch

        self.xp: Any = torch
        self.device = torch.device(device)

    def asarray(self, array: Any) -> Array:
        """Bring an array to the device; from pinned memory where that lets the copy overlap."""
        tensor = self.xp.as_tensor(array)
        if self.device.type == "cuda" and tensor.device.type == "cpu":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)

    def bag(self, rows: Rows, W: Array) -> Array:
        """Return x W, reading only the rows of W that are needed."""
        if self.device.type == "mps":  # which has no embedding_bag
            return self.dense(rows, W.shape[0]) @ W
        return self.xp.nn.functional.embedding_bag(
            self.asarray(rows.items.astype(np.int64)),
            W,
            self.asarray(rows.indptr[:-1]),
            mode="sum",
            per_sample_weights=self.asarray(rows.values).to(W.dtype),
        )

    def dense(self, rows: Rows, width: int) -> Array:
        """Return the rows as a dense (B, width) tensor."""
        values = self.asarray(rows.values)
        x = self.xp.zeros(len(rows) * width, dtype=values.dtype, device=self.device)
        x[self.asarray(rows.rows * width + rows.items)] = values
        return x.view(len(rows), width)

    def largest(self, scores: Array, k: int) -> tuple[FloatArray, IndexArray]:
        """Return the k largest scores of each row and their columns, on the host."""
        values, place = self.xp.topk(self.asarray(scores), k, dim=1, sorted=False)
        return values.float().cpu().numpy(), place.cpu().numpy()
