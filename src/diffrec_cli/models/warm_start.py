"""Going on from the weights of an earlier model whose users and items were others.

Training that begins where earlier training ended generalises worse than training anew. So weights
are shrunk, and initial ones added (Ash and Adams, On warm-starting neural network training, NeurIPS
2020): night after night the model forgets what it learnt long ago.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from diffrec_cli.data.sequences import Sequences
from diffrec_cli.errors import UsageError
from diffrec_cli.models.trainable import Trainable

#: So many updates are behind: what is annealed by them stays as it was at the end.
_MANY_UPDATES = 1e9


@dataclass(frozen=True)
class Places:
    """Where today's items and users were in an earlier model.

    Parameters
    ----------
    items, users
        (|I|,) and (|U|,) index in the earlier model; -1: it was not there.
    """

    items: NDArray[np.int64]
    users: NDArray[np.int64]


@torch.no_grad()
def carry(
    model: Trainable,
    stored: Mapping[str, Any],
    places: Places,
    of_users: Collection[str] = (),
    share: float = 1.0,
) -> None:
    """Add the weights of an earlier model to the initial ones of a model, by item and user.

    What is new keeps its initial weights.

    Parameters
    ----------
    model
        The model, whole or the part of a process.
    stored
        The earlier model's arrays.
    places
        Where items and users were.
    of_users
        Names of parameters with a row for each user.
    share
        Of the earlier weights; that of the initial ones is the rest.

    Raises
    ------
    UsageError
        The earlier model's arrays have other shapes, or are not all that is trained.
    """
    earlier = model.trained_weights(stored)
    for name, parameter in model.named_parameters():
        if name not in earlier:
            raise UsageError(
                "--warm-start: of this model not all is stored that training needs",
                "fit it anew, without --warm-start",
            )
        before = torch.as_tensor(np.asarray(earlier[name]))
        part = getattr(parameter, "part", None)
        of_rows = None if part is None else model.items_of(name, None)
        rows = places.users if name in of_users else None
        if part is not None and of_rows is not None:
            earlier_rows = model.items_of(name, stored)
            rows = _rows(earlier_rows, places.items[of_rows[part.columns]])
        _mix(parameter, before, rows, share)
    if isinstance(updates := getattr(model, "updates", None), torch.Tensor):
        updates.fill_(_MANY_UPDATES)


def _rows(earlier: NDArray[np.int64] | None, items: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the row of each item, by its earlier index, among the items of some rows; or -1."""
    if earlier is None:
        return items
    row_of = np.full(max(earlier.max(initial=-1), items.max(initial=-1)) + 2, -1)
    row_of[earlier] = np.arange(len(earlier))
    return row_of[items]  # the last entry is that of -1


def _mix(
    parameter: torch.Tensor,
    before: torch.Tensor,
    rows: NDArray[np.int64] | None,
    share: float,
) -> None:
    wanted = parameter.shape if rows is None else parameter.shape[1:]
    if wanted != (before.shape if rows is None else before.shape[1:]):
        raise UsageError(
            "--warm-start: with these settings the model's arrays have other shapes",
            "leave out --set for sizes, or fit it anew, without --warm-start",
        )
    if rows is None:
        parameter.lerp_(before, share)
        return
    known = np.flatnonzero((rows >= 0) & (rows < len(before)))  # others came after training
    own = torch.from_numpy(known)
    parameter[own] = parameter[own].lerp(before[torch.from_numpy(rows[known])], share)


def carried_groups(
    earlier: NDArray[np.int64], items: NDArray[np.int64], train: Sequences
) -> NDArray[np.int64]:
    """Return the group of each item, (|I|,): its earlier one, or the one that its users like most.

    Parameters
    ----------
    earlier
        Group of each item of the earlier model.
    items
        (|I|,) index there; -1: it is new.
    train
        The interactions. A new item goes where its users have most interactions, by the share of
        a group in all of them.
    """
    groups = np.where(items >= 0, earlier[items], -1)
    C = int(earlier.max()) + 1
    row = np.repeat(np.arange(len(train)), train.lengths)
    of_entry = groups[train.items]
    known = of_entry >= 0
    liked = np.zeros((len(train), C))
    np.add.at(liked, (row[known], of_entry[known]), 1.0)
    lift = liked / np.maximum(1.0, liked.sum(axis=0))
    votes = np.zeros((len(items), C))
    np.add.at(votes, train.items[~known], lift[row[~known]])
    return np.where(groups >= 0, groups, votes.argmax(axis=1))
