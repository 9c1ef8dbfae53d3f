"""The group VAEs of L-DiffRec, in training and at inference, on NumPy or torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.data.sequences import Rows
from diffrec_cli.models.backend import Backend
from diffrec_cli.models.output import Output, OutputLayer

Array = Any  # np.ndarray or torch.Tensor
PREFIX = "vae."


@dataclass(frozen=True, slots=True)
class Groups:
    """A partition of the items into C groups.

    Parameters
    ----------
    of_item
        (|I|,) group of each item, 0 to C - 1.
    C
        Number of groups; ``None``: the last one has an item.
    """

    of_item: NDArray[np.int64]
    C: int | None = None

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(C,) items in each group."""
        return np.bincount(self.of_item, minlength=self.C or 0)

    @property
    def local(self) -> NDArray[np.int64]:
        """(|I|,) place of each item within its group."""
        return self.position - (np.cumsum(self.sizes) - self.sizes)[self.of_item]

    @property
    def items(self) -> NDArray[np.int64]:
        """(|I|,) the items ordered by group, ascending within each."""
        return np.argsort(self.of_item, kind="stable")

    @property
    def position(self) -> NDArray[np.int64]:
        """(|I|,) place of each item in :attr:`items`."""
        return np.argsort(self.items)

    def shares(self, total: int) -> list[int]:
        """Divide `total` units among the groups by size, at least 1 each.

        Examples
        --------
        >>> Groups(np.array([0, 0, 0, 1])).shares(10)
        [7, 3]
        """
        sizes = self.sizes
        first = [max(1, int(total * size / sizes.sum())) for size in sizes[:-1]]
        while total - sum(first) < 1:  # many tiny groups: take back from the largest share
            first[int(np.argmax(first))] -= 1
        return [*first, total - sum(first)]


class GroupVAE:
    """Encoders and decoders of the item groups.

    Parameters
    ----------
    backend
        Where to compute.
    of_item
        (|I|,) group of each of the backend's items, on the host.
    weights
        By name: ``encoder.C.L.W`` and ``.b`` for layer L of group C, ``decoder.C`` (joint: one
        matrix ``decoder.0`` for all items), ``bias``; all under ``vae.``.
    """

    def __init__(
        self, backend: Backend, of_item: NDArray[np.int64], weights: Mapping[str, Array]
    ) -> None:
        self.backend, self.xp = backend, backend.xp
        C = len(_numbered(backend, weights, f"{PREFIX}encoder", ".0.W"))
        self.groups = Groups(of_item, C)
        self.local = self.groups.local
        self.bias = backend.asarray(weights[f"{PREFIX}bias"])
        self.encoders = [
            [(W, backend.asarray(weights[f"{PREFIX}encoder.{c}.{i}.b"])) for i, W in enumerate(Ws)]
            for c, Ws in enumerate(
                _numbered(backend, weights, f"{PREFIX}encoder.{c}", ".W")
                for c in range(len(self.groups.sizes))
            )
        ]
        self.decoders = _numbered(backend, weights, f"{PREFIX}decoder", "")
        self.widths = [layers[-1][1].shape[0] // 2 for layers in self.encoders]  # sizes of z^c
        one = len(self.decoders) == 1
        self.items = None if one else self.groups.items  # the item of each logit
        self.column = np.arange(len(of_item)) if one else self.groups.position
        self._order = None if one else backend.asarray(self.groups.items)

    def encode(self, rows: Rows) -> tuple[Array, Array]:
        """Return mean and log-variance of z_0, (B, z) each, groups side by side.

        As in the released code, tanh follows the last layer, so the mean lies in (-1, 1). Here the
        log-variance has no tanh.
        """
        means, log_variances = [], []
        rows = self.backend.own(rows)
        for c, layers in enumerate(self.encoders):
            (W, b), *rest = layers
            product = self.backend.sparse_product(self._of_group(rows, c), W)
            a = self.backend.summed(product) + b  # (B, H_c)
            for W, b in rest:
                a = self.xp.tanh(a) @ W + b
            means.append(self.xp.tanh(a[:, : self.widths[c]]))
            log_variances.append(a[:, self.widths[c] :])
        return self.xp.concatenate(means, 1), self.xp.concatenate(log_variances, 1)

    def decode(self, z: Array) -> Array:
        """Return the logits of all items, (B, z) -> (B, |I|), item i in column ``column[i]``.

        With a decoder for each group the columns are ordered by group, which saves a copy.
        """
        parts = [z[:, layer.reads] @ layer.V.T for layer in self.output().layers]
        logits = parts[0] if len(parts) == 1 else self.xp.concatenate(parts, 1)
        return logits + self._bias()

    def output(self) -> Output:
        """Return the decoders as an output layer."""
        ends = np.cumsum(self.widths).tolist() if self.items is not None else [sum(self.widths)]
        bias, layers, first = self._bias(), [], 0
        for D, end in zip(self.decoders, ends, strict=True):
            layers.append(
                OutputLayer(D, bias[first : first + len(D)], slice(end - D.shape[1], end))
            )
            first += len(D)
        return Output(self.backend, layers, self.items)

    def _bias(self) -> Array:
        return self.bias if self._order is None else self.bias[self._order]

    def _of_group(self, rows: Rows, c: int) -> Rows:
        """Return x^c, the rows' items of group c, by their places within the group."""
        if len(self.encoders) == 1:
            return rows
        mine = rows.keep(self.groups.of_item[rows.items] == c)
        return replace(mine, items=self.local[mine.items].astype(np.int32))


def _numbered(
    backend: Backend, weights: Mapping[str, Array], prefix: str, suffix: str
) -> list[Array]:
    """Return the arrays ``prefix.0suffix``, ``prefix.1suffix``, and so on."""
    found: list[Array] = []
    while (name := f"{prefix}.{len(found)}{suffix}") in weights:
        found.append(backend.asarray(weights[name]))
    return found
