"""Items that came after a model was trained: read from a table, and given a place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from diffrec_cli.config import ReadOptions
from diffrec_cli.config.options import TRAIN
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.item_features import item_features
from diffrec_cli.data.sequences import input_rows
from diffrec_cli.data.stored_options import read_options_of
from diffrec_cli.errors import DataError
from diffrec_cli.models.backend import NumpyBackend
from diffrec_cli.models.scorer import NEW, build_scorer
from diffrec_cli.registry.artifact import Artifact
from diffrec_cli.workflows.progress import Listener, Note

if TYPE_CHECKING:
    from diffrec_cli.models.new_items import Place


def with_new_items(
    artifact: Artifact,
    dataset: Dataset,
    path: str | Path,
    columns: Sequence[str],
    listener: Listener,
) -> tuple[Dataset, dict[str, NDArray[Any]]]:
    """Return a model's dataset with the new items of a table, and the arrays that score them.

    Parameters
    ----------
    artifact, dataset
        The model, and its dataset.
    path
        A table of items; those that the model knows are left as they are.
    columns
        By which of its columns items are alike; none: those of the last time, or all.
    listener
        Gets what was taken for what, and how new items find their place.

    Raises
    ------
    DataError
        The table has no new item, or nothing by which items could be alike.
    """
    from diffrec_cli.models.new_items import find_place, maps

    table = _read(path, dataset)
    fresh = table.filter(pc.invert(pc.is_in(table["id"], value_set=dataset.item_ids.array)))
    if not fresh.num_rows:
        raise DataError(f"{path}: the model knows all of its items", "give a table with new ones")
    columns = columns or dataset.source.get("item_features", [])
    known_items = _completed(dataset.item_table, table)
    items = pa.concat_tables([known_items, fresh], promote_options="default")
    features = item_features(items, columns)
    config = artifact.config()
    trained = {k: v for k, v in artifact.weights().items() if not k.startswith(NEW)}
    scorer = build_scorer(config, trained, NumpyBackend())
    known, new = features.values[: scorer.n_items], features.values[scorer.n_items :]
    for what, of_these in (("known", known), ("new", new)):
        if not of_these.nnz:
            raise DataError(
                f"{path}: nothing is known of the {what} items by {', '.join(features.taken)}",
                "give a table that has known and new items, or other --item-features",
            )
    listener(Note(f"{path}: {fresh.num_rows:,} new items; alike by {', '.join(features.taken)}"))
    train = input_rows(dataset.judged, config.temporal)
    train = train.keep(train.items < scorer.n_items)
    place = find_place(scorer, train, input_rows(dataset.to_find("valid"), None), known)
    listener(Note(f"new items are placed by {place}{_judged(place, artifact)}"))
    source = {**dataset.source, "item_features": list(columns)}
    return replace(dataset, item_table=items, source=source), maps(place, known, new)


def _judged(place: Place, artifact: Artifact) -> str:
    """Return how a place was found, in words."""
    if place.quality is None or place.without is None:
        return ": there is no valid part to find one by"
    told = (
        f": on valid, with a tenth of the items taken for new, Recall@20 and NDCG@20 are"
        f" {place.quality:.4f} in the mean, {place.without:.4f} without them"
    )
    if artifact.record.training.trained_on == TRAIN:
        return told
    return f"{told} (the model was trained on valid too, which flatters known items)"


def _completed(known: pa.Table, table: pa.Table) -> pa.Table:
    """Return the items that a model knows, with what the table has of them and they lack."""
    place = pc.index_in(known["id"], value_set=table["id"].combine_chunks())
    for name in table.column_names:
        if name == "id":
            continue
        theirs = table[name].take(place)
        if name not in known.column_names:
            known = known.append_column(name, theirs)
        else:
            at = known.column_names.index(name)
            known = known.set_column(at, name, pc.coalesce(known[name], theirs))
    return known


def _read(path: str | Path, dataset: Dataset) -> pa.Table:
    """Return a table of items, with the types of the dataset's columns."""
    from diffrec_cli.data.reading.log import read_item_table

    read = read_options_of(dataset)
    options = ReadOptions(item_col=read.item_id_col, quotes=read.quotes, encoding=read.encoding)
    table = read_item_table(path, options)
    kinds = {name: dataset.item_table[name].type for name in dataset.item_table.column_names}
    for place, name in enumerate(table.column_names):
        if name in kinds:
            table = table.set_column(place, name, table[name].cast(kinds[name]))
    return table
