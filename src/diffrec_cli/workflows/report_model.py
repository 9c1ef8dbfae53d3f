"""All that is worth showing of a stored model: accuracy, training, reach, lists, settings."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.catalogue import preset
from diffrec_cli.config import FitConfig, ReadOptions, SplitOptions
from diffrec_cli.config.options import ALL, IN_WORDS, TRAIN_AND_VALID
from diffrec_cli.config.values import setting_text
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.errors import UsageError
from diffrec_cli.files import check_user_file, user_file
from diffrec_cli.registry import versions as registry
from diffrec_cli.registry.artifact import Artifact
from diffrec_cli.registry.record import ModelRecord
from diffrec_cli.workflows.evaluate_models import SPLITS, Evaluated, evaluate
from diffrec_cli.workflows.progress import Listener, silent
from diffrec_cli.workflows.recommend_lists import recommend

CUTOFFS = (10, 20)
METRICS = ("recall", "ndcg", "precision", "mrr", "hit", "coverage", "novelty")
#: Parts of the catalogue whose share of all places is told: its most frequent items.
TOP_SHARES = (0.01, 0.1)

_LATEST, _LIST = 8, 10  # items of a history and of a list that an example shows
_EXAMPLES = (0.1, 0.5, 0.9)  # places of the example users among all, by activity
_CURVE_POINTS = 60


@dataclass(frozen=True)
class Concentration:
    """How evenly places (of lists, of a log) are distributed over the items.

    Parameters
    ----------
    curve
        Points (share of the items, share of the places), the most frequent items first.
    top
        For each of :data:`TOP_SHARES`, the share of the places that this part of the items holds.
    """

    curve: tuple[tuple[float, float], ...]
    top: Mapping[float, float]


@dataclass(frozen=True)
class Catalogue:
    """What part of the catalogue the lists of all users reach.

    Parameters
    ----------
    users, items
        How many there are.
    covered
        For each of :data:`CUTOFFS`, the share of the items that are in any list.
    recommended
        Of the places of the longest lists.
    log
        Of the interactions that the model's dataset has.
    """

    users: int
    items: int
    covered: Mapping[int, float]
    recommended: Concentration
    log: Concentration


@dataclass(frozen=True)
class Example:
    """A user and their list.

    Parameters
    ----------
    user
        Their id.
    interactions
        How many items they have.
    latest
        The last of these items, the newest first: titles, or ids where there are none.
    recommended
        Their list, best first, with titles or ids as well.
    """

    user: str
    interactions: int
    latest: tuple[str, ...]
    recommended: tuple[str, ...]


@dataclass(frozen=True)
class Setting:
    """A setting of a fit, and what the preset ``auto`` has for it on the same data."""

    group: str
    key: str
    value: Any
    auto: Any


@dataclass(frozen=True)
class Recipe:
    """How to make the same model again.

    Parameters
    ----------
    commands
        Lines for a shell, in order.
    notes
        What they leave open.
    """

    commands: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """What is worth showing of a model.

    Parameters
    ----------
    record
        Everything about it but its arrays.
    split
        The part it was measured on.
    order, source
        What the order of its dataset's rows is; the files and options that made it.
    evaluated
        The model's metrics, then popularity's; ``None`` if they cannot be had.
    unmeasured
        Why not, in one line.
    epochs
        The log of the training, one entry an epoch; empty for a closed form.
    catalogue, examples
        What the model recommends, from everything that is known of each user.
    settings
        All of them.
    recipe
        How to make it again.
    """

    record: ModelRecord
    split: str
    order: str
    source: Mapping[str, Any]
    evaluated: Evaluated | None
    unmeasured: str
    epochs: tuple[Mapping[str, Any], ...]
    catalogue: Catalogue
    examples: tuple[Example, ...]
    settings: tuple[Setting, ...]
    recipe: Recipe


def report(
    model: str | None = None,
    *,
    users: Sequence[str] = (),
    split: str = "test",
    device: str = "auto",
    listener: Listener = silent,
) -> Report:
    """Gather what is worth showing of a stored model.

    Parameters
    ----------
    model
        Reference; ``None`` is the default model.
    users
        Ids of the users whose lists are shown; by default three of different activity.
    split
        ``valid`` or ``test``: what accuracy is measured on.
    device
        Where to compute.
    listener
        Called with progress.

    Raises
    ------
    NotFoundError
        The model or a user is unknown.
    UsageError
        There is no such split.
    CorruptError
        The model is damaged.
    """
    if split not in SPLITS:
        raise UsageError(f"--split {split}: unknown", f"one of: {', '.join(SPLITS)}")
    artifact = registry.resolve(model)
    config, dataset = artifact.config(), artifact.dataset()
    reference = artifact.record.reference
    examples = _examples(reference, dataset, users, device, listener)  # refuses unknown users
    unmeasured = _why_unmeasured(artifact, dataset, split)
    evaluated = None if unmeasured else _evaluated(reference, split, device, listener)
    settings = _settings(config, dataset)
    return Report(
        record=artifact.record,
        split=split,
        order=dataset.order,
        source=dataset.source,
        evaluated=evaluated,
        unmeasured=unmeasured,
        epochs=tuple(artifact.epoch_log()),
        catalogue=_catalogue(reference, dataset, device, listener),
        examples=examples,
        settings=settings,
        recipe=_recipe(artifact.record, config, dataset, settings),
    )


def write_report(
    model: str | None = None,
    out: str | Path | None = None,
    *,
    render: Callable[[Report], str],
    users: Sequence[str] = (),
    split: str = "test",
    overwrite: bool = False,
    device: str = "auto",
    listener: Listener = silent,
) -> Path:
    """Write a page about a stored model, whole or not at all.

    Parameters
    ----------
    out
        The file; ``None`` is ``NAME-VERSION.html`` in the current directory.
    render
        Makes the page, such as :func:`diffrec_cli.reporting.page.page`.
    overwrite
        Whether a file that exists is replaced.
    model, users, split, device, listener
        As in :func:`report`.

    Returns
    -------
    Path
        The file that was written.

    Raises
    ------
    UsageError
        The file exists or cannot be written, or there is no such split.
    NotFoundError
        The model or a user is unknown.
    """
    record = registry.resolve(model).record
    target = Path(f"{record.name}-{record.version}.html" if out is None else out)
    check_user_file(target, overwrite=overwrite)
    gathered = report(record.reference, users=users, split=split, device=device, listener=listener)
    content = render(gathered).encode()
    with user_file(target, overwrite=overwrite) as stream:
        stream.write(content)
    return target


def _why_unmeasured(artifact: Artifact, dataset: Dataset, split: str) -> str:
    """Return why the model cannot be measured on a split; nothing if it can."""
    trained_on = artifact.record.training.trained_on
    if trained_on == ALL or (trained_on == TRAIN_AND_VALID and split == "valid"):
        return (
            f"{artifact.record.reference} was trained on {IN_WORDS[trained_on]} (--refit), the"
            f" {split} part included: nothing is left to measure it on."
        )
    if dataset.part(split).size == 0:
        return f"The dataset has no {split} interactions to measure it on."
    return ""


def _evaluated(reference: str, split: str, device: str, listener: Listener) -> Evaluated:
    return evaluate(
        [reference],
        split=split,
        ks=CUTOFFS,
        metrics=METRICS,
        baselines=["pop"],
        groups=True,
        intervals=True,
        device=device,
        listener=listener,
    )


# What the model recommends ---------------------------------------------------------------


def _examples(
    reference: str, dataset: Dataset, users: Sequence[str], device: str, listener: Listener
) -> tuple[Example, ...]:
    ids = list(dict.fromkeys(users)) or _typical_users(dataset)
    lists = recommend(
        reference,
        users=ids,
        k=min(_LIST, dataset.n_items),
        device=device,
        listener=listener,
    ).table()
    items = dataset.item_ids.indices(lists["item"].to_pylist())
    titles: dict[str, list[str]] = {user: [] for user in ids}
    for user, title in zip(lists["user"].to_pylist(), dataset.titles(items), strict=True):
        titles[user].append(title)
    return tuple(_example(dataset, user, titles[user]) for user in ids)


def _example(dataset: Dataset, user: str, recommended: list[str]) -> Example:
    history = dataset.known_of(dataset.user_ids.indices([user])).items
    latest = dataset.titles(history[::-1][:_LATEST])
    return Example(user, len(history), tuple(latest), tuple(recommended))


def _typical_users(dataset: Dataset) -> list[str]:
    """Return users of little, middling and much activity, as far as there are different ones."""
    activity = np.sum([part.lengths for part in dataset.parts.values()], axis=0)
    order = np.argsort(activity, kind="stable")
    order = order[activity[order] > 0]
    places = sorted({round(share * (len(order) - 1)) for share in _EXAMPLES})
    return dataset.user_ids.at(order[places])


def _catalogue(reference: str, dataset: Dataset, device: str, listener: Listener) -> Catalogue:
    """Count how often each item is recommended, list by list, in bounded memory."""
    n_items = dataset.n_items
    counts = {k: np.zeros(n_items, np.int64) for k in CUTOFFS}
    k = min(max(CUTOFFS), n_items)
    lists = recommend(reference, all_users=True, k=k, device=device, listener=listener)
    for table in lists.tables:
        items = dataset.item_ids.indices(table["item"].to_pylist())
        ranks = np.asarray(table["rank"].to_pylist())
        for cutoff, count in counts.items():
            count += np.bincount(items[ranks <= cutoff], minlength=n_items)
    return Catalogue(
        users=dataset.n_users,
        items=n_items,
        covered={k: float(np.count_nonzero(count) / n_items) for k, count in counts.items()},
        recommended=concentration(counts[max(CUTOFFS)]),
        log=concentration(dataset.popularity),
    )


def concentration(counts: NDArray[np.int64]) -> Concentration:
    """Return how evenly places are distributed over items.

    Parameters
    ----------
    counts
        (items,) how many places each item holds.

    Examples
    --------
    >>> concentration(np.array([1, 0, 8, 1])).curve
    ((0.0, 0.0), (0.25, 0.8), (0.5, 0.9), (0.75, 1.0), (1.0, 1.0))
    """
    n_items, total = len(counts), max(1, int(counts.sum()))
    held = np.concatenate([[0], np.cumsum(np.sort(counts)[::-1])]) / total  # (items + 1,)
    # Denser where the curve bends, which is at its beginning.
    steps = np.linspace(0, 1, _CURVE_POINTS + 1) ** 2
    places = np.unique(np.rint(steps * n_items).astype(np.int64))
    curve = tuple((float(place / n_items), float(held[place])) for place in places)
    top = {share: float(held[math.ceil(share * n_items)]) for share in TOP_SHARES}
    return Concentration(curve, top)


# How it was made -------------------------------------------------------------------------


def _settings(config: FitConfig, dataset: Dataset) -> tuple[Setting, ...]:
    # Newcomers of an update came after the fit, whose preset did not know of them.
    fitted_on = np.count_nonzero(dataset.train.lengths) if dataset.fresh else dataset.n_users
    size = {"users": int(fitted_on), "interactions": dataset.train.size}
    auto = preset("auto", config.variant, **size).to_dict()
    return tuple(
        Setting(group, key.rstrip("_"), value, auto[group][key])
        for group, fields in config.to_dict().items()
        for key, value in fields.items()
    )


def _recipe(
    record: ModelRecord, config: FitConfig, dataset: Dataset, settings: Sequence[Setting]
) -> Recipe:
    prepare = _prepare_command(dataset)
    commands = [prepare] if prepare else []
    notes = []
    if prepare and len(dataset.item_table.column_names) > 1:
        notes.append("--items FILE is the table of the items: where it lay was not recorded.")
    if not prepare:
        notes.append("How the dataset was prepared was not recorded.")
    if _was_cut_short(record):
        epochs = record.training.epochs
        notes.append(f"The fit was ended from outside; --set epochs={epochs} ends it there.")
    if before := record.training.warm_start.get("model"):
        notes.append(f"It went on from the weights of {before}, which it takes to fit it again.")
    commands.append(_fit_command(record, config, settings))
    commands += [
        shlex.join(["diffrec", "update", record.name, line["file"]])
        for line in dataset.source.get("updates", [])
    ]
    if config.trains:
        notes.append(f"It ran on {record.training.device}; another device rounds differently.")
    return Recipe(tuple(commands), tuple(notes))


def _was_cut_short(record: ModelRecord) -> bool:
    return record.training.stopped in ("time", "interrupted")


def _fit_command(record: ModelRecord, config: FitConfig, settings: Sequence[Setting]) -> str:
    words = ["diffrec", "fit", record.dataset["dataset"]]
    if before := record.training.warm_start.get("model"):  # its settings hold
        words += ["--warm-start", before, "--name", record.name]
        settings = ()
    else:
        words += ["--variant", record.variant, "--name", record.name]
    if config.is_random:
        words += ["--seed", str(config.seed)]
    if config.trains:
        words += ["--precision", record.training.precision]
    changed = {s.key: s.value for s in settings if s.value != s.auto and s.key != "seed"}
    if _was_cut_short(record):
        changed["epochs"] = record.training.epochs
    for key, value in changed.items():
        words += ["--set", f"{key}={setting_text(value)}"]
    if record.training.refit:
        words.append(f"--refit={record.training.trained_on}")
    return shlex.join(words)


def _prepare_command(dataset: Dataset) -> str:
    """Return the command that prepares the dataset again; nothing if its files are not known."""
    source = dataset.source
    if not source.get("files"):
        return ""
    words = ["diffrec", "prepare", *source["files"], "--name", dataset.name]
    for defaults, given in ((ReadOptions(), "read"), (SplitOptions(), "split")):
        words += _options(asdict(defaults), source.get(given, {}))
    if len(dataset.item_table.column_names) > 1:
        words += ["--items", "FILE"]
    return shlex.join(words)


def _options(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """Return the options of a command line for the values that are not the defaults."""
    words = []
    for key, default in defaults.items():
        value, option = given.get(key, default), f"--{key.replace('_', '-')}"
        value = tuple(value) if isinstance(value, list) else value
        if value == default:
            continue
        if isinstance(value, bool):
            words.append(option if value else f"--no-{key}")
        elif isinstance(value, tuple):
            words += [option, ":".join(f"{part:g}" for part in value)]
        else:
            words += [option, setting_text(value).replace("\t", "\\t")]
    return words
