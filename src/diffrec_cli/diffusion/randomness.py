"""Noise and dropout for training: each number is a function of its seed, update, user and place.

So it does not matter in which batch, in which process or on which device a number is drawn: a fit
on several processes has the noise of a fit on one. There is no state, and nothing to restore.

A word of 32 bits is an affine function of the place, with an offset and a slope for each user, put
through a hash (its constants are from Wellons' search for functions of low bias, 2018). NumPy and
torch compute it by the same lines, on integers of 32 bits that wrap around.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffrec_cli.data.sequences import Rows

Words = Any  # int32, np.ndarray or torch.Tensor

_RIDGE = 1e-6  # share of its diagonal added to a covariance: rounding cannot make it negative
_GOLDEN = 0x9E3779B9 - 2**32  # between the words of neighbouring places, before the hash
_HASH = ((16, 0x21F0AAAD), (15, 0xD35A2D97 - 2**32), (15, 1))  # shift, then multiply
_SPLIT_MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))
_AT_ONCE = 2**18  # numbers on a CPU: they stay in its cache
_AT_ONCE_ELSEWHERE = 2**24
_FEW = 2**15  # words that NumPy hashes sooner than torch has begun


class Draws:
    """The random numbers of one update of the weights.

    Parameters
    ----------
    seed
        Of the training.
    epoch, update
        Which update it is: the epoch, and the place in it.
    device
        Where tensors of random numbers are wanted.
    """

    def __init__(
        self, seed: int, epoch: int = 0, update: int = 0, device: torch.device | str = "cpu"
    ) -> None:
        sequence = np.random.SeedSequence([seed, epoch, update])
        self._key = sequence.generate_state(1, np.uint64)
        self.device = torch.device(device)

    def at(self, what: str, users: NDArray[np.int64], columns: int | slice) -> Numbers:
        """Return the random numbers of users and columns.

        Parameters
        ----------
        what
            What they are for: other purposes have other numbers.
        users
            (B,) the users, or whatever else has numbers of its own.
        columns
            The columns, or how many from 0 on.
        """
        columns = columns if isinstance(columns, slice) else slice(0, columns)
        offset, slope = self._of_users(what, users)
        return Numbers(offset, slope, columns.start, columns.stop - columns.start, self.device)

    def pairs(
        self, what: str, users: NDArray[np.int64], places: NDArray[np.integer]
    ) -> NDArray[np.float32]:
        """Return a number in [0, 1) for each pair of a user and a place, (n,), on the host."""
        offset, slope = self._of_users(what, users)
        words = (offset + places.astype(np.int32) * np.int32(_GOLDEN)) * slope
        found: NDArray[np.float32] = ((_hashed(words) >> 8) & 0xFFFFFF).astype(np.float32)
        return found * np.float32(2.0**-24)

    def _of_users(
        self, what: str, users: NDArray[np.int64]
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return offset and slope of each user, (B,) each; slopes are odd."""
        key = _mixed(self._key + np.uint64(zlib.crc32(what.encode())))
        halves = _mixed(key + users.astype(np.uint64)).view(np.int32)
        return halves[0::2].copy(), halves[1::2] | 1


@dataclass(frozen=True)
class Numbers:
    """Random numbers of some users and columns, (B, D), computed when they are asked for.

    Parameters
    ----------
    offset, slope
        (B,) int32 of each user.
    first, size
        The first column, and how many there are.
    device
        Of the tensors.
    """

    offset: NDArray[np.int32]
    slope: NDArray[np.int32]
    first: int
    size: int
    device: torch.device

    def uniform(self) -> Tensor:
        """Return numbers in [0, 1), (B, D) float32."""
        return self._filled(torch.float32, _unit)

    def below(self, n: int) -> Tensor:
        """Return numbers from 0 to n - 1, (B, D) int64."""
        return self._filled(torch.int64, lambda words: (words & 0x7FFFFFFF) % n)

    def normal(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return standard normal numbers, (B, D), by the method of Box and Muller."""

        def fill(pairs: Tensor, rows: slice, places: Tensor) -> None:
            radius = _unit(self._words(rows, 2 * places)).add_(2.0**-25).log_().mul_(-2.0).sqrt_()
            angle = _unit(self._words(rows, 2 * places + 1)).mul_(2.0 * math.pi)
            torch.mul(radius, angle.cos(), out=pairs[..., 0])
            torch.mul(radius, angle.sin(), out=pairs[..., 1])

        return self._in_pairs(torch.float32, fill).to(dtype)

    def kept(self, rate: float) -> Tensor:
        """Return which numbers dropout at this rate keeps, (B, D) bool.

        A word gives two decisions, and the rate is rounded to 1 / 65536.
        """
        least = round(rate * 65536) - 32768

        def fill(pairs: Tensor, rows: slice, places: Tensor) -> None:
            halves = self._words(rows, places).view(torch.int16)
            torch.ge(halves.view(pairs.shape), least, out=pairs)

        return self._in_pairs(torch.bool, fill)

    def _in_pairs(
        self, dtype: torch.dtype, fill: Callable[[Tensor, slice, Tensor], None]
    ) -> Tensor:
        """Return numbers that are computed for columns 2 i and 2 i + 1 at once, (r, n, 2)."""
        first, last = self.first // 2, -(-(self.first + self.size) // 2)
        out = torch.empty(len(self.offset), last - first, 2, dtype=dtype, device=self.device)
        for rows, pairs in self._parts(last - first):
            fill(out[rows, pairs], rows, self._places(first, pairs))
        skipped = self.first % 2
        return out.flatten(1)[:, skipped : skipped + self.size]

    def _filled(self, dtype: torch.dtype, of_words: Callable[[Tensor], Tensor]) -> Tensor:
        out = torch.empty(len(self.offset), self.size, dtype=dtype, device=self.device)
        for rows, columns in self._parts(self.size):
            out[rows, columns] = of_words(self._words(rows, self._places(self.first, columns)))
        return out

    def _places(self, first: int, some: slice) -> Tensor:
        start, stop = first + some.start, first + some.stop
        return torch.arange(start, stop, dtype=torch.int32, device=self.device)

    def _words(self, rows: slice, places: Tensor) -> Tensor:
        """Return the words of some users at these places, (n,) -> (r, n)."""
        of_users = self.offset[rows, None], self.slope[rows, None]
        if self.device.type == "cpu" and len(of_users[0]) * len(places) <= _FEW:
            words = (of_users[0] + places.numpy() * np.int32(_GOLDEN)) * of_users[1]
            return torch.from_numpy(_hashed(words))
        overlap = self.device.type != "mps"  # which would read arrays that are freed by then
        offset, slope = (
            torch.from_numpy(array).to(self.device, non_blocking=overlap) for array in of_users
        )
        hashed: Tensor = _hashed((offset + places * _GOLDEN).mul_(slope))
        return hashed

    def _parts(self, width: int) -> Iterator[tuple[slice, slice]]:
        """Cut an array of so many columns into parts that are computed at once."""
        size = _AT_ONCE if self.device.type == "cpu" else _AT_ONCE_ELSEWHERE
        columns = max(1, min(width, size))
        for row in _cut(len(self.offset), max(1, size // columns)):
            for column in _cut(width, columns):
                yield row, column


def _cut(length: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, length)) for start in range(0, length, size))


def _unit(words: Tensor) -> Tensor:
    """Return 24 bits of each word as a float32 in [0, 1)."""
    return words.bitwise_right_shift_(8).bitwise_and_(0xFFFFFF).float().mul_(2.0**-24)


def _hashed(words: Words) -> Words:
    """Hash words in place; they are signed, so the bits that a shift repeats are cut off."""
    for shift, multiplier in _HASH:
        words ^= (words >> shift) & (2 ** (32 - shift) - 1)
        if multiplier != 1:
            words *= multiplier
    return words


def _mixed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return SplitMix64 of words."""
    words = words + np.uint64(0x9E3779B97F4A7C15)
    for shift, multiplier in _SPLIT_MIX:
        words = (words ^ (words >> np.uint64(shift))) * np.uint64(multiplier)
    return words


def dropout(x: Tensor, rate: float, numbers: Numbers) -> Tensor:
    """Zero a share `rate` of x, (B, ...), and rescale the rest."""
    if rate == 0:
        return x
    return (x * numbers.kept(rate).view(x.shape)).div_(1.0 - rate)


def sparse_dropout(rows: Rows, rate: float, draws: Draws) -> Rows:
    """Drop a share `rate` of the interactions and rescale the rest."""
    if rate == 0:
        return rows
    rows = rows.keep(draws.pairs("history", rows.users[rows.row_index], rows.items) >= rate)
    return replace(rows, values=rows.values / (1.0 - rate))


def normal_product(
    W: Tensor,
    numbers: Numbers,
    rows: Tensor | None = None,
    total: Callable[[Tensor], Tensor] = lambda x: x,
) -> Tensor:
    """Return eps W, (n, H), for standard normal eps, (n, D), without drawing eps.

    Its rows are normal with the covariance ``W^T W``, so they are drawn from its Cholesky factor L:
    ``eps W = xi L^T`` with xi (n, H). The gradient is the mean over all eps with this product,
    ``W (W^T W)^-1 (eps W)^T g``: that of an explicit eps, with less noise.

    Parameters
    ----------
    W
        (D, H), D well above H.
    numbers
        Where xi is drawn from, (n, H).
    rows
        Indices of the rows of W to use, each once, the others being 0; ``None``: all.
    total
        Sums a product over the processes that have other rows of W.
    """
    xi = numbers.normal(W.dtype)
    drawn: Tensor = _NormalProduct.apply(W, xi, rows, total)  # type: ignore[no-untyped-call]
    return drawn


class _NormalProduct(torch.autograd.Function):
    """xi L^T, with L L^T = W^T W."""

    @staticmethod
    def forward(ctx: Any, W: Tensor, xi: Tensor, rows: Tensor | None, total: Any) -> Tensor:
        some = W if rows is None else W[rows]
        with torch.autocast(W.device.type, enabled=False):
            G = total(some.T @ some)
            G.diagonal().add_(_RIDGE * G.diagonal().mean())
            L, failed = torch.linalg.cholesky_ex(G)
            L = L.masked_fill(failed != 0, torch.nan)  # a loss that is not finite has its own error
            ctx.save_for_backward(W, xi, rows, L)
            drawn: Tensor = xi @ L.T
        return drawn

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        W, xi, rows, L = ctx.saved_tensors
        (g,) = gradients  # (n, H)
        right = torch.linalg.solve_triangular(L.T, xi.T @ g, upper=True)  # L^-T xi^T g
        if rows is None:
            return W @ right, None, None, None
        of_W = torch.zeros_like(W)
        of_W[rows] = W[rows] @ right
        return of_W, None, None, None
