"""Kinds of events, buying again and new items, from the command line."""

import csv
import io
import json
import math
from pathlib import Path

import pytest

from tests.cli.conftest import Cli


@pytest.fixture
def shop(cli: Cli, tmp_path: Path) -> Path:
    """Return a log of views, carts and purchases."""
    path = tmp_path / "shop.csv"
    sizes = ("--users", 80, "--items", 60, "--interactions", 2400)
    assert cli("data", "sample", path, *sizes, "--events").code == 0
    return path


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_kinds_are_told_only_if_they_are_read(cli: Cli, shop: Path) -> None:
    unread = cli("prepare", shop, "--dry-run")
    assert "not used: 'event'; --event-col event reads kinds of events" in unread.err
    assert "events" not in json.loads(unread.out)
    read = cli("prepare", shop, "--dry-run", "--event-weights", "view=.2,cart=.5")
    counts = json.loads(read.out)["events"]
    said = f"events: cart {counts['cart']:,} (of strength 0.5), purchase {counts['purchase']:,},"
    assert said in read.err
    assert sum(counts.values()) == len(rows(shop.read_text()))


@pytest.mark.parametrize(
    ("options", "code", "what"),
    [
        (("--event-kinds", "buy"), 3, "the log has cart "),
        (("--event-weights", "view=-1"), 2, "event_weights = view=-1"),
        (("--event-col", "kind"), 3, "it has the columns 'user', 'item', 'event', 'timestamp'"),
        (("--weight-col", "plays"), 3, "it has the columns 'user', 'item', 'event', 'timestamp'"),
        (("--target", "buy"), 3, "the log has cart "),
        (("--target", "purchase", "--repeats", "last"), 2, "target needs the others"),
    ],
)
def test_wrong_names_and_weights_are_refused(cli: Cli, shop: Path, options, code, what) -> None:
    found = cli("prepare", shop, "--dry-run", *options)
    assert found.code == code
    assert what in found.err


def test_a_model_of_weighted_events_reads_new_ones_so_too(cli: Cli, shop: Path, tmp_path) -> None:
    weights = ("--event-weights", "view=.2,cart=.5", "--target", "purchase")
    assert cli("fit", shop, "--variant", "ease", *weights).code == 0
    liked = rows(shop.read_text())[0]["item"]
    lists = []
    for kind in ("view", "purchase"):
        events = tmp_path / f"{kind}.csv"
        events.write_text(f"user,item,event\nme,{liked},{kind}\n")
        found = cli("recommend", "--history", events, "-k", 3)
        assert found.code == 0, found.err
        lists.append([float(row["score"]) for row in rows(found.out)])
    assert lists[0] == pytest.approx([0.2 * score for score in lists[1]], rel=1e-4)


def test_what_is_bought_again_is_measured_and_recommended(cli: Cli, tmp_path: Path) -> None:
    log = tmp_path / "again.csv"
    sizes = ("--users", 80, "--items", 60, "--interactions", 1600)
    assert cli("data", "sample", log, *sizes, "--repeat-share", 0.4).code == 0
    assert len(rows(log.read_text())) == round(1600 / 0.6)
    assert cli("fit", log, "--variant", "repeat", "--repeats", "keep").code == 0
    again, new = cli("eval", "-f", "csv"), cli("eval", "--exclude-seen", "-f", "csv")
    assert "lists have all items" in again.err
    assert "lists leave out what users had before" in new.err
    first, other = (float(rows(text.out)[0]["metrics.recall@20"]) for text in (again, new))
    assert first > other
    assert "--include-seen has it too" in cli("recommend", "--user", "u0001").err
    assert "(--include-seen)" in cli("recommend", "--user", "u0001", "--include-seen").err


def test_new_items_get_a_place(cli: Cli, sample, tmp_path: Path) -> None:
    assert cli("fit", sample[0], "--items", sample[1], "--variant", "ease").code == 0
    table = tmp_path / "new.csv"
    table.write_text("item,title,genre,year\nfresh,The Golden Tiger,Drama,1999\n")
    (tmp_path / "only.txt").write_text("fresh\n")
    limits = ("--new-items", table, "--item-features", "genre,year", "--allow")
    found = cli("recommend", "--user", "u0001", *limits, tmp_path / "only.txt", "-k", 1)
    assert [row["item"] for row in rows(found.out)] == ["fresh"]
    assert "1 new items; alike by genre (" in found.err
    assert "new items are placed by " in found.err
    updated = cli("update", "ratings-ease", "--items", table, "-f", "json")
    assert json.loads(updated.out)["new_items"] == 1
    assert cli("models", "verify", "ratings-ease").code == 0
    titles = cli(
        "recommend", "--user", "u0001", "--allow", tmp_path / "only.txt", "--titles", "-k", 1
    )
    assert rows(titles.out)[0]["title"] == "The Golden Tiger"
    (tmp_path / "today.csv").write_text("user,item\nu0001,fresh\nnova,fresh\n")
    assert cli("update", "ratings-ease", tmp_path / "today.csv").code == 0
    popular = rows(cli("recommend", "--user", "nova", "-k", 3).out)  # has nothing that is read
    assert float(popular[0]["score"]) >= float(popular[2]["score"]) > 1
    after = cli("recommend", "--user", "u0001", "-k", 60)
    assert "fresh" not in [row["item"] for row in rows(after.out)]


def test_new_items_are_refused_without_news_or_a_table(cli: Cli, sample) -> None:
    assert cli("fit", sample[0], "--items", sample[1], "--variant", "pop").code == 0
    none = cli("update", "ratings-pop")
    assert (none.code, "nothing to add" in none.err) == (2, True)
    known = cli("update", "ratings-pop", "--items", sample[1])
    assert (known.code, "the model knows all of its items" in known.err) == (3, True)
    wrong = cli(
        "recommend", "--user", "u0001", "--new-items", sample[1], "--item-features", "brand"
    )
    assert wrong.code == 3


def test_what_is_viewed_later_may_still_be_recommended(cli: Cli, shop: Path, tmp_path) -> None:
    weights = ("--event-weights", "view=.2,cart=.5", "--target", "purchase")
    assert cli("fit", shop, "--variant", "ease", *weights).code == 0
    before = [row["item"] for row in rows(cli("recommend", "--user", "u0001", "-k", 60).out)]
    (tmp_path / "today.csv").write_text(
        f"user,item,event\nu0001,{before[0]},view\nu0001,{before[1]},purchase\n"
    )
    assert cli("update", "shop-ease", tmp_path / "today.csv").code == 0
    after = [row["item"] for row in rows(cli("recommend", "--user", "u0001", "-k", 60).out)]
    assert set(before) - set(after) == {before[1]}


def test_kinds_in_a_column_of_another_name_are_read(cli: Cli, shop: Path, tmp_path) -> None:
    assert cli("fit", shop, "--variant", "pop", "--event-kinds", "purchase").code == 0
    (tmp_path / "views.csv").write_text("user,item,event_type\nu0001,i0001,view\n")
    found = cli("update", "shop-pop", tmp_path / "views.csv")
    assert (found.code, "no row counts" in found.err) == (3, True)
    (tmp_path / "plain.csv").write_text("user,item\nnova,i0001\n")
    plain = cli("update", "shop-pop", tmp_path / "plain.csv")
    assert "no column of kinds of events, so all rows count in full" in plain.err


def test_purchases_since_the_fit_add_up_where_repeats_are_kept(cli: Cli, tmp_path: Path) -> None:
    log = tmp_path / "k.csv"
    lines = [f"{u},{i},{t}" for u in "abc" for t, i in enumerate("xwyzxyzxxy")]
    log.write_text("\n".join(["user,item,time", *lines]) + "\n")
    assert cli("fit", log, "--variant", "repeat", "--repeats", "keep").code == 0
    (tmp_path / "new.csv").write_text("user,item,time\n" + "b,w,20\nb,w,21\nb,w,22\n")
    scores = []
    for _ in range(2):
        assert cli("update", "k-repeat", tmp_path / "new.csv").code == 0
        found = rows(cli("recommend", "--user", "b", "--include-seen", "-k", 4).out)
        scores.append({row["item"]: float(row["score"]) for row in found}["w"])
    # Once in the log, and three times a day: 1 + log2(1 + 4), 1 + log2(1 + 7).
    assert scores == pytest.approx([1 + math.log2(5), 1 + math.log2(8)], rel=1e-5)


def test_the_table_of_new_items_may_tell_of_known_ones(cli: Cli, sample, tmp_path: Path) -> None:
    assert cli("fit", sample[0], "--variant", "ease").code == 0
    table = tmp_path / "all.csv"
    table.write_text(sample[1].read_text() + "fresh,The Golden Tiger,Drama,1999\n")
    found = cli("update", "ratings-ease", "--items", table, "--item-features", "genre")
    assert found.code == 0, found.err
    alone = tmp_path / "alone.csv"
    alone.write_text("item,brand\nother,Acme\n")
    refused = cli("update", "ratings-ease", "--items", alone, "--item-features", "brand")
    assert (refused.code, "nothing is known of the known items" in refused.err) == (3, True)


def test_models_with_new_items_say_what_they_cannot(cli: Cli, sample, tmp_path: Path) -> None:
    values = ("--epochs", 2, "--set", "dims=8")
    assert cli("fit", sample[0], "--items", sample[1], "--variant", "base", *values).code == 0
    similar = cli("similar", "i0003", "-k", 3).out
    table = tmp_path / "new.csv"
    table.write_text("item,title,genre,year\nfresh,The Golden Tiger,Drama,1999\n")
    assert cli("update", "ratings-base", "--items", table).code == 0
    assert cli("similar", "i0003", "-k", 3).out == similar
    new = cli("similar", "fresh")
    assert (new.code, "'fresh' came after it was trained" in new.err) == (2, True)
    written = cli("export", "ratings-base", "--vectors", tmp_path / "vectors")
    assert (written.code, json.loads(written.out)["items"]) == (0, 60)
    assert "1 items came after the fit and have no vectors" in written.err
    diverse = cli("recommend", "--user", "u0001", "--diversity", ".3")
    assert (diverse.code, "came after the model was trained" in diverse.err) == (2, True)
    liked = cli("recommend", "--user", "u0001", "--like", "fresh")
    assert (liked.code, "move no list" in liked.err) == (2, True)
    both = cli("recommend", "--user", "u0001", "--like", "fresh", "--like", "i0003", "-k", 3)
    assert both.code == 0


def test_new_items_without_a_valid_part_come_last(cli: Cli, sample, tmp_path: Path) -> None:
    said = ("--items", sample[1], "--variant", "ease", "--ratios", "8:0:2")
    assert cli("fit", sample[0], *said).code == 0
    table = tmp_path / "new.csv"
    table.write_text("item,title,genre,year\nfresh,The Golden Tiger,Drama,1999\n")
    found = cli("update", "ratings-ease", "--items", table, "--item-features", "genre,year")
    assert (found.code, "there is no valid part to find one by" in found.err) == (0, True)
    alone = cli("update", "ratings-ease", table, "--item-features", "genre")
    assert (alone.code, "--item-features goes with --items" in alone.err) == (2, True)
