from math import isnan, log2

import numpy as np
import pytest

from diffrec_cli.data.sequences import Sequences
from diffrec_cli.errors import UsageError
from diffrec_cli.evaluation.metrics import METRICS, PER_USER, coverage, parse_metric, per_user
from tests import oracle

A, B, C, D, X, Y = range(6)


def sequences(*rows):
    lengths = [len(row) for row in rows]
    items = np.array([item for row in rows for item in row], np.int32)
    return Sequences.from_rows(np.repeat(np.arange(len(rows)), lengths), items, users=len(rows))


def of(ranked, relevant, k):
    """Return all metrics at k of one user."""
    values = per_user(np.array([ranked]), sequences(relevant), ks=(k,), names=PER_USER)
    return {name: values[f"{name}@{k}"][0] for name in PER_USER}


class TestHandWorked:
    def test_one_of_two_relevant_items_at_the_second_place(self):
        assert of([A, B, C], [B, X], 3) == pytest.approx(
            {
                "recall": 1 / 2,
                "precision": 1 / 3,
                "ndcg": (1 / log2(3)) / (1 + 1 / log2(3)),
                "mrr": 1 / 2,
                "hit": 1,
            }
        )

    def test_the_cut_off_hides_later_hits(self):
        expected = {"recall": 0, "precision": 0, "ndcg": 0, "mrr": 0, "hit": 0}
        assert of([A, B, C], [B, X], 1) == expected

    def test_a_perfect_list_has_an_ndcg_of_one_even_if_more_is_relevant_than_fits(self):
        assert of([C, A], [A, B, C, D], 2) == pytest.approx(
            {"recall": 2 / 4, "precision": 1, "ndcg": 1, "mrr": 1, "hit": 1}
        )

    def test_two_hits_at_the_first_and_third_place(self):
        assert of([A, X, B, Y], [B, A, D], 4) == pytest.approx(
            {
                "recall": 2 / 3,
                "precision": 2 / 4,
                "ndcg": (1 + 1 / log2(4)) / (1 + 1 / log2(3) + 1 / log2(4)),
                "mrr": 1,
                "hit": 1,
            }
        )

    def test_empty_places_and_missing_places_are_misses(self):
        for ranked in ([B, -1, -1], [B]):
            assert of(ranked, [B, A], 3) == pytest.approx(
                {
                    "recall": 1 / 2,
                    "precision": 1 / 3,
                    "ndcg": 1 / (1 + 1 / log2(3)),
                    "mrr": 1,
                    "hit": 1,
                }
            )

    def test_an_empty_place_is_not_the_last_item_of_the_user_before(self):
        values = per_user(np.array([[-1], [-1]]), sequences([Y], [Y]), ks=(1,), names=("hit",))
        assert values["hit@1"].tolist() == [0, 0]

    def test_items_of_another_user_do_not_count(self):
        values = per_user(np.array([[A], [B]]), sequences([B], [A]), ks=(1,), names=("hit",))
        assert values["hit@1"].tolist() == [0, 0]

    def test_a_recommended_item_above_all_relevant_ones_is_a_miss(self):
        assert of([1_000_000], [A], 1)["hit"] == 0


class TestShapes:
    def test_users_without_relevant_items_are_nan(self):
        values = per_user(np.array([[A], [A]]), sequences([], [A]), ks=(1,), names=PER_USER)
        for metric in values.values():
            assert isnan(metric[0])
            assert metric[1] == 1

    def test_without_any_relevant_item_all_are_nan_and_nothing_warns(self, recwarn):
        values = per_user(np.array([[A, B]]), sequences([]))
        assert list(values) == ["recall@10", "recall@20", "ndcg@10", "ndcg@20"]
        assert all(isnan(metric[0]) for metric in values.values())
        assert not recwarn.list

    @pytest.mark.parametrize("shape", [(0, 5), (2, 0)])
    def test_no_users_or_no_places_are_no_error(self, shape):
        truth = sequences(*[[A]] * shape[0])
        values = per_user(np.empty(shape, np.int64), truth, ks=(3,), names=PER_USER)
        assert all(metric.tolist() == [0] * shape[0] for metric in values.values())

    def test_int32_lists_of_many_users_and_items_do_not_overflow(self):
        users, items = 3_000, 2_000_000  # their product is above 2**32
        truth = sequences(*[[items - 1 - u] for u in range(users)])
        lists = np.array([[items - 1 - u] for u in range(users)], np.int32)
        assert per_user(lists, truth, ks=(1,), names=("hit",))["hit@1"].all()


@pytest.mark.parametrize("k", [1, 3, 10, 25])
def test_random_lists_agree_with_the_oracle(k):
    rng = np.random.default_rng(k)
    lists = np.array([rng.permutation(40)[:20] for _ in range(200)])
    lists[rng.random(lists.shape) < 0.1] = -1
    truth = [rng.permutation(40)[: rng.integers(1, 15)].tolist() for _ in range(200)]
    values = per_user(lists, sequences(*truth), ks=(k,), names=PER_USER)
    for user, relevant in enumerate(truth):
        for name, expected in oracle.metrics(lists[user].tolist(), set(relevant), k).items():
            assert values[f"{name}@{k}"][user] == pytest.approx(expected, abs=1e-12)


class TestNames:
    def test_every_metric_is_parsed(self):
        assert [parse_metric(f"{name}@20") for name in METRICS] == [(name, 20) for name in METRICS]

    @pytest.mark.parametrize(
        "text",
        [
            "ndcg",
            "ndcg@",
            "ndcg@0",
            "ndcg@-1",
            "ndcg@1.5",
            "auc@20",
            "@20",
            "ndcg@20 ",
            "ndcg@20@2",
        ],
    )
    def test_what_is_no_metric_is_a_usage_error_that_names_the_metrics(self, text):
        with pytest.raises(UsageError, match="not a metric") as caught:
            parse_metric(text)
        assert "recall" in caught.value.fix

    def test_an_unknown_name_or_cut_off_is_a_usage_error(self):
        for options in ({"names": ("auc",)}, {"ks": (0,)}):
            with pytest.raises(UsageError):
                per_user(np.array([[A]]), sequences([A]), **options)


def test_coverage_is_the_share_of_items_in_any_list():
    assert coverage(np.array([5, 0, 1, 0, 0])) == 2 / 5
    assert coverage(np.array([], np.int64)) == 0
