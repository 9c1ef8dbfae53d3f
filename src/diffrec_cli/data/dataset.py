"""A prepared dataset: three sparse splits, the id maps and a table of the items.

On disk it is a directory::

    dataset.json          kind, schema version, name, setting, counts, drops, source, hashes
    PART_indptr.npy       of train, valid, test and, if there is any, fresh:
    PART_items.npy        compressed sparse rows of each part, oldest first if ordered
    PART_strength.npy     where interactions are not all alike: how much each counts
    PART_again.npy        where items may be recommended again: whether each one may
    users.parquet         id
    items.parquet         id, title and whatever else the item table had

Schema version 1 had its arrays in one ``interactions.npz``; what changed in the record is told in
:mod:`~diffrec_cli.data.dataset_record`. A trained model has a copy of this directory, so that it
needs no stored dataset.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from diffrec_cli.config.options import TRAIN, TRAIN_AND_VALID, split_names
from diffrec_cli.data.arrays import save_array
from diffrec_cli.data.arrow import numbers, read_parquet
from diffrec_cli.data.dataset_record import PARTS, RECORD, SCHEMA_VERSION, read_dataset_record
from diffrec_cli.data.idmap import IdMap
from diffrec_cli.data.order import NONE
from diffrec_cli.data.sequences import Sequences
from diffrec_cli.errors import CorruptError, DataError, UsageError
from diffrec_cli.files import dump_json, sha256_file
from diffrec_cli.system_errors import unreadable

FRESH = "fresh"
#: Arrays that a part only has where its interactions are not all alike.
_OPTIONAL = ("strength", "again")

#: Numbers, or texts, that are hashed at a time.
_HASHED = 1 << 18

#: Why a row of the log is not in the dataset; every report has all of them.
DROP_REASONS = (
    "missing_value",
    "event_left_out",
    "outside_window",
    "rating_below_threshold",
    "duplicate",
    "no_target_after_train",
    "user_below_minimum",
    "item_below_minimum",
    "user_unseen_in_train",
    "item_unseen_in_train",
    "low_rating_not_sampled",
    "replaced_by_low_rating",
    "user_forgotten",
)


@dataclass(frozen=True)
class Dataset:
    """Interactions of users with items, split for training, validation and test.

    Parameters
    ----------
    name
        Name in the store.
    setting
        ``clean``, ``noisy`` or ``temporal`` (paper, section 4.1.1).
    order
        What the order of a user's rows is: ``times`` (by a time column), ``file`` (as they stood)
        or ``none``. The temporal variants need one.
    train, valid, test
        Items of every user, oldest first if there is an order.
    user_ids
        Ids of the users, as written in the log.
    item_table
        Arrow table with the column ``id`` and, where known, ``title`` and others.
    dropped
        Rows of the log that are not here, by reason (:data:`DROP_REASONS`).
    source
        How the dataset came to be: files and options, for the record. Where no one said what the
        order is, ``order`` tells why there is one or none.
    fresh
        Interactions since training: read for lists, not in training or evaluation.
    chronology
        The parts as they follow in time: some released lists have test before valid.
    """

    name: str
    setting: str
    order: str
    train: Sequences
    valid: Sequences
    test: Sequences
    user_ids: IdMap
    item_table: pa.Table
    dropped: dict[str, int] = field(default_factory=dict)
    source: dict[str, Any] = field(default_factory=dict)
    fresh: Sequences | None = None
    chronology: tuple[str, ...] = PARTS

    @property
    def n_users(self) -> int:
        """Number of users."""
        return len(self.user_ids)

    @property
    def ordered(self) -> bool:
        """Whether the rows of a user stand in an order of time."""
        return self.order != NONE

    @property
    def weighed(self) -> bool:
        """Whether interactions count by their strength, not all alike."""
        return self.train.strength is not None

    @property
    def size(self) -> dict[str, int]:
        """Numbers of users and train interactions, which presets depend on."""
        return {"users": self.n_users, "interactions": self.train.size}

    @property
    def n_items(self) -> int:
        """Number of items."""
        return int(self.item_table.num_rows)

    @cached_property
    def item_ids(self) -> IdMap:
        """Ids of the items, as written in the log."""
        return IdMap(self.item_table["id"])

    @property
    def parts(self) -> dict[str, Sequences]:
        """Every part by name, oldest first; ``fresh`` only if there is any."""
        fresh = {} if self.fresh is None else {FRESH: self.fresh}
        return {"train": self.train, "valid": self.valid, "test": self.test, **fresh}

    @property
    def test_is_last(self) -> bool:
        """Whether test comes after valid in time."""
        return self.chronology[-1] == "test"

    @property
    def _in_time(self) -> list[Sequences]:
        """All parts as they follow in time."""
        parts = self.parts
        return [parts[name] for name in (*self.chronology, FRESH) if name in parts]

    @cached_property
    def known(self) -> Sequences:
        """Each user's whole history: all parts as they follow in time, and fresh."""
        return self.joined(*self._in_time)

    def known_of(self, users: NDArray[np.int64]) -> Sequences:
        """Return the whole histories of some users, without reading the others'."""
        return self.joined(*(part.take(users) for part in self._in_time))

    @cached_property
    def popularity(self) -> NDArray[np.int64]:
        """(|I|,) number of users who have each item."""
        counts = [np.bincount(p.items, minlength=self.n_items) for p in self.parts.values()]
        return np.asarray(np.sum(counts, axis=0))

    @cached_property
    def train_and_valid(self) -> Sequences:
        """History before the test part; its items are masked when testing."""
        return self.joined(self.train, self.valid)

    @property
    def targets(self) -> tuple[str, ...]:
        """The kinds of events that valid and test count; none: all of them."""
        target = self.source.get("split", {}).get("target")
        return () if target is None else split_names(target)

    @property
    def pairs_repeat(self) -> bool:
        """Whether an item may be in several parts of a user: bought again, or viewed before."""
        return self.keeps_repeats or bool(self.targets)

    @property
    def keeps_repeats(self) -> bool:
        """Whether lists are measured with what users had before, as it may be bought again."""
        return bool(self.source.get("split", {}).get("repeats") == "keep")

    @property
    def judged(self) -> Sequences:
        """Train as models read it when they are judged on valid: what lists may have is open."""
        if not self.keeps_repeats:
            return self.train
        return replace(self.train, again=np.ones(self.train.size, np.bool_))

    def joined(self, *parts: Sequences) -> Sequences:
        """Append later parts to earlier ones; each item of a user counts once, at its last."""
        joined = Sequences.concatenate(*parts)
        return joined.merged(adds=self.keeps_repeats) if self.pairs_repeat else joined

    def before(self, split: str) -> Sequences:
        """Return each user's history before ``valid`` or ``test``."""
        return self.train if split == "valid" else self.train_and_valid

    def to_find(self, split: str, *, include_seen: bool | None = None) -> Sequences:
        """Return what lists are to find in ``valid`` or ``test``.

        An item that lists leave out since the user had it before is none, unless they have those;
        ``None``: they have them if the log's repeats are kept.
        """
        part = self.part(split)
        include_seen = self.keeps_repeats if include_seen is None else include_seen
        if include_seen or not self.pairs_repeat:
            return part
        return part.without(self.before(split).closed)

    def history(self, name: str) -> Sequences:
        """Return each user's ``train``, ``train+valid`` or whole history (``all``)."""
        if name == TRAIN:
            return self.train
        return self.train_and_valid if name == TRAIN_AND_VALID else self.known

    @property
    def has_titles(self) -> bool:
        """Whether the item table has titles."""
        return "title" in self.item_table.column_names

    def require_titles(self, asked: bool, model: str) -> None:
        """Raise a :class:`UsageError` if titles are asked for of a model that knows none."""
        if asked and not self.has_titles:
            raise UsageError(
                f"{model} knows no titles",
                "give the item table when preparing or fitting: --items FILE",
            )

    def titles(self, items: Any) -> list[str]:
        """Return the titles of these item indices, or their ids where no title is known."""
        ids = self.item_ids.at(items)
        if not self.has_titles:
            return ids
        index = numbers(np.asarray(items, np.int64))
        titles = self.item_table["title"].take(index).to_pylist()
        return [title or item for title, item in zip(titles, ids, strict=True)]

    def part(self, name: str) -> Sequences:
        """Return the split of that name."""
        part: Sequences = getattr(self, name)
        return part

    def without_users(self, users: NDArray[np.int64]) -> Dataset:
        """Return the dataset without some users, by their indices; items stay."""
        left = np.setdiff1d(np.arange(self.n_users), users)
        taken = sum(self.part(name).take(users).size for name in PARTS)
        before = self.dropped.get("user_forgotten", 0)
        return replace(
            self,
            train=self.train.take(left),
            valid=self.valid.take(left),
            test=self.test.take(left),
            fresh=None if self.fresh is None else self.fresh.take(left),
            user_ids=self.user_ids.take(left),
            dropped={**self.dropped, "user_forgotten": before + taken},
        )

    def require_order(self, variant: str) -> None:
        """Raise a :class:`DataError` unless the rows stand in an order."""
        if not self.ordered:
            reason = self.source.get("order") or "it was prepared so"
            raise DataError(
                f"variant {variant} reads the order of interactions, and dataset {self.name!r} has"
                f" none: {reason}",
                "prepare it with a time column (--time-col), or with --order file if rows do stand"
                " in order; or use --variant base or l",
            )

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 over interactions, ids and item table; equal content has an equal hash."""
        digest = hashlib.sha256(f"{self.setting}/{self.ordered}".encode())
        if self.chronology != PARTS:
            digest.update("/".join(self.chronology).encode())
        for sequences in self.parts.values():
            _hash_array(digest, sequences.indptr, "<i8")
            _hash_array(digest, sequences.items, "<i4")
            if sequences.strength is not None:
                digest.update(b"strength")
                _hash_array(digest, sequences.strength, "<f4")
            if sequences.again is not None:
                digest.update(b"again")
                _hash_array(digest, sequences.again, "?")
        _hash_strings(digest, self.user_ids.array)
        for column in self.item_table.column_names:
            digest.update(f"\0{column}\0".encode())
            _hash_strings(digest, self.item_table[column].cast(pa.string()))
        return digest.hexdigest()

    def summary(self) -> dict[str, Any]:
        """Return the counts of the paper's Table 1 and every dropped row by reason."""
        sizes = {part: self.part(part).size for part in PARTS}
        return {
            "dataset": self.name,
            "setting": self.setting,
            "users": self.n_users,
            "items": self.n_items,
            "interactions": sum(sizes.values()),
            **sizes,
            **({"events": self.source["events"]} if "events" in self.source else {}),
            "dropped": {reason: self.dropped.get(reason, 0) for reason in DROP_REASONS},
        }

    def save(self, directory: Path) -> None:
        """Write the dataset's files into `directory`, which exists and is empty."""
        for part, sequences in self.parts.items():
            save_array(directory / f"{part}_indptr.npy", sequences.indptr)
            save_array(directory / f"{part}_items.npy", sequences.items)
            for name in _OPTIONAL:
                if (values := getattr(sequences, name)) is not None:
                    save_array(directory / f"{part}_{name}.npy", values)
        pq.write_table(pa.table({"id": self.user_ids.array}), directory / "users.parquet")
        pq.write_table(self.item_table, directory / "items.parquet")
        (directory / RECORD).write_bytes(self.record(directory))

    def record(self, directory: Path) -> bytes:
        """Return the JSON record of the dataset, whose arrays are in `directory`."""
        record = {
            "kind": "dataset",
            "schema_version": SCHEMA_VERSION,
            **self.summary(),
            "order": self.order,
            "chronology": list(self.chronology),
            "content_hash": self.content_hash,
            "source": self.source,
            "arrays": {path.name: sha256_file(path) for path in sorted(directory.glob("*.npy"))},
        }
        return dump_json(record)

    @staticmethod
    def load(directory: Path) -> Dataset:
        """Read a dataset that :meth:`save` wrote.

        Raises
        ------
        CorruptError
            A file is missing, truncated or does not fit the others.
        NewerSchemaError
            It was written by a newer diffrec.
        """
        record = read_dataset_record(directory)
        try:
            arrays = _arrays(directory, record)
            names = (*PARTS, FRESH) if f"{FRESH}_indptr" in arrays else PARTS
            parts = {part: _part(arrays, part) for part in names}
            dataset = Dataset(
                name=record["dataset"],
                setting=record["setting"],
                order=record["order"],
                chronology=tuple(record["chronology"]),
                user_ids=IdMap(_text_table(directory / "users.parquet")["id"]),
                item_table=_text_table(directory / "items.parquet"),
                dropped=record["dropped"],
                source=record["source"],
                **parts,
            )
            _check(dataset)
        # NumPy, zipfile and Arrow raise many kinds of errors for damaged files.
        except Exception as error:
            raise unreadable(error, directory) or CorruptError(
                f"{directory}: the dataset's files are damaged ({error})",
                f"remove {directory} and prepare it again",
            ) from error
        return dataset


def _arrays(directory: Path, record: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Return the arrays of the parts by name, mapped from their files; raise if one has changed."""
    if record["schema_version"] == 1:
        with np.load(directory / "interactions.npz", allow_pickle=False) as archive:
            return dict(archive)
    arrays = {}
    for name, digest in record["arrays"].items():
        path = directory / Path(name).name
        if sha256_file(path) != digest:
            raise ValueError(f"the content of {name} has changed")
        mapped = np.load(path, mmap_mode="c", allow_pickle=False)
        arrays[path.stem] = np.asarray(mapped)  # a plain array: a memmap is slower to index
    return arrays


def _part(arrays: Mapping[str, NDArray[Any]], part: str) -> Sequences:
    """Take a part out of the arrays; raise ValueError unless it is rows of items."""
    indptr, items = arrays[f"{part}_indptr"], arrays[f"{part}_items"]
    flat = indptr.ndim == items.ndim == 1
    if not flat or indptr.dtype != np.int64 or items.dtype != np.int32:
        raise ValueError(f"the {part} part has arrays of another type")
    if not len(indptr) or indptr[0] != 0 or np.any(np.diff(indptr) < 0):
        raise ValueError(f"the {part} part has no rows in order")
    strength, again = (arrays.get(f"{part}_{name}") for name in _OPTIONAL)
    for values, kind in ((strength, np.float32), (again, np.bool_)):
        if values is not None and (values.dtype != kind or values.shape != items.shape):
            raise ValueError(f"the {part} part has arrays of another type")
    if strength is not None and not bool(np.all((strength > 0) & np.isfinite(strength))):
        raise ValueError(f"the {part} part has strengths that are none")
    return Sequences(indptr, items, strength, again)


def _text_table(path: Path) -> pa.Table:
    """Read a table of ids; raise unless all of it is valid text."""
    table = read_parquet(path)
    for column in table.columns:
        column.cast(pa.string()).validate(full=True)
    if table["id"].null_count:
        raise ValueError(f"{path.name} has rows without an id")
    return table


def _check(dataset: Dataset) -> None:
    for part, sequences in dataset.parts.items():
        whole = len(sequences) == dataset.n_users and sequences.size == len(sequences.items)
        items = sequences.items
        if not whole or (len(items) and not 0 <= items.min() <= items.max() < dataset.n_items):
            raise ValueError(f"the {part} part does not fit the id maps")


def _hash_array(digest: Any, values: NDArray[Any], kind: str) -> None:
    """Feed numbers to a hash, block by block: they may be mapped from a file."""
    for start in range(0, len(values), _HASHED):
        digest.update(np.ascontiguousarray(values[start : start + _HASHED], kind).data)


def _hash_strings(digest: Any, strings: Any) -> None:
    """Feed strings to a hash by their lengths and bytes, whatever Arrow's chunking."""
    if isinstance(strings, pa.ChunkedArray):
        strings = strings.combine_chunks()
    strings = strings.cast(pa.large_string())
    lengths = pc.fill_null(pc.binary_length(strings), -1)
    digest.update(np.asarray(lengths).astype("<i8").tobytes())
    for start in range(0, len(strings), _HASHED):
        texts = strings.slice(start, _HASHED).to_pylist()
        digest.update("".join(text or "" for text in texts).encode())
