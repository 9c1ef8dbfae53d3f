"""Thirds of users and items, novelty and intervals, by hand."""

import numpy as np
import pytest

from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.sequences import Rows, Sequences
from diffrec_cli.evaluation.evaluate import evaluate
from diffrec_cli.evaluation.metrics import novelty
from diffrec_cli.evaluation.segments import item_thirds, user_thirds
from diffrec_cli.evaluation.significance import interval
from diffrec_cli.models.backend import NumpyBackend
from diffrec_cli.ranking import batches


def sequences(*lengths: int) -> Sequences:
    rows = np.repeat(np.arange(len(lengths)), lengths)
    return Sequences.from_rows(rows, np.arange(len(rows)), len(lengths))


def test_thirds_of_users_go_by_activity() -> None:
    train = sequences(5, 1, 9, 2, 7, 3)
    assert user_thirds(train, np.arange(6)).tolist() == [1, 0, 2, 0, 2, 1]
    assert user_thirds(train, np.array([0, 2, 4])).tolist() == [0, 2, 1]  # of these alone


def test_users_of_equal_activity_are_not_parted() -> None:
    assert user_thirds(sequences(4, 4, 4, 4), np.arange(4)).tolist() == [0, 0, 0, 0]


def test_thirds_of_items_hold_equal_shares_of_the_interactions() -> None:
    items = np.repeat([0, 1, 2, 3, 4], [6, 3, 3, 5, 1]).astype(np.int32)
    train = Sequences(np.array([0, 18]), items)
    assert item_thirds(train, 6).tolist() == [0, 1, 2, 1, 2, 2]  # 6; 5 + 3; 3 + 1; nobody's


def test_novelty_by_hand() -> None:
    lists = np.array([[0, 1, 2], [2, -1, -1], [-1, -1, -1]])
    found = novelty(lists, np.array([8, 4, 1]), users=8)
    np.testing.assert_allclose(found, [(0 + 1 + 3) / 3, 3, 0])


def test_an_item_that_nobody_has_is_as_novel_as_one_that_one_user_has() -> None:
    assert novelty(np.array([[0]]), np.array([0]), users=8).tolist() == [3.0]


class Ideal:
    """Gives every user the item after his last one."""

    backend = NumpyBackend()

    def __init__(self, n_items: int) -> None:
        self.n_items = n_items

    def scores(self, rows: Rows) -> np.ndarray:
        scores = np.zeros((len(rows), self.n_items), np.float32)
        scores[np.arange(len(rows)), (rows.items[rows.indptr[1:] - 1] + 1) % self.n_items] = 1
        return scores


def test_groups_of_an_evaluation_by_hand(checkerboard: Dataset) -> None:
    from dataclasses import replace

    def part(*pairs: tuple[int, int]) -> Sequences:
        rows, items = np.array(pairs).T
        return Sequences.from_rows(rows, items, users=3)

    tiny = replace(
        checkerboard,
        user_ids=type(checkerboard.user_ids)(["a", "b", "c"]),
        item_table=checkerboard.item_table.slice(0, 6),
        train=part((0, 0), (1, 4), (1, 0), (2, 1), (2, 3), (2, 0)),
        valid=part((0, 5), (1, 5), (2, 5)),
        test=part((0, 1), (1, 2), (2, 1), (2, 4)),
    )
    found = evaluate(Ideal(6), tiny, "valid", ks=(1,), metrics=("recall",), grouped=True)
    assert found.values["recall@1"].tolist() == [0, 0, 0]
    users = [(g.name, g.size, g.least, g.most) for g in found.groups if g.of == "users"]
    assert users == [("few", 1, 1, 1), ("some", 1, 2, 2), ("many", 1, 3, 3)]
    tested = evaluate(Ideal(6), tiny, "test", ks=(1,), metrics=("recall",), grouped=True)
    # Item 0 is popular and in no truth; 1 is the middle; the others are rare.
    items = {g.name: (g.size, g.users, g.metrics["recall@1"]) for g in tested.groups[3:]}
    assert items == {"middle": (1, 2, 0.5), "rare": (4, 2, 0.0)}
    assert tested.values["recall@1"].tolist() == [1, 0, 0]


def test_an_interval_holds_the_mean_and_narrows_with_the_users() -> None:
    rng = np.random.default_rng(1)
    widths = []
    for n in (100, 10_000):
        values = rng.random(n)
        low, high = interval(values)
        assert low < values.mean() < high
        widths.append(high - low)
    # Of uniform numbers: 2 * 1.96 * sqrt(1/12) / sqrt(n).
    assert widths == pytest.approx([0.1132, 0.01132], rel=0.15)


def test_novelty_and_item_groups_are_the_same_in_batches_of_any_size(
    checkerboard: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured() -> tuple[dict[str, float], list[tuple[str, int, int]]]:
        asked = {"ks": (3,), "metrics": ("recall", "novelty", "coverage"), "grouped": True}
        found = evaluate(Ideal(40), checkerboard, "test", **asked)
        return found.means, [(g.name, g.least, g.most) for g in found.groups if g.of == "items"]

    together = measured()
    monkeypatch.setattr(batches, "_MAX_BATCH", 7)
    in_batches = measured()
    assert in_batches[0] == pytest.approx(together[0])
    assert in_batches[1] == together[1]
