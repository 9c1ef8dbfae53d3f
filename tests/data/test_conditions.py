"""The language of ``--where``, as a specification: a condition, and the items it holds for."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from diffrec_cli.data.conditions import select_items
from diffrec_cli.errors import UsageError

# id: a letter, so that a row of the specification reads as the items it selects
FILMS = pa.table(
    {
        "id": ["a", "b", "c", "d", "e"],
        "title": ["Léon", "War & Peace", "It's a Wrap", 'The "Best"', None],
        "year": ["1994", "1956.0", "n/a", "", "2001"],
        "genre": ["Crime Drama", "Drama|War", "comedy", None, "Sci-Fi"],
        "released": ["1994-09-14", "1956-08-21", None, "1994-10-01", "2001-12-31"],
        "Cast size": ["10", " 9 ", "+1e1", "-3", ".5"],
        "Rated": ["PG", "pg", "R", "", "R"],
        "rated": ["1", "2", "3", "4", "5"],
        "and": ["x", "y", "x", "y", "x"],
    }
)


def selected(condition: str, table: pa.Table = FILMS) -> str:
    """Return the ids of the items that a condition holds for, in one word."""
    found = select_items(condition, table)
    assert found.shape == (table.num_rows,)
    assert found.dtype == np.bool_
    return "".join(np.array(table["id"].to_pylist())[found])


@pytest.mark.parametrize(
    ("condition", "items"),
    [
        # an order with a number compares numbers; other cells never match
        ("year < 1994", "b"),
        ("year <= 1994", "ab"),
        ("year > 1956", "ae"),
        ("year >= 1956", "abe"),
        ("year >= 1.9e3", "abe"),
        ("`Cast size` >= 9", "abc"),
        ("`Cast size` < 0", "d"),
        ("`Cast size` > -3.5", "abcde"),
        ("`Cast size` = 0.50", "e"),
        # with text, text: dates in ISO form compare well
        ("released >= 1994-10-01", "de"),
        ("released < '1994-09-30'", "ab"),
        ("year >= '1994'", "ace"),  # n/a is text behind any digit
        ("title > Z", ""),
        # = with a number: the same number, or written the same
        ("year = 1956", "b"),
        ("year = 1956.0", "b"),
        ("year == 1994.00", "a"),
        ("year = '1956'", ""),  # in quotes it is text
        ("year = n", ""),
        ("year = 'n/a'", "c"),
        ("genre = comedy", "c"),
        ("genre = Comedy", ""),
        # != is its opposite among the cells that are there
        ("year != 1956", "ace"),
        ("year <> 1956", "ace"),
        ("genre != comedy", "abe"),
        # contains: letters of either case alike
        ("genre contains DRAMA", "ab"),
        ("genre contains sci-fi", "e"),
        ("genre not contains drama", "ce"),
        ("title contains 'LÉON'", "a"),
        ("title contains é", "a"),
        ("year contains 19", "ab"),
        ("title contains '.*'", ""),
        ("genre contains ''", "abce"),
        # in: equal to one of them
        ("id in (a, c, z)", "ac"),
        ("id in (a)", "a"),
        ("year in (1956, 'n/a', 1)", "bc"),
        ("genre not in (comedy, 'Drama|War')", "ae"),
        # is missing: null or empty
        ("year is missing", "d"),
        ("genre is missing", "d"),
        ("title is present", "abcd"),
        ("not title is present", "e"),
    ],
)
def test_a_comparison_selects(condition: str, items: str) -> None:
    assert selected(condition) == items


@pytest.mark.parametrize(
    ("condition", "items"),
    [
        ("year > 1990 and genre contains drama", "a"),
        ("id = a or id = b and id = c", "a"),  # and before or
        ("(id = a or id = b) and id = b", "b"),
        ("not id = a and id != b", "cde"),  # not before and
        ("not (id = a or id = b)", "cde"),
        ("not not id = a", "a"),
        ("not (not (id = a))", "a"),
        ("id = a or id = b or id = c or id = d", "abcd"),
        ("id != a and id != b and id != c", "de"),
        ("not genre not contains drama", "abd"),
    ],
)
def test_conditions_combine(condition: str, items: str) -> None:
    assert selected(condition) == items


def test_a_missing_cell_matches_no_comparison_but_not_does_turn_it_round() -> None:
    assert selected("genre = comedy or genre != comedy") == "abce"
    assert selected("genre contains x or genre not contains x") == "abce"
    assert selected("genre in (x) or genre not in (x)") == "abce"
    assert selected("not genre = comedy") == "abde"


@pytest.mark.parametrize(
    ("condition", "items"),
    [
        ("id=a", "a"),
        ("  id\t=\n a ", "a"),
        ("NOT id = a AND genre IS Present", "bce"),
        ("genre Contains drama Or genre Not In (x)", "abce"),
        ("ID = a", "a"),  # case aside, there is one such column
        ("`title` = Léon", "a"),
        ("`cast SIZE` = 10", "ac"),
        ("title = 'It''s a Wrap'", "c"),
        ('title = "It\'s a Wrap"', "c"),
        ('title = "The ""Best"""', "d"),
        ("title = 'The \"Best\"'", "d"),
        ("`and` = y", "bd"),
        ("Rated = R", "ce"),  # the exact name goes first
        ("rated = 2", "b"),
        ("genre='comedy'or id='a'", "ac"),
    ],
)
def test_spelling(condition: str, items: str) -> None:
    assert selected(condition) == items


def test_ids_are_text_exactly_as_written() -> None:
    table = pa.table({"id": ["7", "007", "7.0"], "code": ["7", "007", "7.0"]})
    assert select_items("id = 007", table).tolist() == [False, True, False]
    assert select_items("id in (7, 8)", table).tolist() == [True, False, False]
    assert select_items("id != 7", table).tolist() == [False, True, True]
    assert select_items("code = 007", table).tolist() == [True, True, True]
    assert select_items("code = '007'", table).tolist() == [False, True, False]


def test_whole_numbers_too_long_for_a_float_are_equal_as_text_only() -> None:
    table = pa.table({"id": ["a", "b"], "barcode": ["9007199254740992", "9007199254740993"]})
    assert selected("barcode = 9007199254740993", table) == "b"
    assert selected("barcode != 9007199254740993", table) == "a"


def test_cells_that_read_as_numbers_in_python_only_are_text() -> None:
    cells = ["nan", "inf", "1_000", "0x10", "1e", "5"]
    table = pa.table({"id": list("abcdef"), "n": cells})
    assert selected("n > -1e300 or n <= 0", table) == "f"
    assert selected("n = nan", table) == "a"
    assert selected("n = 1000", table) == ""


def test_nothing_is_selected_from_nothing() -> None:
    empty = pa.table({"id": pa.array([], pa.string()), "year": pa.array([], pa.string())})
    for condition in ("year > 5", "id = 7", "id contains x", "year is missing", "not id in (a)"):
        assert len(select_items(condition, empty)) == 0


def test_columns_of_nothing_are_missing() -> None:
    table = pa.table({"id": ["a", "b"], "x": pa.array([None, None], pa.null()), "y": ["", None]})
    assert selected("x is missing and y is missing", table) == "ab"
    assert selected("x = 1 or x != 1 or y contains a or y > b", table) == ""


def test_a_table_in_pieces_is_one_table() -> None:
    pieces = pa.concat_tables([FILMS.slice(0, 2), FILMS.slice(2)])
    for condition in ("year >= 1956", "genre contains drama", "genre is missing", "id != c"):
        assert selected(condition, pieces) == selected(condition)
        middle = selected(condition, FILMS.slice(1, 3))
        assert middle == "".join(item for item in selected(condition) if item in "bcd")


def refusal(condition: str, table: pa.Table = FILMS) -> UsageError:
    """Return the error; its texts are one line each."""
    with pytest.raises(UsageError) as caught:
        select_items(condition, table)
    error = caught.value
    assert error.exit_code == 2
    assert error.what.startswith("--where: ")
    for line in (error.what, error.fix):
        assert line.isprintable()
        assert len(line) < 1000
    return error


@pytest.mark.parametrize(
    ("condition", "what"),
    [
        ("", "the condition is empty"),
        (" \n", "the condition is empty"),
        ("year >= and", "expected a value at character 9 ('and')"),
        ("year >=", "expected a value at character 8 (the end)"),
        ("year = =", "expected a value at character 8 ('=')"),
        ("year", "expected a comparison at character 5 (the end)"),
        ("year 1990", "expected a comparison at character 6 ('1990')"),
        ("year => 1990", "expected a value at character 7 ('>')"),
        ("'year' = 5", "expected a column at character 1 (\"'year'\")"),
        ("= 5", "expected a column at character 1 ('=')"),
        ("not", "expected a column at character 4 (the end)"),
        ("id = a and", "expected a column at character 11 (the end)"),
        ("id = a id = b", "expected 'and', 'or' or the end at character 8 ('id')"),
        ("id = a)", "expected 'and', 'or' or the end at character 7 (')')"),
        ("(id = a", "expected ')' at character 8 (the end)"),
        ("()", "expected a column at character 2 (')')"),
        ("year not > 5", "expected 'contains' or 'in' at character 10 ('>')"),
        ("year is 5", "expected 'missing' or 'present' at character 9 ('5')"),
        ("year is 'missing'", "expected 'missing' or 'present' at character 9 (\"'missing'\")"),
        ("year is not missing", "expected 'missing' or 'present' at character 9 ('not')"),
        ("id in a", "expected '(' at character 7 ('a')"),
        ("id in ()", "expected a value at character 8 (')')"),
        ("id in (a,)", "expected a value at character 10 (')')"),
        ("id in (a b)", "expected ')' at character 10 ('b')"),
        ("id in (a", "expected ')' at character 9 (the end)"),
        ("id = `a`", "expected a value at character 6 ('`a`')"),
        ("id = a && id = b", "unexpected at character 8 ('&')"),
        ("id = Ocean's", 'a quote that never ends at character 11 ("\'s")'),
        ("id = 'a''b", "a quote that never ends at character 6 (\"'a''b\")"),
        ("`id = a", "a quote that never ends at character 1 ('`id = a')"),
        ("id = a;", "unexpected at character 7 (';')"),
        ("year! 5", "unexpected at character 5 ('!')"),
        ("id = \x1b[31m", "unexpected at character 6 ('\\x1b')"),
        ("genre > 5", "the column 'genre' has no numbers to compare with at character 9 ('5')"),
        ("RATED = 5", "'Rated' or 'rated' could be meant at character 1 ('RATED')"),
        ("id = \udcff", "not UTF-8 at character 6"),
    ],
)
def test_a_condition_that_is_none_is_refused_with_the_place(condition: str, what: str) -> None:
    assert refusal(condition).what == f"--where: {what}"


def test_the_fix_shows_what_to_write() -> None:
    assert "year >= 1990 and genre contains Comedy" in refusal("year >=").fix
    assert "backquotes" in refusal("year 1990").fix
    assert "> '5'" in refusal("genre > 5").fix
    assert "exactly" in refusal("RATED = 5").fix


class TestAnUnknownColumn:
    def test_names_the_nearest(self) -> None:
        error = refusal("Gener contains War")
        assert error.what.startswith(
            "--where: no column 'Gener' at character 1; the items have 'id'"
        )
        assert error.fix == "did you mean genre?"

    def test_names_it_as_it_must_be_written(self) -> None:
        assert refusal("cast size > 5").fix == "did you mean `Cast size`?"
        assert refusal("ad > 5").fix == "did you mean `and`?"

    def test_names_ten_of_many(self) -> None:
        table = pa.table({f"c{n}": ["x"] for n in range(25)})
        error = refusal("year = 5", table)
        assert error.what.endswith("'c8', 'c9' and 15 more")

    def test_of_items_of_which_nothing_is_known_asks_for_a_table(self) -> None:
        assert "--items FILE" in refusal("year = 5", pa.table({"id": ["a"]})).fix

    def test_wherever_it_stands(self) -> None:
        assert "no column 'x' at character 11" in refusal("id = a or x is missing").what

    def test_of_any_length_and_script(self) -> None:
        refusal("x" * 100_000 + " = 1")
        refusal("`\n\x00\u202e" + "年" * 1000 + "` = 1")
        refusal("年 = 1", pa.table({f"{n}\n" * 1000: ["x"] for n in range(25)}))


class TestHostileText:
    def test_fifty_parentheses_are_read_and_one_more_is_refused(self) -> None:
        assert selected("(" * 50 + "id = a" + ")" * 50) == "a"
        error = refusal("(" * 51 + "id = a" + ")" * 51)
        assert error.what == "--where: more than 50 parentheses deep at character 51 ('(')"
        refusal("(" * 100_000)
        refusal("not (" * 100_000)
        assert selected(" or ".join(["(id = a)"] * 1000)) == "a"  # beside each other, any number

    def test_length_alone_is_no_matter(self) -> None:
        assert selected("not " * 100_000 + "id = a") == "a"
        assert selected(" and ".join(["id = a"] * 5000)) == "a"
        assert selected(f"id in (a, {', '.join(map(str, range(50_000)))})") == "a"
        assert selected(f"id = a or title contains '{'x' * 200_000}'") == "a"
        assert selected("id = a or title = '" + "''" * 200_000 + "'") == "a"
        assert selected(f"year > {'9' * 100_000}") == "c"  # too large for a number: text

    @pytest.mark.parametrize("quote", ["'", '"', "`"])
    def test_a_quote_that_never_ends_is_found_in_one_pass(self, quote: str) -> None:
        assert "never ends" in refusal("id = " + quote + "a" * 300_000).what
        assert "never ends" in refusal("id = " + quote + (2 * quote) * 150_000).what

    def test_no_text_is_run(self) -> None:
        for text in ("__import__('os')", "id.__class__", "id = a; import os", "lambda: 0", "{id}"):
            refusal(text)

    def test_patterns_are_plain_text(self) -> None:
        assert selected("title contains '('") == ""
        assert selected("title contains '&'") == "b"
        assert selected("title contains '%'") == ""

    def test_other_scripts(self) -> None:
        table = pa.table({"id": ["a", "b"], "жанр": ["Комедия", "恐怖片 😱"]})
        assert selected("Жанр contains комедия", table) == "a"
        assert selected("жанр contains '😱'", table) == "b"
        assert selected("жанр = Комедия or жанр contains 恐怖", table) == "ab"


def test_the_answers_are_those_of_a_slow_reading() -> None:
    """Random cells: every operator against Python's own comparisons, cell by cell."""
    rng = np.random.default_rng(3)
    cells = rng.choice(["1", "2.0", "2", "10", "abc", "", None, "-1"], 500).tolist()
    table = pa.table({"id": [str(n) for n in range(500)], "x": cells})
    present = [cell is not None and cell != "" for cell in cells]
    value = [float(c) if p and c != "abc" else np.nan for c, p in zip(cells, present, strict=True)]
    expected = {
        "x >= 2": [v >= 2 for v in value],
        "x < 2": [v < 2 for v in value],
        "x = 2": [v == 2 for v in value],
        "x != 2": [p and v != 2 for p, v in zip(present, value, strict=True)],
        "x > '2'": [p and c > "2" for p, c in zip(present, cells, strict=True)],
        "x contains B": [c == "abc" for c in cells],
        "x in (10, abc)": [c in ("10", "abc") for c in cells],
        "x is missing": [not p for p in present],
    }
    for condition, mask in expected.items():
        assert select_items(condition, table).tolist() == mask, condition


def test_neither_pandas_nor_torch_is_loaded() -> None:
    code = (
        "import sys; from diffrec_cli.data.arrow import strings; import pyarrow as pa;"
        "from diffrec_cli.data.conditions import select_items;"
        "t = pa.table({'id': strings(['a', 'b']), 'y': strings(['1', 'x'])});"
        "assert select_items('y > 0 and y = 1 and y contains 1 or y > z or y is missing', t)[0];"
        "print({'pandas', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.stdout.strip() == "set()"
