"""``diffrec quickstart``: the tour must work, and the model must be worth it."""

import json

from tests.cli.conftest import Cli


def test_the_tour_ends_with_a_model_better_than_popularity(cli: Cli) -> None:
    outcome = cli("quickstart")
    assert outcome.code == 0, outcome.err
    toured = json.loads(outcome.out)
    model, popularity = toured["results"]
    assert model["metrics"]["recall@20"] > 1.5 * popularity["metrics"]["recall@20"]
    assert len(toured["recommendations"]) == 10
    assert all(row["title"] for row in toured["recommendations"])
    assert "diffrec fit" in outcome.err  # it shows the commands
    assert cli("quickstart").code == 0  # and can be taken again


def test_the_tour_leaves_a_default_of_ones_own_alone(cli: Cli, fitted) -> None:
    assert cli("quickstart").code == 0
    assert cli("models", "default").out == "shop@1\n"
