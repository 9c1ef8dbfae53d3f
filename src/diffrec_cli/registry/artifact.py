"""A stored model: its record, and its files, which are loaded on demand."""

from __future__ import annotations

import dataclasses
import json
import math
import mmap
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffrec_cli.catalogue import read_config
from diffrec_cli.config import FitConfig
from diffrec_cli.errors import ConfigError, CorruptError, LockedError, NotFoundError
from diffrec_cli.files import dump_json, read_record, sha256_file
from diffrec_cli.holds import Hold
from diffrec_cli.registry.record import KIND, SCHEMA_VERSION, FileEntry, ModelRecord, finite
from diffrec_cli.system_errors import system_error, unreadable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from diffrec_cli.data.dataset import Dataset

RECORD = "model.json"
WEIGHTS = "weights.safetensors"
EPOCHS = "epochs.jsonl"
DATA = "data"

_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "u1"}


@dataclass(frozen=True)
class Artifact:
    """A model in the registry.

    Parameters
    ----------
    record
        Its record.
    path
        Its directory.
    hold
        Keeps it from being pruned as long as this object lives; ``None``: nothing does.
    seen
        What tells its record from one that `forget` puts in its place.
    """

    record: ModelRecord
    path: Path
    hold: Hold | None = field(default=None, compare=False, repr=False)
    seen: tuple[int, int] | None = field(default=None, compare=False, repr=False)

    @staticmethod
    def open(path: Path) -> Artifact:
        """Read the record of the model in a directory.

        Raises
        ------
        CorruptError
            There is no model, or its record is damaged.
        NewerSchemaError
            It was written by a newer diffrec.
        """
        seen = _seen(path)  # first: what is put in its place later shows
        values = read_record(path / RECORD, kind=KIND, schema_version=SCHEMA_VERSION)
        with _reading(path / RECORD):
            return Artifact(ModelRecord.from_dict(values), path, seen=seen)

    def weights(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of the model by name; raise :class:`CorruptError` if damaged.

        They are views of the file: only what is used is read, and changes are not written.
        """
        with self.there(), _reading(self.path / WEIGHTS):
            return _mapped(self.path / WEIGHTS)

    def dataset(self) -> Dataset:
        """Return the dataset it was fitted on; raise :class:`CorruptError` if damaged."""
        from diffrec_cli.data.dataset import Dataset

        with self.there():
            return Dataset.load(self.path / DATA)

    def config(self) -> FitConfig:
        """Return its settings; raise :class:`CorruptError` if this diffrec does not know them."""
        with _reading(self.path / RECORD):
            return read_config(self.record.config)

    def epoch_log(self) -> list[dict[str, Any]]:
        """Return one entry for each epoch; raise :class:`CorruptError` if damaged."""
        with self.there(), _reading(self.path / EPOCHS):
            return [_epoch(line) for line in (self.path / EPOCHS).read_bytes().splitlines()]

    @contextmanager
    def there(self) -> Iterator[None]:
        """Tell of a removal or a replacement in the middle of reading, however that went."""
        try:
            yield
        except (CorruptError, OSError):
            self.require_there()
            raise
        self.require_there()

    def require_there(self) -> None:
        """Raise if it is not the model any more that was opened.

        Raises
        ------
        NotFoundError
            It was removed, or got another name.
        LockedError
            Another process took users out of it.
        """
        if not self.path.exists():
            raise NotFoundError(
                f"{self.record.reference} was removed or renamed while it was being read",
                "run the same command again, with a model of `diffrec models ls`",
            )
        if self.seen not in (None, _seen(self.path)):
            raise LockedError(
                f"{self.record.reference} was changed while it was being read",
                "run the same command again",
            )


def _seen(path: Path) -> tuple[int, int] | None:
    """Return number and time of the record's file; None if there is none."""
    with suppress(OSError):
        found = (path / RECORD).stat()
        return found.st_ino, found.st_mtime_ns
    return None


def _epoch(line: bytes) -> dict[str, Any]:
    """Return an entry of the epoch log: numbers by name, and among them that of the epoch."""
    entry = json.loads(line)
    numbers = isinstance(entry, dict) and all(
        value is None or isinstance(value, int | float) for value in entry.values()
    )
    if not numbers or "epoch" not in entry:
        raise ValueError(f"no entry of an epoch: {line[:60]!r}")
    return dict(entry)


def write_files(
    directory: Path,
    weights: Mapping[str, NDArray[Any]],
    dataset: Dataset,
    epoch_log: Iterable[Mapping[str, Any]],
) -> dict[str, FileEntry]:
    """Write a model's files, except its record, into an empty directory; return their entries."""
    _save_weights(directory / WEIGHTS, weights)
    (directory / DATA).mkdir()
    dataset.save(directory / DATA)
    lines = [json.dumps(finite(entry), allow_nan=False) + "\n" for entry in epoch_log]
    (directory / EPOCHS).write_text("".join(lines), encoding="utf-8")
    return entries(directory)


def entries(directory: Path) -> dict[str, FileEntry]:
    """Return hash and size of every file below a directory, by its path there."""
    paths = sorted(path for path in directory.rglob("*") if path.is_file())
    return {
        path.relative_to(directory).as_posix(): FileEntry(sha256_file(path), path.stat().st_size)
        for path in paths
    }


def rewrite(
    artifact: Artifact,
    directory: Path,
    dataset: Dataset,
    weights: Mapping[str, NDArray[Any]] | None,
) -> dict[str, FileEntry]:
    """Write a model with another dataset into an empty directory, record and all.

    Parameters
    ----------
    artifact
        The model, whose files stay as they are.
    directory
        Where to write.
    dataset
        In place of its own.
    weights
        In place of its own; ``None``: the same.

    Returns
    -------
    The entries of its files.
    """
    arrays = artifact.weights() if weights is None else weights
    files = write_files(directory, arrays, dataset, artifact.epoch_log())
    summary = {**dataset.summary(), "content_hash": dataset.content_hash}
    record = dataclasses.replace(artifact.record, dataset=summary, files=files)
    (directory / RECORD).write_bytes(dump_json(record.to_dict()))
    return files


def _mapped(path: Path) -> dict[str, NDArray[Any]]:
    """Map a safetensors file into memory; the library would copy every array."""
    import numpy as np
    from safetensors import safe_open

    with path.open("rb") as stream:  # first: the library says of any that is refused it is absent
        content = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
    with safe_open(path, framework="numpy"):
        pass  # the library checks the header
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header.pop("__metadata__", None)
    return {
        name: np.frombuffer(
            content,
            _DTYPES[entry["dtype"]],
            count=math.prod(entry["shape"]),
            offset=start + entry["data_offsets"][0],
        ).reshape(entry["shape"])
        for name, entry in header.items()
    }


def _save_weights(path: Path, weights: Mapping[str, NDArray[Any]]) -> None:
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    contiguous = {name: np.asarray(array, order="C") for name, array in weights.items()}
    path.touch()
    mode = path.stat().st_mode  # of all other files; the library's own is for its owner alone
    try:
        save_file(contiguous, path)
    except SafetensorError as error:
        raise system_error(error) from error
    path.chmod(mode)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn errors from reading damaged files into a :class:`CorruptError`."""
    from safetensors import SafetensorError

    fix = "import the model again from an export, or fit it again"
    try:
        yield
    except CorruptError as error:
        raise CorruptError(f"{path}: {error.what}", fix) from error
    except (SafetensorError, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise unreadable(error, path) or CorruptError(f"{path}: damaged ({error})", fix) from error
    except ConfigError as error:
        raise CorruptError(f"{path}: {error.what}", "use the version that wrote it") from error
