"""The earlier model that a fit goes on from (``--warm-start``)."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.catalogue import AUTO, model_row, reads_order
from diffrec_cli.config import FitConfig
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.errors import UsageError
from diffrec_cli.models.scorer import NEW
from diffrec_cli.models.trainable import Trainable
from diffrec_cli.models.warm_start import Places, carried_groups, carry
from diffrec_cli.registry import versions as registry
from diffrec_cli.registry.artifact import Artifact
from diffrec_cli.registry.references import parse, require_versions
from diffrec_cli.training.loop import SELECTION_METRIC
from diffrec_cli.workflows.fitting.settings import named

#: Share of the earlier weights with which training goes on, and of the epochs of a fit anew. Chosen
#: on valid, see ``examples/reproduce/warm_start.py``.
SHARE, EPOCHS_SHARE = 0.7, 1 / 6


@dataclass(frozen=True)
class WarmStart:
    """A stored model whose settings, and weights by item and user, a fit begins with.

    Parameters
    ----------
    artifact
        The model.
    said
        Names of the settings that the user gave: these are taken as they are.
    today
        What the fit is of; ``None``: that is not known yet.
    """

    artifact: Artifact
    said: Collection[str] = field(default_factory=frozenset)
    today: Dataset | None = None

    @cached_property
    def config(self) -> FitConfig:
        """Its settings."""
        return self.artifact.config()

    @cached_property
    def dataset(self) -> Dataset:
        """What it was trained on."""
        return self.artifact.dataset()

    @cached_property
    def weights(self) -> dict[str, Any]:
        """Its arrays, without those of items that came after training."""
        found = self.artifact.weights()
        return {name: array for name, array in found.items() if not name.startswith(NEW)}

    @property
    def key(self) -> list[Any]:
        """Equal for warm starts that do the same."""
        record = self.artifact.record
        return [record.reference, record.created, sorted(self.said)]

    @property
    def epochs_anew(self) -> int:
        """How many epochs the last fit took that began anew."""
        training = self.artifact.record.training
        return int(training.warm_start.get("epochs_anew", training.epochs))

    def settings(self, config: FitConfig) -> FitConfig:
        """Return the settings to train with from here: a few epochs."""
        if "epochs" in self.said:
            return config
        first = 0  # epochs of which none can be chosen
        if config.latent is not None and config.latent.warmup == "vae":
            first = config.latent.warmup_epochs
        epochs = first + math.ceil(EPOCHS_SHARE * (self.epochs_anew - first))
        return replace(config, training=replace(config.training, epochs=max(first + 1, epochs)))

    def variant(self, asked: str, corruption: str | None, preset: str) -> str:
        """Return the model's variant.

        Raises
        ------
        UsageError
            Another one, or a preset, is asked for.
        """
        before = self.config.variant
        other = asked != AUTO and named(asked, corruption, preset) != before
        if other or preset != "auto" or (corruption and asked == AUTO):
            reference = self.artifact.record.reference
            raise UsageError(
                f"--warm-start {reference}: its settings are those of {before}",
                "leave out --variant, --corruption and --preset; --set changes a setting",
            )
        return before

    def changed(self, given: Mapping[str, Any]) -> FitConfig:
        """Return the settings with these values, for what the fit is of."""
        config = self.config.with_values(given)
        if reads_order(config):
            self._today.require_order(config.variant)
        return config

    @property
    def _today(self) -> Dataset:
        if self.today is None:
            raise ValueError("what the fit is of is not known yet")
        return self.today

    @cached_property
    def places(self) -> Places:
        """Where today's users and items were."""
        return Places(
            items=self.dataset.item_ids.indices(self._today.item_ids.array.to_pylist()),
            users=self.dataset.user_ids.indices(self._today.user_ids.array.to_pylist()),
        )

    def groups(self) -> NDArray[np.int64]:
        """Return the group of each of today's items, (|I|,)."""
        of_item = np.asarray(self.weights["of_item"])
        items = self.places.items
        items = np.where(items < len(of_item), items, -1)  # others came after training
        return carried_groups(of_item, items, self._today.train)

    def give(self, model: Trainable, config: FitConfig) -> None:
        """Give today's model the weights of this one."""
        row = model_row(config)
        of_users = () if row is None else row.of_users
        carry(model, self.weights, self.places, of_users, SHARE)

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What the model was, and how many items and users are new or gone."""
        training, places = self.artifact.record.training, self.places
        known = {"items": places.items >= 0, "users": places.users >= 0}
        before = {"items": self.dataset.n_items, "users": self.dataset.n_users}
        return {
            "model": self.artifact.record.reference,
            "epochs": training.epochs,
            "epochs_anew": self.epochs_anew,
            "seconds": training.seconds,
            "valid": dict(training.valid),
            **{f"new_{kind}": int(np.count_nonzero(~known[kind])) for kind in known},
            **{f"gone_{kind}": before[kind] - int(known[kind].sum()) for kind in known},
        }


def warm_start_of(reference: str, said: Collection[str]) -> WarmStart:
    """Return the model to go on from; of a name, its newest version that was trained to its end.

    Raises
    ------
    UsageError
        It is no model that training can go on from.
    NotFoundError
        There is none.
    """
    artifact = _complete(reference)
    model = model_row(artifact.config())
    if model is not None and model.build is not None and not model.parallel:
        raise UsageError(
            f"--warm-start {reference}: {artifact.record.variant} keeps too little to go on from",
            "fit it anew, without --warm-start",
        )
    return WarmStart(artifact, frozenset(said))


def _complete(reference: str) -> Artifact:
    name, selector = parse(reference)
    if selector is not None:
        return registry.resolve(reference)
    found = [registry.resolve(f"{name}@{version}") for version in require_versions(name)]
    complete = [artifact for artifact in found if artifact.record.training.complete]
    return (complete or found)[-1]


def in_words(facts: Mapping[str, Any]) -> str:
    """Return what is carried over, in a line."""
    new = f"{facts['new_items']:,} items and {facts['new_users']:,} users are new"
    gone = f"{facts['gone_items']:,} and {facts['gone_users']:,} are gone"
    return f"going on from {facts['model']} ({_trained(facts)}): {new}, {gone}"


def _trained(facts: Mapping[str, Any]) -> str:
    value = facts["valid"].get(SELECTION_METRIC)
    quality = "" if value is None else f", valid {SELECTION_METRIC} {value:.4f}"
    return f"{facts['epochs']:,} epochs, {facts['seconds']:.1f} s{quality}"
