"""Corruption by masking: a state keeps some interactions of a history and hides the others.

Absorbing-state diffusion (D3PM, Austin et al., NeurIPS 2021; MDLM, Sahoo et al., NeurIPS 2024)
hides tokens in a random order. Where histories have an order, this one hides the newest first: a
state keeps all interactions before a cut. This module needs no torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.catalogue.masking import MaskingConfig
from diffrec_cli.data.sequences import Rows, ages

#: Weights of a kernel below 2^-6 of the newest count as 0.
_HALVINGS = 6
#: Largest number of masked interactions of an ordered state that training restores, in half-lives.
_HORIZONS = 4
#: Largest number of states of a history, in multiples of the mean: each holds all that it keeps.
_MOST_STATES = 64


@dataclass(frozen=True, slots=True)
class States:
    """States of the masking process, a row each.

    Parameters
    ----------
    kept
        What each state keeps, oldest first.
    masked
        What is to be restored, with weights that sum to 1 in each row.
    """

    kept: Rows
    masked: Rows


class Masking:
    """The forward process, and how a denoiser reads a state.

    Parameters
    ----------
    config
        Its settings.
    """

    def __init__(self, config: MaskingConfig) -> None:
        self.config = config

    def draw(self, rows: Rows, generator: np.random.Generator) -> States:
        """Draw states of histories with two interactions or more.

        With order a state is a cut. Long histories have more of them, in proportion to the cuts
        that there are, and they are spread over each history. The next interactions are restored,
        of which one ``horizon`` further ahead weighs half. Without order a random share of the
        history is masked, and all of that is restored.
        """
        long = rows.take(np.flatnonzero(np.diff(rows.indptr) >= 2))
        return self._cut(long, generator) if self.config.half_lives else self._drop(long, generator)

    def _cut(self, rows: Rows, generator: np.random.Generator) -> States:
        last = np.diff(rows.indptr) - 1  # the number of cuts of each history
        wanted = self.config.states / last.mean() * last if len(last) else last
        most = np.minimum(last, _MOST_STATES * self.config.states)
        number = np.clip(np.rint(wanted), 1, most).astype(np.int64)
        of_state = np.repeat(np.arange(len(rows)), number)
        width = (last / np.maximum(number, 1))[of_state]
        drawn = (_counted(number) + generator.random(len(of_state))) * width
        cut = np.minimum(1 + drawn.astype(np.int64), last[of_state])
        start, stop = rows.indptr[of_state], rows.indptr[of_state + 1]
        ahead = np.minimum(stop - start - cut, round(1 + _HORIZONS * self.config.horizon))
        masked = _slices(rows, of_state, start + cut, ahead)
        weights = np.exp2(-_counted(ahead) / max(self.config.horizon, 1e-9))
        return States(_slices(rows, of_state, start, cut), _normalized(masked, weights))

    def _drop(self, rows: Rows, generator: np.random.Generator) -> States:
        rows = rows.take(np.repeat(np.arange(len(rows)), self.config.states))
        lengths = np.diff(rows.indptr)
        share = generator.random(len(rows))
        number = np.clip(np.ceil(share * lengths), 1, lengths - 1).astype(np.int64)
        shuffled = np.lexsort((generator.random(len(rows.items)), rows.row_index))
        hidden = np.zeros(len(rows.items), bool)
        hidden[shuffled] = _counted(lengths) < number[rows.row_index]
        masked = rows.keep(hidden)
        return States(rows.keep(~hidden), _normalized(masked, np.ones(len(masked.items))))

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
