"""``diffrec recommend``."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from diffrec_cli.data import store
from tests.cli.conftest import Cli

pytestmark = pytest.mark.usefixtures("fitted")


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def known_items(user: str) -> set[str]:
    dataset = store.load("ratings")
    (index,) = dataset.user_ids.indices([user])
    return set(dataset.item_ids.at(dataset.known.of(index)))


def test_piped_it_prints_csv(cli: Cli) -> None:
    outcome = cli("recommend", "--user", "u0001", "-k", 5)
    assert outcome.out.splitlines()[0] == "user,rank,item,score"
    lists = rows(outcome.out)
    assert [row["rank"] for row in lists] == ["1", "2", "3", "4", "5"]
    assert {row["user"] for row in lists} == {"u0001"}
    scores = [float(row["score"]) for row in lists]
    assert scores == sorted(scores, reverse=True)
    assert not {row["item"] for row in lists} & known_items("u0001")


def test_titles_are_a_column_more(cli: Cli) -> None:
    (row,) = rows(cli("recommend", "--user", "u0001", "-k", 1, "--titles").out)
    dataset = store.load("ratings")
    assert row["title"] == dataset.titles(dataset.item_ids.indices([row["item"]]))[0]


def test_several_users_keep_their_order(cli: Cli) -> None:
    lists = rows(cli("recommend", "-u", "u0003", "-u", "u0001", "-k", 2).out)
    assert [row["user"] for row in lists] == ["u0003", "u0003", "u0001", "u0001"]


def test_users_may_come_from_a_file(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "users.txt").write_text("u0002\r\nu0005\n")
    lists = rows(cli("recommend", "--users", tmp_path / "users.txt", "-k", 1).out)
    assert [row["user"] for row in lists] == ["u0002", "u0005"]


def test_all_users_get_exactly_k_items_and_the_same_as_alone(cli: Cli) -> None:
    together = rows(cli("recommend", "--all-users", "-k", 3).out)
    assert len(together) == 3 * store.load("ratings").n_users
    alone = rows(cli("recommend", "--user", "u0007", "-k", 3).out)
    mine = [row for row in together if row["user"] == "u0007"]
    assert [row["item"] for row in mine] == [row["item"] for row in alone]


def test_everything_that_remains_is_the_longest_list(cli: Cli) -> None:
    n_items = store.load("ratings").n_items
    lists = rows(cli("recommend", "--user", "u0001", "-k", n_items).out)
    assert len(lists) == n_items - len(known_items("u0001"))


def test_seen_items_on_request(cli: Cli) -> None:
    n_items = store.load("ratings").n_items
    lists = rows(cli("recommend", "--user", "u0001", "-k", n_items, "--include-seen").out)
    assert len(lists) == n_items


def test_unknown_users_can_be_skipped_or_served_what_is_popular(cli: Cli) -> None:
    skipped = cli("recommend", "-u", "who", "-u", "u0001", "-k", 1, "--on-unknown", "skip")
    assert [row["user"] for row in rows(skipped.out)] == ["u0001"]
    assert "'who'" in skipped.err
    popular = cli("recommend", "-u", "who", "-u", "u0001", "-k", 1, "--on-unknown", "popular")
    first, second = rows(popular.out)
    dataset = store.load("ratings")
    counts = [0] * dataset.n_items
    for item in dataset.known.items:
        counts[item] += 1
    assert first["item"] == dataset.item_ids.at([counts.index(max(counts))])[0]
    alone = rows(cli("recommend", "-u", "u0001", "-k", 1).out)
    assert second["item"] == alone[0]["item"]


def test_only_unknown_users_skipped_leaves_the_header(cli: Cli) -> None:
    outcome = cli("recommend", "-u", "who", "--on-unknown", "skip")
    assert (outcome.code, outcome.out) == (0, "user,rank,item,score\n")


def test_a_history_of_one_item_a_line(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "history.txt").write_text("i0003\ni0005\nnothing\n")
    outcome = cli("recommend", "--history", tmp_path / "history.txt", "-k", 4)
    assert {row["user"] for row in rows(outcome.out)} == {"history"}
    assert not {"i0003", "i0005"} & {row["item"] for row in rows(outcome.out)}
    assert "'nothing'" in outcome.err
    liked = cli("recommend", "--like", "i0003", "--like", "i0005", "-k", 4)
    assert [r["item"] for r in rows(liked.out)] == [r["item"] for r in rows(outcome.out)]


def test_histories_of_several_users_in_time_order(cli: Cli, tmp_path: Path) -> None:
    log = "user,item,time\nann,i0003,9\nbob,i0001,1\nann,i0005,2\n"
    (tmp_path / "history.csv").write_text(log)
    lists = rows(cli("recommend", "--history", tmp_path / "history.csv", "-k", 3).out)
    assert [row["user"] for row in lists] == ["ann"] * 3 + ["bob"] * 3
    (tmp_path / "ann.txt").write_text("i0005\ni0003\n")  # the order matters to this model
    alone = rows(cli("recommend", "--history", tmp_path / "ann.txt", "-k", 3).out)
    assert [row["item"] for row in alone] == [row["item"] for row in lists[:3]]


def test_only_allowed_items_and_no_blocked_ones(cli: Cli, tmp_path: Path) -> None:
    free = [r["item"] for r in rows(cli("recommend", "--user", "u0001", "-k", 6).out)]
    (tmp_path / "allow.txt").write_text("\n".join(free))
    (tmp_path / "block.txt").write_text("\n".join([free[0], "nothing"]))
    options = ["--allow", tmp_path / "allow.txt", "--block", tmp_path / "block.txt"]
    outcome = cli("recommend", "--user", "u0001", "-k", 6, *options)
    assert [row["item"] for row in rows(outcome.out)] == free[1:]
    assert "'nothing'" in outcome.err


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_files_hold_what_stdout_would(cli: Cli, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"recs.{suffix}"
    outcome = cli("recommend", "--all-users", "-k", 2, "--titles", "--out", out)
    assert (outcome.code, outcome.out) == (0, "")
    expected = [
        json.loads(line)
        for line in cli(
            "recommend", "--all-users", "-k", 2, "--titles", "--format", "jsonl"
        ).out.splitlines()
    ]
    if suffix == "csv":
        found = [
            {**row, "rank": int(row["rank"]), "score": pytest.approx(float(row["score"]), rel=1e-6)}
            for row in rows(out.read_text())
        ]
    elif suffix == "jsonl":
        found = [json.loads(line) for line in out.read_text().splitlines()]
    else:
        found = pq.read_table(out).to_pylist()
    assert expected == found
    assert sorted(tmp_path.glob("*.*")) == [out]


def test_out_may_be_stdout(cli: Cli) -> None:
    assert cli("recommend", "-u", "u0001", "-k", 1, "--out", "-").out.startswith("user,rank")


def test_a_chosen_model_and_the_environments(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("recommend", "-u", "u0001", "--model", "shop@1").code == 0
    monkeypatch.setenv("DIFFREC_MODEL", "elsewhere")
    assert cli("recommend", "-u", "u0001").code == 4


def test_torch_and_numpy_agree(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from diffrec_cli.workflows.serving import list_maker

    on_numpy = rows(cli("recommend", "--all-users", "-k", 5).out)
    monkeypatch.setattr(list_maker, "_FEW_USERS", 0)
    on_torch = rows(cli("recommend", "--all-users", "-k", 5).out)
    assert [r["item"] for r in on_numpy] == [r["item"] for r in on_torch]


def test_ids_that_need_quotes_are_quoted(cli: Cli, tmp_path: Path) -> None:
    log = "user,item\n" + "".join(f'"Ünal, ""{n % 7}""",it;em {n % 11}\n' for n in range(60))
    (tmp_path / "odd.csv").write_text(log)
    assert (
        cli("fit", tmp_path / "odd.csv", "--epochs", 1, "-v", "base", "--set", "dims=4").code == 0
    )
    user = 'Ünal, "3"'
    lists = rows(cli("recommend", "--user", user, "-k", 2, "--include-seen").out)
    assert [row["user"] for row in lists] == [user, user]
    assert all(row["item"].startswith("it;em ") for row in lists)


def test_reasons_are_items_of_the_history(cli: Cli) -> None:
    options = ["--user", "u0001", "-k", 3, "--why", "--titles"]
    lists = [
        json.loads(line) for line in cli("recommend", *options, "-f", "jsonl").out.splitlines()
    ]
    for row in lists:
        assert {reason["item"] for reason in row["because"]} <= known_items("u0001")
        gains = [reason["gain"] for reason in row["because"]]
        assert gains == sorted(gains, reverse=True)
        assert min(gains) > 0
        assert all(reason["title"] for reason in row["because"])
    table = rows(cli("recommend", *options, "-f", "csv").out)
    assert [json.loads(row["because"]) for row in table] == [row["because"] for row in lists]
    shown = cli("recommend", *options, "-f", "table").out
    assert lists[0]["because"][0]["title"] in shown


def test_only_items_for_which_a_condition_holds(cli: Cli) -> None:
    n_items = store.load("ratings").n_items
    every = rows(cli("recommend", "-u", "u0001", "-k", n_items, "--titles").out)
    comedies = [row["item"] for row in every if "the" in row["title"].lower()]
    assert comedies
    condition = ["--where", "title contains THE"]
    outcome = cli("recommend", "-u", "u0001", "-k", n_items, "--titles", *condition)
    assert [row["item"] for row in rows(outcome.out)] == comedies
    assert "--where leave" in outcome.err  # fewer than asked for


def test_an_item_can_be_blocked_for_one_user(cli: Cli, tmp_path: Path) -> None:
    first = rows(cli("recommend", "-u", "u0001", "-k", 1).out)[0]["item"]
    (tmp_path / "block.csv").write_text(f"user,item\nu0001,{first}\nu0001,nothing\n")
    options = ["--block-for", tmp_path / "block.csv"]
    outcome = cli("recommend", "-u", "u0001", "-u", "u0002", "-k", 60, "--include-seen", *options)
    lists = rows(outcome.out)
    assert first not in {row["item"] for row in lists if row["user"] == "u0001"}
    assert first in {row["item"] for row in lists if row["user"] == "u0002"}
    assert "'nothing'" in outcome.err


def test_a_disliked_item_is_in_no_list_and_moves_the_others(cli: Cli) -> None:
    free = rows(cli("recommend", "-u", "u0001", "-k", 10).out)
    away = rows(cli("recommend", "-u", "u0001", "-k", 10, "--dislike", free[0]["item"]).out)
    assert free[0]["item"] not in {row["item"] for row in away}
    scores = {row["item"]: row["score"] for row in free}
    assert all(scores.get(row["item"]) != row["score"] for row in away)


def test_liked_items_move_the_lists_of_users_the_more_the_stronger(cli: Cli) -> None:
    def scores(*options: object) -> dict[str, float]:
        lists = rows(cli("recommend", "-u", "u0001", "-k", 60, "--include-seen", *options).out)
        return {row["item"]: float(row["score"]) for row in lists}

    plain, once = scores(), scores("--like", "i0003")
    half, none = (scores("--like", "i0003", "--strength", s) for s in (0.5, 0))
    assert none == plain
    for item, score in plain.items():
        assert half[item] - score == pytest.approx((once[item] - score) / 2, abs=1e-3)
    assert once != plain


def test_items_of_a_kind_move_lists_as_those_items_do(cli: Cli) -> None:
    def scores(*options: object) -> dict[str, float]:
        lists = rows(cli("recommend", "-u", "u0001", "-k", 60, "--include-seen", *options).out)
        return {row["item"]: float(row["score"]) for row in lists}

    kind = "id in (i0003, i0005)"
    named = scores("--like", "i0003", "--like", "i0005", "--strength", 2)
    assert scores("--like-where", kind, "--strength", 2) == named
    free, there, back = scores(), scores("--like-where", kind), scores("--dislike-where", kind)
    assert set(back) == set(free)  # no filter: what is disliked may still come
    for item, score in free.items():
        assert there[item] - score == pytest.approx(score - back[item], abs=1e-3)


def test_diverse_lists_begin_alike_and_have_k_items(cli: Cli) -> None:
    free = [r["item"] for r in rows(cli("recommend", "-u", "u0001", "-k", 8).out)]
    mixed = [
        r["item"] for r in rows(cli("recommend", "-u", "u0001", "-k", 8, "--diversity", 1).out)
    ]
    assert (mixed[0], len(set(mixed))) == (free[0], 8)
    assert mixed != free
    none = [r["item"] for r in rows(cli("recommend", "-u", "u0001", "-k", 8, "--diversity", 0).out)]
    assert none == free


def test_everyone_comes_sorted_by_id(cli: Cli, tmp_path: Path) -> None:
    users = [row["user"] for row in rows(cli("recommend", "--all-users", "-k", 1).out)]
    assert users == sorted(users)
    out = tmp_path / "lists.csv"
    assert cli("recommend", "--all-users", "-k", 1, "--shard", "2/2", "--out", out).code == 0
    assert [row["user"] for row in rows(out.read_text())] == users[len(users) // 2 :]
    assert list(tmp_path.glob("lists*")) == [out]


@pytest.mark.skipif(os.name == "nt", reason="pipes that are read piecewise")
def test_users_of_a_pipe_are_answered_before_it_ends(fitted: Path) -> None:
    command = [sys.executable, "-m", "diffrec_cli", "recommend", "--users", "-", "-k", "2"]
    with subprocess.Popen(
        [*command, "--format", "jsonl"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for user in ("u0001", "u0002"):
            process.stdin.write(f"{user}\n".encode())
            process.stdin.flush()  # and stays open
            answers = [json.loads(process.stdout.readline()) for _ in range(2)]
            assert [answer["user"] for answer in answers] == [user, user]
        process.stdin.close()
        assert process.stdout.read() == b""
    assert process.returncode == 0


def test_a_stream_goes_over_to_torch_without_a_seam(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from diffrec_cli.workflows.serving import list_maker, user_histories

    everyone = rows(cli("recommend", "--all-users", "-k", 3).out)
    users = list(dict.fromkeys(row["user"] for row in everyone))
    (tmp_path / "users.txt").write_text("\n".join(users))
    monkeypatch.setattr(list_maker, "_FEW_USERS", 40)
    monkeypatch.setattr(user_histories, "FIRST", 30)
    streamed = rows(cli("recommend", "--users", tmp_path / "users.txt", "-k", 3).out)
    key = ("user", "rank", "item")
    assert [[r[n] for n in key] for r in streamed] == [[r[n] for n in key] for r in everyone]


def test_similar_items_and_vectors_and_updates_from_the_command_line(
    cli: Cli, tmp_path: Path
) -> None:
    found = rows(cli("similar", "i0003", "-k", 2, "--titles").out)
    assert list(found[0]) == ["item", "rank", "similar", "score", "title"]
    assert [row["item"] for row in found] == ["i0003", "i0003"]
    written = json.loads(cli("export", "shop", "--vectors", tmp_path / "v").out)
    assert written["items"] == store.load("ratings").n_items
    (tmp_path / "events.csv").write_text("user,item\nnobody-yet,i0003\n")
    assert cli("update", "shop", tmp_path / "events.csv").out == "shop@2\n"
    assert cli("recommend", "-u", "nobody-yet", "-k", 1).code == 0


def test_columns_of_the_configuration_are_for_files(cli: Cli, isolated_home: Path) -> None:
    (isolated_home / "config.toml").write_text('[recommend]\nsep = ";"\n')
    assert cli("recommend", "--user", "u0001", "-k", "3").code == 0
    assert cli("recommend", "--user", "u0001", "-k", "3", "--sep", ";").code == 2


def test_a_strength_of_the_configuration_is_for_lists_that_are_moved(
    cli: Cli, isolated_home: Path
) -> None:
    (isolated_home / "config.toml").write_text("[recommend]\nstrength = 0.5\n")
    assert cli("recommend", "--user", "u0001", "-k", "3").code == 0
    assert cli("recommend", "--user", "u0001", "-k", "3", "--strength", "0.5").code == 2
