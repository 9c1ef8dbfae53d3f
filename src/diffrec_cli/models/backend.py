"""NumPy and torch behind one interface, so that inference is written once.

NumPy serves small requests without importing torch; torch serves many users and accelerators.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.data.sequences import Rows
from diffrec_cli.models.item_range import ItemRange

Array = Any  # np.ndarray or torch.Tensor

_CACHED_COLUMNS = 2048  # columns of scores computed at a time on a CPU
_GATHERED_ROWS = 64  # rows whose candidates' weights are copied at a time
_FEW_ROWS = 32  # up to here NumPy multiplies the larger matrix from the left
_CHUNK = 64  # scores in a chunk of `largest`
_CHUNKED_FROM = 4 * _CHUNK  # chunks are faster from this many scores for each place of the list


class Backend(Protocol):
    """What a scorer needs beyond operators."""

    has_bf16: bool
    items: ItemRange | None
    """The items that arrays with a row for each item have; ``None``: all."""

    @property
    def xp(self) -> Any:
        """The array namespace."""

    def asarray(self, array: Any) -> Array:
        """Bring a NumPy array (or a tensor) to this backend."""

    def own(self, rows: Rows) -> Rows:
        """Return the rows' entries of these items, counted from the first of them."""

    def summed(self, x: Array) -> Array:
        """Return the sum over all items of a term that was computed of these items."""

    @property
    def alone(self) -> Backend:
        """The backend for arrays whose rows are no items."""

    def of_all_items(self, array: NDArray[Any]) -> list[NDArray[Any]]:
        """Return what each process has of its items, lowest items first; all of one shape."""

    def sparse_product(self, rows: Rows, W: Array) -> Array:
        """Return the sparse product x W, (B, H), for rows x (B, D) and W (D, H)."""

    def dense(self, rows: Rows, width: int) -> Array:
        """Return the rows as a dense (B, width) array."""

    def affine(self, h: Array, V: Array, b: Array, out: Array | None = None) -> Array:
        """Return h V^T + b, (B, D), for h (B, H), V (D, H) and b (D,); in `out` if given."""

    def transposed(self, W: Array) -> Array:
        """Return W^T in the memory order that is fastest as the V of `affine`."""

    def affine_at(self, h: Array, V: Array, b: Array, columns: Array) -> Array:
        """Return some columns of h V^T + b, (B, C), for columns (B, C)."""

    def narrow(self, array: Array) -> Array:
        """Return an array in bfloat16; only where `has_bf16`."""

    def scratch(self, size: int, like: Array) -> Array:
        """Return (size,) uninitialised numbers of the type of `like`, for `out` of `affine`."""

    def largest(self, scores: Array, k: int) -> tuple[Array, Array]:
        """Return the k largest scores of each row and their columns, in any order."""

    def host(self, array: Array) -> NDArray[Any]:
        """Return an array on the host as a NumPy array; bfloat16 becomes float32."""


class _AllItems:
    """One process has all items and users, so that there is nothing to join."""

    items: ItemRange | None = None

    def own(self, rows: Rows) -> Rows:
        """Return the rows themselves."""
        return rows

    def summed(self, x: Array) -> Array:
        """Return x itself."""
        return x

    @property
    def alone(self) -> Self:
        """The backend itself."""
        return self

    def of_all_items(self, array: NDArray[Any]) -> list[NDArray[Any]]:
        """Return the array alone."""
        return [array]


class NumpyBackend(_AllItems):
    """NumPy on the CPU."""

    xp: Any = np
    has_bf16 = False

    def asarray(self, array: Any) -> Array:
        """Return the array itself."""
        return array

    def sparse_product(self, rows: Rows, W: Array) -> Array:
        """Return x W, in a loop: there are few users, and no scipy is needed."""
        out = np.zeros((len(rows), W.shape[1]), W.dtype)
        for row, (start, stop) in enumerate(
            zip(rows.indptr[:-1].tolist(), rows.indptr[1:].tolist(), strict=True)
        ):
            out[row] = rows.values[start:stop] @ W[rows.items[start:stop]]
        return out

    def dense(self, rows: Rows, width: int) -> Array:
        """Return the rows as a dense (B, width) array."""
        x = np.zeros((len(rows), width), rows.values.dtype)
        x[rows.row_index, rows.items] = rows.values
        return x

    def affine(self, h: Array, V: Array, b: Array, out: Array | None = None) -> Array:
        """Return h V^T + b.

        For few rows it is (V h^T)^T: BLAS would copy all of V to read it transposed, which takes
        longer than the product.
        """
        if len(h) > _FEW_ROWS:
            scores = np.matmul(h, V.T, out=out)
        else:
            scores = np.empty((len(h), len(V)), h.dtype) if out is None else out
            scores[:] = np.matmul(V, h.T).T
        scores += b
        return scores

    def transposed(self, W: Array) -> Array:
        """Return a view: NumPy's product is fast in either order."""
        return W.T

    def affine_at(self, h: Array, V: Array, b: Array, columns: Array) -> Array:
        """Return some columns of h V^T + b."""
        return (V[columns] @ h[:, :, None])[:, :, 0] + b[columns]

    def narrow(self, array: Array) -> Array:
        """NumPy has no bfloat16."""
        raise NotImplementedError

    def scratch(self, size: int, like: Array) -> Array:
        """Return uninitialised numbers."""
        return np.empty(size, like.dtype)

    def largest(self, scores: Array, k: int) -> tuple[Array, Array]:
        """Return the k largest scores of each row and their columns, without sorting the rest."""
        place = np.argpartition(scores, scores.shape[1] - k, axis=1)[:, scores.shape[1] - k :]
        return np.take_along_axis(scores, place, axis=1), place

    def host(self, array: Array) -> NDArray[Any]:
        """Return the array itself."""
        return np.asarray(array)


@cache
def onednn_linear() -> Callable[[Array, Array, Array], Array] | None:
    """Return oneDNN's float32 product x W^T + b for inference, if this torch has it.

    Torch itself calls MKL, which was half as fast on a processor that is not Intel's. The operator
    is not a public interface, so its result is checked first.
    """
    import torch

    try:
        operator = torch.ops.mkldnn._linear_pointwise
        x, W, b = torch.ones(2, 3), torch.arange(12.0).view(4, 3), torch.arange(4.0)
        right = torch.equal(operator(x, W, b, "none", [], ""), x @ W.T + b)
    except (AttributeError, RuntimeError, TypeError):  # no such operator, or other arguments
        return None
    return (lambda x, W, b: operator(x, W, b, "none", [], "")) if right else None


class TorchBackend(_AllItems):
    """Torch on one device.

    Parameters
    ----------
    device
        ``cpu``, ``cuda``, ``mps``, ...
    """

    has_bf16 = True

    def __init__(self, device: str) -> None:
        import torch

        self.xp: Any = torch
        self.device = torch.device(device)
        #: Whether the users here only stand in, so that they count nothing.
        self.stands_in = False

    def shared(self, h: Array) -> Array:
        """Return h, which is multiplied with the weights of these items, whatever they are."""
        return h

    def total(self, x: Array) -> Array:
        """Sum over all items without a gradient, in place."""
        return x

    def largest_of_items(self, x: Array) -> Array:
        """Take the maximum over all items without a gradient, in place."""
        return x

    def log_sum_exp(self, x: Array) -> Array:
        """Return log sum exp over all items from that over these items, (B,)."""
        return x

    def made_once(
        self, make: Callable[[], tuple[Any, ...]], shapes: tuple[tuple[int, ...], ...]
    ) -> tuple[Array, ...]:
        """Return float32 arrays of these shapes that one process makes for all."""
        return tuple(self.asarray(array) for array in make())

    def most_items(self, items: int) -> int:
        """Return how many items a process has at most, if this one has so many."""
        return items

    def of_batch(self, x: Array) -> Array:
        """Return what all processes have of their users of a batch, in its order."""
        return x

    def asarray(self, array: Any) -> Array:
        """Return an array on the device, copied from pinned memory where the copy can overlap."""
        tensor = self.xp.as_tensor(array)
        if self.device.type == "cuda" and tensor.device.type == "cpu":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)

    def sparse_product(self, rows: Rows, W: Array) -> Array:
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
        x[self.asarray(rows.row_index * width + rows.items)] = values
        return x.view(len(rows), width)

    def affine(self, h: Array, V: Array, b: Array, out: Array | None = None) -> Array:
        """Return h V^T + b; on a CPU by blocks of columns that fit its cache."""
        product = self._product(h)
        if out is None:
            return product(h, V, b)
        step = _CACHED_COLUMNS if self.device.type == "cpu" else len(b)
        for start in range(0, len(b), step):
            columns = slice(start, start + step)
            out[:, columns] = product(h, V[columns], b[columns])
        return out

    def _product(self, h: Array) -> Callable[[Array, Array, Array], Array]:
        if self.device.type == "cpu" and h.dtype == self.xp.float32:
            return onednn_linear() or self.xp.nn.functional.linear
        linear: Callable[[Array, Array, Array], Array] = self.xp.nn.functional.linear
        return linear

    def transposed(self, W: Array) -> Array:
        """Return a copy whose rows are consecutive."""
        return W.T.contiguous()

    def affine_at(self, h: Array, V: Array, b: Array, columns: Array) -> Array:
        """Return some columns of h V^T + b, a few rows at a time to bound the copies of V."""
        parts = []
        for rows in range(0, len(h), _GATHERED_ROWS):
            some = columns[rows : rows + _GATHERED_ROWS]
            flat = some.reshape(-1)
            weights = V.index_select(0, flat).view(*some.shape, V.shape[1])  # (., C, H)
            bias = b.index_select(0, flat).view(*some.shape, 1)
            parts.append(self.xp.baddbmm(bias, weights, h[rows : rows + _GATHERED_ROWS, :, None]))
        return self.xp.cat(parts)[:, :, 0]

    def narrow(self, array: Array) -> Array:
        """Return an array in bfloat16."""
        return array.to(self.xp.bfloat16)

    def scratch(self, size: int, like: Array) -> Array:
        """Return uninitialised numbers."""
        return self.xp.empty(size, dtype=like.dtype, device=self.device)

    def largest(self, scores: Array, k: int) -> tuple[Array, Array]:
        """Return the k largest scores of each row and their columns.

        On a CPU each row is cut into chunks first, since the k largest scores lie in the k chunks
        with the largest maxima.
        """
        n = scores.shape[1]
        if self.device.type != "cpu" or n < _CHUNKED_FROM * k:
            values, place = self.xp.topk(scores, k, dim=1, sorted=False)
            return values, place
        chunks = n // _CHUNK
        cut = scores[:, : chunks * _CHUNK].unflatten(1, (chunks, _CHUNK))  # (B, chunks, _CHUNK)
        best = cut.amax(2).topk(k, dim=1, sorted=False).indices  # (B, k)
        inside = cut.gather(1, best[:, :, None].expand(-1, -1, _CHUNK)).flatten(1)
        rest = scores[:, chunks * _CHUNK :]
        values, place = self.xp.cat([inside, rest], 1).topk(k, dim=1, sorted=False)
        chunk = best.gather(1, (place // _CHUNK).clamp(max=k - 1))
        in_rest = place - k * _CHUNK + chunks * _CHUNK
        place = self.xp.where(place < k * _CHUNK, chunk * _CHUNK + place % _CHUNK, in_rest)
        return values, place

    def host(self, array: Array) -> NDArray[Any]:
        """Bring a tensor to the host."""
        if array.dtype == self.xp.bfloat16:
            array = array.float()
        host: NDArray[Any] = array.cpu().numpy()
        return host
