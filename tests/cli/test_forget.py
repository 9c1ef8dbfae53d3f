"""``forget`` asks first, says what is left, and leaves no trace."""

import json

import pytest

from tests.cli.conftest import Cli

pytestmark = pytest.mark.usefixtures("fitted")


def test_without_a_terminal_it_needs_yes_and_changes_nothing(cli: Cli) -> None:
    found = cli("forget", "--user", "u0003")
    assert found.code == 2
    assert "Forget u0003 in ratings, shop@1? There is no terminal" in found.err
    assert cli("recommend", "--user", "u0003").code == 0


def test_it_says_what_it_found_and_what_is_left_to_do(cli: Cli) -> None:
    dry = json.loads(cli("forget", "--user", "u0003", "--dry-run").out)
    assert (dry["datasets"], dry["models"], dry["dry_run"]) == (
        ["ratings"],
        ["shop@1"],
        True,
    )
    done = cli("forget", "--user", "u0003", "--yes")
    assert json.loads(done.out) == {**dry, "dry_run": False}
    assert "trained with them: shop@1" in done.err
    assert "not touched, and prepare would bring them back:" in done.err
    assert cli("recommend", "--user", "u0003").code == 4
    assert cli("recommend", "--user", "u0004").code == 0
    assert cli("models", "verify").code == 0


def test_an_unknown_user_has_an_exit_code(cli: Cli) -> None:
    assert cli("forget", "--user", "nobody", "--yes").code == 4


def test_a_table_for_people_has_names_not_lists(cli: Cli) -> None:
    shown = cli("forget", "--user", "u0003", "--dry-run", "--format", "table").out
    assert "shop@1" in shown
    assert "[" not in shown
