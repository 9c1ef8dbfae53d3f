"""A model goes on from another's weights, by item and user, wherever these now stand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from diffrec_cli.catalogue import MODELS, model_row
from diffrec_cli.catalogue import own_preset as preset
from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Sequences, input_rows
from diffrec_cli.errors import UsageError
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.build import build_model, stored_weights
from diffrec_cli.models.item_range import ItemRange
from diffrec_cli.models.scorer import build_scorer
from diffrec_cli.models.warm_start import Places, carried_groups, carry

USERS, ITEMS = 20, 30
SMALL: dict[str, dict[str, Any]] = {
    "base": {"dims": (8,)},
    "t": {"dims": (4, 8)},
    "base+smoothing": {"dim": 6, "rank": 5},
    "t+smoothing": {"dim": 6, "rank": 5},
    "t+masking": {"dim": 6, "half_lives": (1.0, 4.0), "temperature": None},
    "base+masking": {"dim": 6, "temperature": 0.1},
    "l": {"dims": (6,), "C": 3, "z_dim": 9, "encoder_dims": (12,), "decoder": "separate"},
    "lt": {"dims": (6,), "C": 2, "z_dim": 9, "encoder_dims": (12,), "decoder": "joint"},
    "cdae": {"dim": 6},
    "multidae": {"dims": (6,)},
    "multidae++": {"dims": (6,)},
    "multivae": {"dims": (6,)},
}
RNG = np.random.default_rng(5)
#: Yesterday's users and items, in another order; without two items, and with three new ones.
REORDERED = Places(RNG.permutation(ITEMS), RNG.permutation(USERS))
CHANGED = Places(np.concatenate([REORDERED.items[2:], np.full(3, -1)]), REORDERED.users)


def config_of(variant: str) -> FitConfig:
    return preset("auto", variant, users=USERS).with_values(SMALL[variant])


def history(of_user: list[list[int]]) -> Sequences:
    users = np.repeat(np.arange(len(of_user)), [len(row) for row in of_user])
    return Sequences.from_rows(users, np.concatenate(of_user), len(of_user))


def yesterday() -> list[list[int]]:
    return [list(RNG.permutation(ITEMS)[: RNG.integers(2, 9)]) for _ in range(USERS)]


def today(rows: list[list[int]], places: Places) -> list[list[int]]:
    """The same histories as users and items stand today, without items that are gone."""
    place = {int(old): new for new, old in enumerate(places.items) if old >= 0}
    return [[place[i] for i in map(int, rows[user]) if i in place] for user in places.users]


def trained(config: FitConfig, train: Sequences, n_items: int, **options: Any) -> Any:
    generator = np.random.default_rng(1)
    of_item = None if config.latent is None else np.arange(n_items) % config.latent.C
    model = build_model(config, n_items, options.pop("of_item", of_item), train, **options)
    with torch.no_grad():  # as if trained: no two numbers are alike
        for parameter in model.parameters():
            numbers = generator.normal(0, 0.3, parameter.shape).astype(np.float32)
            parameter.copy_(torch.from_numpy(numbers))
    return model


def scores(config: FitConfig, model: Any, train: Sequences) -> np.ndarray:
    scorer = build_scorer(config, stored_weights(model.scoring_weights()), TorchBackend("cpu"))
    with torch.inference_mode():
        found: np.ndarray = scorer.backend.host(scorer.scores(input_rows(train, config.temporal)))
    return found


def carried(
    config: FitConfig, stored: dict[str, Any], places: Places, train: Sequences, **options: Any
) -> Any:
    """Return today's model with yesterday's weights."""
    of_item = sized_by = None
    if config.latent is not None:
        sized_by = stored["of_item"]
        of_item = carried_groups(sized_by, places.items, train)
    n_items = len(places.items)
    model = build_model(config, n_items, of_item, train, sized_by=sized_by, **options)
    row = model_row(config)
    carry(model, stored, places, () if row is None else row.of_users)
    return model


@pytest.mark.parametrize("variant", SMALL)
def test_reordered_users_and_items_get_the_same_scores(variant: str) -> None:
    config, rows = config_of(variant), yesterday()
    before, after = history(rows), history(today(rows, REORDERED))
    old = trained(config, before, ITEMS)
    new = carried(config, stored_weights(old.scoring_weights()), REORDERED, after)
    wanted = scores(config, old, before)[REORDERED.users][:, REORDERED.items]
    found = scores(config, new, after)
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=2e-4 * np.abs(wanted).max())


@pytest.mark.parametrize("part", [None, ItemRange(31, 20, 31)], ids=["whole", "part"])
@pytest.mark.parametrize(("variant", "name"), [("t+masking", "V"), ("l", "vae.bias")])
def test_new_items_keep_their_initial_weights(
    variant: str, name: str, part: ItemRange | None
) -> None:
    config, rows = config_of(variant), yesterday()
    stored = stored_weights(trained(config, history(rows), ITEMS).scoring_weights())
    after = history(today(rows, CHANGED))
    new = carried(config, stored, CHANGED, after, items=part).get_parameter(name).detach()
    of_item = None if config.latent is None else np.arange(31) % config.latent.C
    initial = build_model(config, 31, of_item, after, part).get_parameter(name).detach()
    before = CHANGED.items if part is None else CHANGED.items[part.columns]
    np.testing.assert_array_equal(new[before < 0], initial[before < 0])
    np.testing.assert_array_equal(new[before >= 0], stored[name][before[before >= 0]])


def test_weights_are_shrunk_towards_initial_ones() -> None:
    config, rows = config_of("t+masking"), yesterday()
    train = history(rows)
    old = trained(config, train, ITEMS)
    new = build_model(config, ITEMS, None, train)
    initial = new.V.detach().clone()
    places = Places(np.arange(ITEMS), np.arange(USERS))
    carry(new, stored_weights(old.scoring_weights()), places, share=0.75)
    wanted = 0.75 * old.V.detach() + 0.25 * initial
    torch.testing.assert_close(new.V.detach(), wanted)


def test_layers_of_item_groups_have_the_sizes_of_yesterday() -> None:
    config, rows = config_of("l"), yesterday()
    old = trained(config, history(rows), ITEMS, of_item=np.arange(ITEMS) % 3)
    stored = stored_weights(old.scoring_weights())
    after = history(today(rows, CHANGED))
    new = carried(config, stored, CHANGED, after)
    for c in range(3):
        name = f"vae.encoder.{c}.0.W"
        items = new.items_of(name, None)  # of group c, today
        known = CHANGED.items[items] >= 0
        row = CHANGED.items[items][known] // 3  # yesterday's item i was in row i // 3 of its group
        wanted = stored[name][row]
        np.testing.assert_array_equal(new.get_parameter(name).detach()[known], wanted)


def test_a_new_item_goes_to_the_group_that_its_users_like_most() -> None:
    groups = np.array([0, 0, 0, 1, 1])
    train = history([[0, 1, 5], [2, 3, 4, 5, 6], [3, 4, 6], [0, 1, 2]])
    items = np.array([0, 1, 2, 3, 4, -1, -1])
    # 6 of all 10 interactions with known items are of group 0. Item 5: users like 2/6 + 1/6 of
    # group 0, 2/4 of group 1, which are alike: the first. Item 6: 1/6 of group 0, 2/4 + 2/4.
    assert carried_groups(groups, items, train).tolist() == [0, 0, 0, 1, 1, 0, 1]


def test_other_sizes_are_refused() -> None:
    config, train = config_of("base"), history(yesterday())
    stored = stored_weights(trained(config, train, ITEMS).scoring_weights())
    wider = build_model(config.with_values({"dims": (9,)}), ITEMS, None, train)
    places = Places(np.arange(ITEMS), np.arange(USERS))
    with pytest.raises(UsageError, match="other shapes"):
        carry(wider, stored, places)


def test_a_model_of_which_not_all_is_stored_is_refused() -> None:
    config = preset("auto", "codigem", users=USERS).with_values({"dim": 6})
    train = history(yesterday())
    model = build_model(config, ITEMS, None, train)
    stored = stored_weights(model.scoring_weights())
    with pytest.raises(UsageError, match="not all is stored"):
        carry(model, stored, Places(np.arange(ITEMS), np.arange(USERS)))


def test_every_model_that_processes_share_is_carried_or_refused() -> None:
    shared = {name for name, row in MODELS.items() if row.parallel}
    assert shared == {"cdae", "codigem", "multidae", "multidae++", "multivae"}


def test_what_is_annealed_by_updates_is_at_its_end() -> None:
    config, train = config_of("multivae"), history(yesterday())
    model = build_model(config, ITEMS, None, train)
    stored = stored_weights(model.scoring_weights())
    carry(model, stored, Places(np.arange(ITEMS), np.arange(USERS)))
    assert float(model.updates) > config.comparator.beta_updates
