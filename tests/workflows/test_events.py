"""What happened since: for one call, or stored as a new version without training."""

from pathlib import Path

import numpy as np
import pytest

from diffrec_cli import workflows
from diffrec_cli.config import ReadOptions, SplitOptions
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.errors import DataError, LockedError, NotFoundError, UsageError
from diffrec_cli.registry import versions as registry
from diffrec_cli.workflows.progress import Event, Note
from tests.workflows.conftest import Fit


def items(table) -> list[str]:
    return table["item"].to_pylist()


def scores(table) -> list[float]:
    return table["score"].to_pylist()


def ids(dataset: Dataset, user: int) -> list[str]:
    return dataset.item_ids.at(dataset.known.of(user))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """u7 gets two items, in the order of their times; somebody new comes; one item is nobody's."""
    path = tmp_path / "events.csv"
    path.write_text(
        "user,item,time\nu7,i02,20\nu7,i00,10\nnew,i01,1\nnew,i03,2\nu8,nothing,5\n", "utf-8"
    )
    return path


def test_events_are_the_newest_of_a_history(
    shop: str, checkerboard: Dataset, log: Path, tmp_path: Path
) -> None:
    notes: list[Event] = []
    told = workflows.recommend(shop, users=["u7"], events=log, k=5, listener=notes.append)
    by_hand = tmp_path / "history.txt"
    by_hand.write_text("\n".join([*ids(checkerboard, 7), "i00", "i02"]))
    given = workflows.recommend(shop, history=by_hand, k=5)
    first, second = told.table(), given.table()
    assert items(first) == items(second)
    assert scores(first) == scores(second)
    assert not {"i00", "i02"} & set(items(first))
    assert any("'nothing'" in note.text for note in notes if isinstance(note, Note))


def test_events_and_histories_may_have_columns_of_their_own(
    shop: str, log: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.csv"
    named = log.read_text("utf-8").replace("user,item,time", "who,what,when").replace(",", ";")
    other.write_text(named, "utf-8")
    read = ReadOptions(user_col="who", item_col="what", time_col="when")
    for asked in (
        {"users": ["u7", "new"], "events": log},
        {"history": log, "on_unknown": "skip"},
    ):
        said = {**asked, "read": read, "history" if "history" in asked else "events": other}
        first, second = (workflows.recommend(shop, k=5, **way).table() for way in (asked, said))
        assert first.equals(second)


def test_a_new_user_is_served_from_his_events(shop: str, log: Path) -> None:
    told = workflows.recommend(shop, users=["new", "u7"], events=log, k=5).table()
    assert told["user"].to_pylist() == ["new"] * 5 + ["u7"] * 5
    liked = workflows.recommend(shop, like=["i01", "i03"], k=5).table()
    assert items(told)[:5] == items(liked)
    with pytest.raises(NotFoundError, match="'new'"):
        workflows.recommend(shop, users=["new"], k=5)


def test_without_events_of_a_user_nothing_changes_for_him(shop: str, log: Path) -> None:
    plain = workflows.recommend(shop, users=["u3"], k=5).table()
    assert plain.equals(workflows.recommend(shop, users=["u3"], events=log, k=5).table())


def test_what_is_known_already_changes_nothing_and_is_told(
    shop: str, checkerboard: Dataset, tmp_path: Path
) -> None:
    log, notes = tmp_path / "old.csv", []
    log.write_text(f"user,item\nu7,{ids(checkerboard, 7)[0]}\n")
    told = workflows.recommend(shop, users=["u7"], events=log, k=5, listener=notes.append)
    assert told.table().equals(workflows.recommend(shop, users=["u7"], k=5).table())
    assert "1 events are known already" in notes[0].text


def test_low_ratings_are_no_likes(fit: Fit, tmp_path: Path) -> None:
    rated = tmp_path / "rated.csv"
    rows = [f"u{u},i{i},{5 - (u + i) % 3},{u + i}\n" for u in range(12) for i in range(u % 4, 12)]
    rated.write_text("user,item,rating,time\n" + "".join(rows))
    model = workflows.fit(
        rated, variant="base", values={"epochs": 1, "dims": (4,)}, device="cpu"
    ).model
    low, notes = tmp_path / "low.csv", []
    low.write_text("user,item,rating,time\nnew,i1,2,1\nnew,i3,5,2\n")
    told = workflows.recommend(model, users=["new"], events=low, k=3, listener=notes.append)
    liked = workflows.recommend(model, like=["i3"], k=3).table()
    assert items(told.table()) == items(liked)
    assert "1 rows of ratings below 4" in notes[0].text


def test_events_go_with_known_users_only(shop: str, log: Path) -> None:
    with pytest.raises(UsageError, match="--events"):
        workflows.recommend(shop, like=["i01"], events=log)


def test_items_without_users_are_no_events(shop: str, tmp_path: Path) -> None:
    (tmp_path / "items.txt").write_text("i01\ni02\n")
    with pytest.raises(DataError, match="no users"):
        workflows.recommend(shop, users=["u7"], events=tmp_path / "items.txt")


def test_an_update_gives_the_lists_that_the_events_would(shop: str, log: Path) -> None:
    for_this_call = workflows.recommend(shop, users=["u7", "new"], events=log, k=5).table()
    updated = workflows.update(shop, log)
    assert (updated.before, updated.model) == (shop, f"{shop.split('@')[0]}@2")
    assert (updated.events, updated.users, updated.new_users) == (4, 2, 1)
    stored = workflows.recommend(updated.model, users=["u7", "new"], k=5).table()
    assert stored.equals(for_this_call)
    everyone = workflows.recommend(updated.model, all_users=True, k=1).table()
    assert everyone.num_rows == 61
    registry.verify(updated.model).require_ok()
    assert registry.resolve(None).record.reference == updated.model


def test_updates_add_up(shop: str, log: Path, tmp_path: Path) -> None:
    more = tmp_path / "more.csv"
    more.write_text("user,item\nnew,i05\nlater,i02\n")
    first = workflows.update(shop, log)
    second = workflows.update(first.model, more)
    assert (second.events, second.users, second.new_users) == (2, 2, 1)
    dataset = registry.resolve(second.model).dataset()
    (new, later) = dataset.user_ids.indices(["new", "later"])
    assert dataset.item_ids.at(dataset.known.of(new)) == ["i01", "i03", "i05"]
    assert dataset.item_ids.at(dataset.known.of(later)) == ["i02"]
    assert [line["events"] for line in dataset.source["updates"]] == [4, 2]


def test_an_update_changes_neither_weights_nor_metrics(shop: str, log: Path) -> None:
    updated = workflows.update(shop, log).model
    before, after = (registry.resolve(model) for model in (shop, updated))
    for name, array in before.weights().items():
        np.testing.assert_array_equal(array, after.weights()[name])
    first, second, *_ = workflows.evaluate([shop, updated], device="cpu").results
    assert first.evaluation.means == second.evaluation.means


def test_an_update_of_another_version_leaves_the_default_alone(fit: Fit, log: Path) -> None:
    old, new = fit("t"), fit("base")
    workflows.update(old, log)
    assert registry.resolve(None).record.reference == new


def test_events_change_the_lists_of_a_model_of_user_vectors(fit: Fit, log: Path) -> None:
    model = fit("cdae", dim=8)
    options = {"users": ["u7"], "k": 40, "include_seen": True}
    before = workflows.recommend(model, **options).table()
    after = workflows.recommend(model, events=log, **options).table()
    assert scores(before) != scores(after)
    updated = workflows.update(model, log).model
    assert scores(workflows.recommend(updated, **options).table()) == scores(after)


def test_everyone_includes_who_came_with_the_events(shop: str, log: Path) -> None:
    lists = workflows.recommend(shop, all_users=True, events=log, k=2)
    assert lists.users == 61
    table = lists.table()
    users = table["user"].to_pylist()
    assert users == sorted(users)
    alone = workflows.recommend(shop, users=["new"], events=log, k=2).table()
    mine = [row["item"] for row in table.to_pylist() if row["user"] == "new"]
    assert mine == items(alone)


def test_of_whom_no_item_is_known_nothing_is_known(shop: str, tmp_path: Path) -> None:
    log = tmp_path / "odd.csv"
    log.write_text("user,item\nodd,nothing\nnew,i01\n")
    with pytest.raises(NotFoundError, match="'odd'"):
        workflows.recommend(shop, users=["odd"], events=log)
    updated = workflows.update(shop, log)
    assert (updated.users, updated.new_users) == (1, 1)


@pytest.mark.parametrize("text", ["", "user,item,time\n", "user,item\nu7,nothing\n"])
def test_a_quiet_night_is_told_and_goes_on(shop: str, tmp_path: Path, text: str) -> None:
    log, notes = tmp_path / "quiet.csv", []
    log.write_text(text)
    lists = workflows.recommend(shop, users=["u7"], events=log, k=5, listener=notes.append)
    assert lists.table().equals(workflows.recommend(shop, users=["u7"], k=5).table())
    assert any("no events of items that are known" in n.text for n in notes if isinstance(n, Note))
    with pytest.raises(DataError, match="nothing that"):
        workflows.update(shop, log)


def test_an_update_does_not_lose_another(
    shop: str, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from diffrec_cli.workflows import update_model

    read_events = update_model.read_events

    def read_while_another_updates(*arguments):
        monkeypatch.setattr(update_model, "read_events", read_events)
        workflows.update(shop, log)
        return read_events(*arguments)

    monkeypatch.setattr(update_model, "read_events", read_while_another_updates)
    with pytest.raises(LockedError, match="in the meantime"):
        workflows.update(shop, log)
    assert len(registry.list_models()) == 2


def test_a_damaged_default_does_not_keep_another_model_from_an_update(fit: Fit, log: Path) -> None:
    model, default = fit("t"), fit("base")
    (registry.resolve(default).path / "model.json").write_text("{")
    assert workflows.update(model, log).before == model


def test_nothing_new_is_no_update(shop: str, checkerboard: Dataset, tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text(f"user,item\nu7,{ids(checkerboard, 7)[0]}\n")
    with pytest.raises(DataError, match="nothing that"):
        workflows.update(shop, tmp_path / "old.csv")
    assert len(registry.list_models()) == 1


def test_a_newcomer_to_a_model_of_user_vectors_is_a_stranger(fit: Fit, log: Path) -> None:
    model = fit("cdae", dim=8)
    updated = workflows.update(model, log).model
    known = workflows.recommend(updated, users=["new"], k=5).table()
    liked = workflows.recommend(model, like=["i01", "i03"], k=5).table()
    assert items(known) == items(liked)


def test_events_are_read_as_the_log_of_the_model_was(tmp_path: Path) -> None:
    header = "shopper;stock_code;stars;when\n"
    pairs = ("ann a", "ann b", "bob a", "bob c", "cat b", "cat c")
    lines = [f"{user};{item};5;{n}\n" for n, (user, item) in enumerate(map(str.split, pairs))]
    log, today = tmp_path / "shop.csv", tmp_path / "today.csv"
    log.write_text(header + "".join(lines))
    today.write_text(header + "ann;c;5;1700009000\nbob;b;1;1700009001\n")
    read = ReadOptions("shopper", "stock_code", "stars", "when")
    split = SplitOptions(ratios=(1, 0, 0))
    workflows.prepare([log], name="columns", read=read, split=split)
    fitted = workflows.fit("columns", variant="popularity", name="columns")
    assert items(workflows.recommend(fitted.model, users=["ann"], k=1).table()) == ["c"]
    updated = workflows.update(fitted.model, today)
    assert (updated.events, updated.users) == (1, 1)  # bob's is below the threshold
    other = tmp_path / "other.csv"
    other.write_text("who,what\nbob,b\n")
    updated = workflows.update(updated.model, other, read=ReadOptions("who", "what"))
    assert updated.events == 1
