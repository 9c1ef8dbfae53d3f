"""Corruption by masking: a state keeps some interactions of a history and hides the others.

Absorbing-state diffusion (D3PM, Austin et al., NeurIPS 2021; MDLM, Sahoo et al., NeurIPS 2024)
hides tokens in a random order. Where histories have an order, this one hides the newest first: a
state keeps all interactions before a cut. This module needs no torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.catalogue.masking import MaskingConfig
from diffrec_cli.data.sequences import Rows, ages

if TYPE_CHECKING:
    from diffrec_cli.diffusion.randomness import Draws

#: Weights of a kernel below 2^-6 of the newest count as 0.
_HALVINGS = 6
#: Largest number of masked interactions of an ordered state that training restores, in half-lives.
_HORIZONS = 4
#: Largest number of states of a history, in multiples of the mean: each holds all that it keeps.
_MOST_STATES = 64
_KEY_BITS = 24  # of a state's number within its user


@dataclass(frozen=True, slots=True)
class States:
    """States of the masking process, a row each.

    Parameters
    ----------
    kept
        What each state keeps, oldest first.
    masked
        What is to be restored, with weights that sum to 1 in each row.
    keys
        (B,) int64, one for each state of a user, to draw numbers for it.
    """

    kept: Rows
    masked: Rows
    keys: NDArray[np.int64]


class Masking:
    """The forward process, and how a denoiser reads a state.

    Parameters
    ----------
    config
        Its settings.
    mean_cuts
        The mean number of cuts of all histories that have one; only drawing reads it.
    """

    def __init__(self, config: MaskingConfig, mean_cuts: float = 1.0) -> None:
        self.config, self.mean_cuts = config, mean_cuts

    def count(self, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of states of histories of these lengths, (B,)."""
        states, cuts = self.config.states, np.maximum(lengths - 1, 0)
        if not self.config.half_lives:
            return np.where(cuts > 0, states, 0)
        wanted = np.maximum(np.rint(states / self.mean_cuts * cuts), 1)
        return np.minimum(wanted, np.minimum(cuts, _MOST_STATES * states)).astype(np.int64)

    def draw(self, rows: Rows, draws: Draws) -> States:
        """Draw states of histories with two interactions or more.

        With order a state is a cut. Long histories have more of them, in proportion to the cuts
        that there are, and they are spread over each history. The next interactions are restored,
        of which one ``horizon`` further ahead weighs half. Without order a random share of the
        history is masked, and all of that is restored.
        """
        lengths = np.diff(rows.indptr)
        number = self.count(lengths)
        of_state, place = np.repeat(np.arange(len(rows)), number), _counted(number)
        keys = rows.users[of_state] << _KEY_BITS | place
        if not self.config.half_lives:
            return self._drop(rows.take(of_state), keys, draws)
        width = ((lengths - 1) / np.maximum(number, 1))[of_state]
        cut = ((place + draws.pairs("cut", keys, np.zeros_like(place))) * width).astype(np.int64)
        return self._cut(rows, of_state, 1 + np.minimum(cut, lengths[of_state] - 2), keys)

    def _cut(
        self,
        rows: Rows,
        of_state: NDArray[np.int64],
        cut: NDArray[np.int64],
        keys: NDArray[np.int64],
    ) -> States:
        start, stop = rows.indptr[of_state], rows.indptr[of_state + 1]
        ahead = np.minimum(stop - start - cut, round(1 + _HORIZONS * self.config.horizon))
        masked = _slices(rows, of_state, start + cut, ahead)
        weights = np.exp2(-_counted(ahead) / max(self.config.horizon, 1e-9))
        return States(_slices(rows, of_state, start, cut), _normalized(masked, weights), keys)

    def _drop(self, rows: Rows, keys: NDArray[np.int64], draws: Draws) -> States:
        lengths = np.diff(rows.indptr)
        share = draws.pairs("share", keys, np.zeros_like(keys))
        number = np.clip(np.ceil(share * lengths), 1, lengths - 1).astype(np.int64)
        order = draws.pairs("order", keys[rows.row_index], rows.items)
        shuffled = np.lexsort((order, rows.row_index))
        hidden = np.zeros(len(rows.items), bool)
        hidden[shuffled] = _counted(lengths) < number[rows.row_index]
        masked = rows.keep(hidden)
        return States(rows.keep(~hidden), _normalized(masked, np.ones(len(masked.items))), keys)

    def kernels(self, kept: Rows, present: NDArray[np.bool_] | None = None) -> list[Rows]:
        """Return what a denoiser reads of histories, one for each kernel: rows that sum to 1.

        Kernel k weighs an interaction by its strength times 2^(-age / half-life k), its age counted
        in interactions back from the newest. Without half-lives there is one kernel.

        Parameters
        ----------
        kept
            (B,) histories, oldest first.
        present
            (nnz,) which interactions dropout leaves; ``None``: all.
        """
        age = ages(kept.indptr)
        present = np.ones(len(age), bool) if present is None else present
        if not self.config.half_lives:
            rows = kept.keep(present)
            return [_normalized(rows, np.ones(len(rows.items)))]
        found = []
        for half_life in self.config.half_lives:
            read = present & (age <= _HALVINGS * half_life)
            found.append(_normalized(kept.keep(read), np.exp2(-age[read] / half_life)))
        return found


def _counted(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return 0, 1, ... n - 1 for each n."""
    ends = np.cumsum(numbers)
    return np.arange(int(numbers.sum())) - np.repeat(ends - numbers, numbers)


def _slices(
    rows: Rows, of_row: NDArray[np.int64], start: NDArray[np.int64], length: NDArray[np.int64]
) -> Rows:
    """Return parts of rows: part i is of row `of_row[i]`, from entry `start[i]` of all."""
    place = np.repeat(start, length) + _counted(length)
    indptr = np.concatenate([[0], np.cumsum(length)])
    strength = None if rows.strength is None else rows.strength[place]
    return Rows(rows.users[of_row], indptr, rows.items[place], rows.values[place], strength)


def _normalized(rows: Rows, weights: NDArray[np.float64]) -> Rows:
    """Return the rows with strengths times these weights, (nnz,), by their sum in each row."""
    if rows.strength is not None:
        weights = weights * rows.strength
    sums = np.bincount(rows.row_index, weights, len(rows))
    return replace(rows, values=(weights / sums[rows.row_index]).astype(np.float32))
