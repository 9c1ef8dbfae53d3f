"""The lists that the paper's authors released: three ``.npy`` files in a directory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from diffrec_cli.data.dataset import DROP_REASONS, Dataset
from diffrec_cli.data.dataset_record import PARTS
from diffrec_cli.data.idmap import IdMap
from diffrec_cli.data.order import FILE
from diffrec_cli.data.reading.numpy_file import read_npy
from diffrec_cli.data.sequences import Sequences
from diffrec_cli.errors import DataError

#: Indices above this are a mistake: the format counts users and items from 0.
_MAX_INDEX = 100_000_000


def is_authors_directory(path: str | Path) -> bool:
    """Tell whether `path` is a directory in the authors' format."""
    return _list_file(Path(path), "train").is_file()


def read_authors_lists(path: str | Path, name: str) -> Dataset:
    """Read ``train_list.npy``, ``valid_list.npy`` and ``test_list.npy`` exactly as released.

    Every file is an integer array (n, 2) of user and item; each user's rows keep their order, which
    may be none (:func:`~diffrec_cli.data.order.why_unordered`). The numbers
    are the indices, and as text the ids. The first of repeated (user, item) pairs counts, in the
    order train, valid, test; the others are dropped.

    Parameters
    ----------
    path
        The directory.
    name
        Name of the dataset.

    Raises
    ------
    DataError
        A file is missing, damaged, or not such an array.
    """
    directory = Path(path)
    lists = {part: _read_list(_list_file(directory, part)) for part in PARTS}
    users, items = (int(max(rows[:, i].max(initial=-1) for rows in lists.values())) + 1
                    for i in (0, 1))  # fmt: skip
    if not len(lists["train"]):
        raise DataError(f"{_list_file(directory, 'train')}: no rows", "give a non-empty list")
    kept = _first_of_each_pair(lists, items)
    repeated = sum(len(lists[part]) - len(kept[part]) for part in PARTS)
    train, valid, test = (_sequences(kept[part], users) for part in PARTS)
    return Dataset(
        name=name,
        setting="clean",
        order=FILE,
        user_ids=IdMap(_decimal_ids(users)),
        item_table=pa.table({"id": _decimal_ids(items)}),
        dropped={**dict.fromkeys(DROP_REASONS, 0), "duplicate": repeated},
        source={"format": "authors", "files": [str(directory)]},
        train=train,
        valid=valid,
        test=test,
    )


def _list_file(directory: Path, part: str) -> Path:
    return directory / f"{part}_list.npy"


def _read_list(path: Path) -> NDArray[np.int64]:
    fix = "the authors' format is int64 of shape (n, 2): rows of user and item, counted from 0"
    try:
        rows = read_npy(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file", "give train, valid and test lists") from None
    except ValueError as error:
        raise DataError(f"{path}: not a readable .npy file ({error})", fix) from error
    if not np.issubdtype(rows.dtype, np.integer):
        raise DataError(f"{path}: not an array of whole numbers", fix)
    if rows.ndim != 2 or rows.shape[1] != 2:
        raise DataError(f"{path}: shape {rows.shape}, expected (n, 2)", fix)
    if rows.size and not 0 <= int(rows.min()) <= int(rows.max()) < _MAX_INDEX:
        raise DataError(f"{path}: numbers from {rows.min()} to {rows.max()}", fix)
    return rows.astype(np.int64)


def _first_of_each_pair(
    lists: dict[str, NDArray[np.int64]], items: int
) -> dict[str, NDArray[np.int64]]:
    """Return each part's rows, (n, 2), without the pairs that came before."""
    keys = np.concatenate([lists[part][:, 0] * items + lists[part][:, 1] for part in PARTS])
    first = np.zeros(len(keys), np.bool_)
    first[np.unique(keys, return_index=True)[1]] = True
    ends = np.cumsum([len(lists[part]) for part in PARTS])[:-1]
    return {
        part: lists[part][mask] for part, mask in zip(PARTS, np.split(first, ends), strict=True)
    }


def _sequences(rows: NDArray[np.int64], users: int) -> Sequences:
    if np.any(np.diff(rows[:, 0]) < 0):
        rows = rows[np.argsort(rows[:, 0], kind="stable")]
    return Sequences.from_rows(rows[:, 0], rows[:, 1], users)


def _decimal_ids(count: int) -> pa.Array:
    return pa.array(np.arange(count)).cast(pa.string())
