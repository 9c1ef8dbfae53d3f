from __future__ import annotations

import pytest

from diffrec_cli.config import ReadOptions
from diffrec_cli.data.reading import columns
from diffrec_cli.errors import DataError, UsageError

AUTO = ReadOptions()


@pytest.mark.parametrize(
    ("header", "places"),
    [
        (["user", "item", "rating", "timestamp"], (0, 1, 2, 3)),
        (["userId", "movieId", "rating", "timestamp"], (0, 1, 2, 3)),
        (["reviewerID", "asin", "overall", "unixReviewTime"], (0, 1, 2, 3)),
        (["review_id", "user_id", "business_id", "stars", "date"], (1, 2, 3, 4)),
        (["User-ID", "ISBN", "Book-Rating"], (0, 1, 2, None)),
        (["timestamp:float", "item_id:token", "user_id:token"], (2, 1, None, 0)),
        (["Customer ID", "PRODUCT_ID", "Created At"], (0, 1, None, 2)),
        (["uid", "iid"], (0, 1, None, None)),
    ],
)
def test_common_names_are_recognised(header, places):
    found = columns.named_columns(header, AUTO, "log.csv")
    assert (found.user, found.item, found.rating, found.time) == places


@pytest.mark.parametrize("role", ["user", "item"])
def test_missing_column_names_the_file_and_lists_the_columns(role):
    other = "item" if role == "user" else "user"
    with pytest.raises(DataError) as caught:
        columns.named_columns([other, "amount"], AUTO, "log.csv")
    assert caught.value.exit_code == 3
    assert caught.value.what.startswith(f"log.csv: no {role} column")
    assert "'amount'" in caught.value.what
    assert "--user-col" in caught.value.fix
    assert "--item-col" in caught.value.fix


@pytest.mark.parametrize(
    ("header", "role", "fix"),
    [
        (["user", "user_id", "item"], "user", "--user-col"),
        (["user", "asin", "parent_asin"], "item", "--item-col"),
        (["user", "item", "unixReviewTime", "timestamp"], "time", "--time-col"),
        (["user", "item", "item"], "item", "rename the columns"),
    ],
)
def test_two_candidates_are_never_guessed_between(header, role, fix):
    with pytest.raises(DataError) as caught:
        columns.named_columns(header, AUTO, "log.csv")
    assert f"could be the {role}" in caught.value.what
    assert fix in caught.value.fix


def test_option_settles_what_is_ambiguous_or_unknown():
    options = ReadOptions(user_col="who", item_col="asin")
    found = columns.named_columns(["asin", "parent_asin", "who", "stars"], options, "log.csv")
    assert (found.user, found.item, found.rating) == (2, 0, 3)


def test_option_may_leave_out_recboles_suffix():
    options = ReadOptions(user_col="session_id")
    found = columns.named_columns(["session_id:token", "item_id:token"], options, "a.inter")
    assert (found.user, found.item) == (0, 1)


def test_option_naming_an_absent_column_is_an_error():
    with pytest.raises(DataError) as caught:
        columns.named_columns(["user", "item"], ReadOptions(rating_col="points"), "log.csv")
    assert "log.csv: there is no column 'points'" in caught.value.what
    assert "--rating-col" in caught.value.fix


def test_one_column_cannot_have_two_roles():
    with pytest.raises(UsageError) as caught:
        columns.named_columns(["user", "item"], ReadOptions(item_col="user"), "log.csv")
    assert caught.value.exit_code == 2


def test_without_header_the_order_is_user_item_rating_time():
    found = columns.numbered_columns(5, AUTO, "u.data")
    assert (found.user, found.item, found.rating, found.time) == (0, 1, 2, 3)
    found = columns.numbered_columns(2, AUTO, "u.data")
    assert (found.user, found.item, found.rating, found.time) == (0, 1, None, None)


def test_positions_count_from_one_and_displace_the_default_order():
    swapped = columns.numbered_columns(4, ReadOptions(user_col="2", item_col="1"), "x")
    assert (swapped.user, swapped.item, swapped.rating, swapped.time) == (1, 0, None, None)
    timed = columns.numbered_columns(3, ReadOptions(time_col="3"), "x")
    assert (timed.user, timed.item, timed.rating, timed.time) == (0, 1, None, 2)


def test_without_a_header_only_columns_that_are_given_are_ratings_and_times():
    gowalla = ReadOptions(user_col="1", item_col="5", time_col="2")
    found = columns.numbered_columns(5, gowalla, "x")
    assert (found.user, found.item, found.rating, found.time) == (0, 4, None, 1)


@pytest.mark.parametrize("role", ["rating", "time"])
def test_a_role_can_be_said_to_have_no_column(role):
    options = ReadOptions(**{f"{role}_col": "none"})
    header = ["user", "item", "rating", "time"]
    named = columns.named_columns(header, options, "x")
    other = {"rating": "time", "time": "rating"}[role]
    assert (named.position(role), named.position(other)) == (None, header.index(other))
    numbered = columns.numbered_columns(3, options, "x")
    assert (numbered.position(role), numbered.position(other)) == (None, 2)


@pytest.mark.parametrize(
    ("header", "role", "name"),
    [
        (["user", "item", "reviewTime", "unixReviewTime"], "time", "unixReviewTime"),
        (["user_id", "video_id", "date", "hourmin", "time_ms"], "time", "time_ms"),
        (["user", "item", "time", "date", "timestamp"], "time", "timestamp"),
        (["user", "item", "label", "rating"], "rating", "rating"),
        (["username", "anime_id", "my_score", "user_id"], "user", "user_id"),
        (["user", "item_id", "product_id"], "item", "item_id"),
        (["customer_id", "article_id", "t_dat"], "time", "t_dat"),
        (["visitorid", "itemid", "event_value"], "rating", "event_value"),
    ],
)
def test_of_several_names_the_surest_and_the_finest_time_count(header, role, name):
    found = columns.named_columns(header, AUTO, "x")
    assert header[found.position(role)] == name


def test_an_option_whose_column_is_not_there_is_an_error():
    found = columns.named_columns(["user", "item"], AUTO, "x.csv")
    with pytest.raises(DataError, match="--time-format"):
        columns.check_options(found, ReadOptions(time_format="%Y"), "x.csv")


@pytest.mark.parametrize("position", ["0", "4", "name", "-1"])
def test_impossible_position_is_an_error(position):
    with pytest.raises(DataError) as caught:
        columns.numbered_columns(3, ReadOptions(user_col=position), "x.csv")
    assert "columns 1 to 3" in caught.value.what


def test_headerless_option_that_leaves_no_item_is_an_error():
    with pytest.raises(DataError, match="no item column"):
        columns.numbered_columns(2, ReadOptions(user_col="2", rating_col="1"), "x.csv")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (["196", "242", "3", "881250949"], True),
        (["u1", "i1", "5"], True),
        (["u1", "i1", "5", "x"], False),
        (["u1", "i1"], False),
        (["1", "2"], True),
        (["1"], False),
        (["u1", "i1", "nan"], False),
    ],
)
def test_a_line_of_numbers_is_data(fields, expected):
    assert columns.is_record(fields) is expected
