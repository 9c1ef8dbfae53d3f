"""One model in memory answers many requests at once, each as `recommend` would."""

import gc
import weakref

import numpy as np
import pytest

from diffrec_cli import workflows
from diffrec_cli.errors import NotFoundError, UsageError
from diffrec_cli.registry import versions as registry
from diffrec_cli.workflows.serving.model_in_memory import Answer, Ask, ModelInMemory, Wanted

HISTORY = ("i00", "i02", "i04")


@pytest.fixture
def model(shop: str) -> ModelInMemory:
    return ModelInMemory(registry.resolve(shop))


def for_user(user: str, **wanted: object) -> Ask:
    return Ask(user, (), Wanted(**wanted))


def for_history(*items: str, **wanted: object) -> Ask:
    return Ask(None, items, Wanted(**wanted))


def same(answer: Answer | Exception, rows: list[dict]) -> bool:
    """Tell whether rows are the same, with scores equal to six digits."""
    assert isinstance(answer, Answer), answer
    plain = [{**row, "score": 0} for row in rows]
    assert [{**row, "score": 0} for row in answer.rows] == plain
    return np.allclose([r["score"] for r in answer.rows], [r["score"] for r in rows], rtol=1e-6)


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"k": 3, "titles": True},
        {"k": 3, "where": "title contains 7"},
        {"k": 5, "allow": ("i01", "i03", "i05"), "block": ("i03",)},
        {"k": 4, "include_seen": True},
    ],
    ids=str,
)
def test_a_user_gets_what_recommend_gives(
    model: ModelInMemory, shop: str, wanted: dict[str, object]
) -> None:
    (answer,) = model.answers([for_user("u7", **wanted)])
    assert same(answer, workflows.recommend(shop, users=["u7"], **wanted).table().to_pylist())


def test_a_history_gets_what_recommend_gives(model: ModelInMemory, shop: str, tmp_path) -> None:
    (tmp_path / "history").write_text("\n".join(HISTORY))
    (answer,) = model.answers([for_history(*HISTORY, k=4)])
    expected = workflows.recommend(shop, history=tmp_path / "history", k=4).table().to_pylist()
    assert same(answer, expected)


def test_reasons_are_those_of_recommend(model: ModelInMemory, shop: str) -> None:
    (answer,) = model.answers([for_user("u7", k=2, why=True)])
    (row, _) = workflows.recommend(shop, users=["u7"], k=2, why=True).table().to_pylist()
    assert isinstance(answer, Answer)
    because = answer.rows[0]["because"]
    assert [reason["item"] for reason in because] == [reason["item"] for reason in row["because"]]


def test_requests_of_all_kinds_at_once_get_what_they_get_alone(model: ModelInMemory) -> None:
    asks = [
        for_history("i01", "i03"),
        for_user("u1"),
        for_user("u2", k=3),
        for_user("u1", titles=True, k=2),
        for_user("u1"),
        for_history("i02", k=3),
    ]
    for ask, answer in zip(asks, model.answers(asks), strict=True):
        (alone,) = model.answers([ask])
        assert isinstance(alone, Answer)
        assert same(answer, alone.rows)


def test_one_that_cannot_be_answered_leaves_the_others_theirs(model: ModelInMemory) -> None:
    asks = [
        for_user("nobody"),
        for_user("u1"),
        for_history("nothing", "known"),
        for_history("i01", "nothing"),
        for_user("u1", where="colour = red"),
        for_user("u1", k=41),
    ]
    nobody, user, unknown, history, condition, too_many = model.answers(asks)
    assert isinstance(nobody, NotFoundError)
    assert nobody.what == "unknown user 'nobody'"
    assert isinstance(unknown, NotFoundError)
    assert isinstance(condition, UsageError)
    assert isinstance(too_many, UsageError)
    assert too_many.what == "k 41: larger than the catalogue of 40 items"
    assert isinstance(user, Answer)
    assert {row["user"] for row in user.rows} == {"u1"}
    assert isinstance(history, Answer)
    assert history.unknown_items == ["nothing"]


def test_a_request_that_breaks_the_ranking_breaks_its_own_answer_alone(
    model: ModelInMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = model.histories.named

    def fails(ids):
        if "u2" in ids:
            raise ZeroDivisionError
        return named(ids)

    monkeypatch.setattr(model.histories, "named", fails)
    first, second, third = model.answers([for_user("u1"), for_user("u2"), for_user("u3")])
    assert isinstance(second, ZeroDivisionError)
    assert isinstance(first, Answer)
    assert isinstance(third, Answer)


def test_a_user_who_may_get_nothing_gets_an_empty_list(model: ModelInMemory) -> None:
    mine = [row["item"] for row in _all_of(model, "u4", include_seen=True)]
    new = {row["item"] for row in _all_of(model, "u4")}
    seen = tuple(item for item in mine if item not in new)
    empty, other = model.answers([for_user("u4", allow=seen), for_user("u5", allow=seen)])
    assert isinstance(empty, Answer)
    assert empty.rows == []
    assert isinstance(other, Answer)
    assert {row["item"] for row in other.rows} <= set(seen)


def _all_of(model: ModelInMemory, user: str, **wanted: object) -> list[dict]:
    (answer,) = model.answers([for_user(user, k=40, **wanted)])
    assert isinstance(answer, Answer)
    return answer.rows


def test_a_model_that_is_replaced_is_freed_at_once(shop: str) -> None:
    model = ModelInMemory(registry.resolve(shop))
    model.answers([for_user("u1", k=2)])
    gone = weakref.ref(model._maker(Wanted(k=2)))
    gc.disable()
    try:
        del model
        assert gone() is None
    finally:
        gc.enable()


def test_scores_that_are_no_numbers_are_found_before_anyone_asks(shop: str) -> None:
    from dataclasses import replace

    from diffrec_cli.errors import CorruptError

    artifact = registry.resolve(shop)
    weights = {name: np.full_like(array, np.nan) for name, array in artifact.weights().items()}
    record = replace(artifact.record, packages={}, files={})
    forged = registry.publish(record, weights, artifact.dataset(), [])
    with pytest.raises(CorruptError, match="not finite"):
        ModelInMemory(forged)
