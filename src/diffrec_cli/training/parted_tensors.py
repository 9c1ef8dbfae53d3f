"""Tensors of which each process writes its part, by ``torch.distributed.checkpoint``.

A directory has a safetensors file for each process, and ``state.json``, which is written last.
Nothing in it is pickled. It can be read by any number of processes.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed import checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.planner import TensorWriteData, WriteItem, WriteItemType

from diffrec_cli.errors import UsageError
from diffrec_cli.files import dump_json, write_atomically
from diffrec_cli.models.item_range import ItemRange
from diffrec_cli.training.tensor_files import STATE, Parts


class _Part(Tensor):
    """Rows of a tensor whose other rows other processes have; torch asks it where they belong."""

    rows: ItemRange

    def size(self, dim: Any = None) -> Any:
        """Return the shape of the whole, which a stored tensor must have."""
        whole = torch.Size([self.rows.n_items, *self.shape[1:]])
        return whole if dim is None else whole[dim]

    def __create_write_items__(self, name: str, tensor: Tensor) -> list[WriteItem]:
        return [
            WriteItem(
                index=MetadataIndex(name, chunk.offsets),
                type=WriteItemType.SHARD,
                tensor_data=TensorWriteData(
                    chunk=chunk,
                    properties=TensorProperties(dtype=self.dtype),
                    size=self.size(),
                ),
            )
            for chunk in self.__create_chunk_list__()
        ]

    def __create_chunk_list__(self) -> list[ChunkStorageMetadata]:
        if len(self.rows) == 0:  # a chunk of another process begins at the same row
            return []
        first = torch.Size([self.rows.start, *(0 for _ in self.shape[1:])])
        return [ChunkStorageMetadata(first, self.shape)]

    def __get_tensor_shard__(self, index: MetadataIndex) -> Tensor:
        return self.as_subclass(Tensor)


def save_parts(
    directory: Path, tensors: Mapping[str, Tensor], parts: Parts, state: Mapping[str, Any]
) -> None:
    """Write this process's parts; all processes must call it. The first one writes the state."""
    with _quiet():
        writer = _storage("HuggingFaceStorageWriter")(str(directory), save_distributed=True)
        dcp.save(_with_places(tensors, parts), storage_writer=writer)  # type: ignore[attr-defined]
    if torch.distributed.get_rank() == 0:
        write_atomically(directory / STATE, dump_json(state))
    torch.distributed.barrier()


def load_parts(directory: Path, tensors: Mapping[str, Tensor], parts: Parts) -> None:
    """Fill tensors in place with their parts; each process may call it alone."""
    with _quiet():
        reader = _storage("HuggingFaceStorageReader")(str(directory))
        placed = _with_places(tensors, parts)
        dcp.load(placed, storage_reader=reader, no_dist=True)  # type: ignore[attr-defined]


def load_whole(directory: Path) -> dict[str, Tensor]:
    """Return all tensors, each with all rows."""
    tensors = {
        name: torch.empty(size, dtype=dtype)
        for name, (size, dtype) in stored_sizes(directory).items()
    }
    load_parts(directory, tensors, {})
    return tensors


def stored_sizes(directory: Path) -> dict[str, tuple[torch.Size, torch.dtype]]:
    """Return shape and type of each tensor, with all rows."""
    reader = _storage("HuggingFaceStorageReader")(str(directory))
    found = reader.read_metadata().state_dict_metadata
    return {
        name: (of.size, of.properties.dtype)
        for name, of in found.items()
        if isinstance(of, TensorStorageMetadata)
    }


def _with_places(tensors: Mapping[str, Tensor], parts: Parts) -> dict[str, Any]:
    placed: dict[str, Any] = {}
    for name, tensor in tensors.items():
        placed[name] = tensor.detach()
        if name in parts:
            placed[name] = tensor.detach().as_subclass(_Part)
            placed[name].rows = parts[name]
    return placed


def _storage(name: str) -> Any:
    """Return torch's reader or writer of safetensors."""
    try:
        return getattr(dcp, name)
    except AttributeError:
        raise UsageError(
            f"torch {torch.__version__} has no checkpoints of several processes without pickle",
            "install torch 2.8 or newer, or fit in one process",
        ) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch's remarks off the terminal, and give a failure of a process as its own error."""
    logger = logging.getLogger("torch.distributed.checkpoint")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except CheckpointException as error:  # no Exception, so that nothing else catches it
            raise _first_failure(error) from error
        finally:
            logger.setLevel(level)


def _first_failure(error: CheckpointException) -> Exception:
    """Return what went wrong in a process: an OSError if there is one."""
    failures = [failure for failure, _ in error.failures.values()]
    failures.sort(key=lambda failure: not isinstance(failure, OSError))
    first = failures[0] if failures else error
    return first if isinstance(first, Exception) else ValueError(str(error))
