"""Items may be allowed and blocked by a file, or by a list."""

from pathlib import Path

from diffrec_cli import workflows
from diffrec_cli.workflows.progress import Listener
from tests.workflows.conftest import Fit


def test_a_list_of_ids_is_as_good_as_a_file(
    fit: Fit, tmp_path: Path, notes: list[str], listener: Listener
) -> None:
    model = fit("ease")
    only, never = tmp_path / "only", tmp_path / "never"
    only.write_text("i01\ni03\nnew\n")
    never.write_text("i03\n")
    ways = ({"allow": only, "block": never}, {"allow": ["i01", "i03", "new"], "block": ("i03",)})
    by_file, by_list = (
        workflows.recommend(model, users=["u0"], k=5, listener=listener, **way).table().to_pylist()
        for way in ways
    )
    assert [row["item"] for row in by_list] == ["i01"]
    assert by_list == by_file
    assert f"--allow {only}: 1 items are unknown to the model: 'new'" in notes
    assert "--allow: 1 items are unknown to the model: 'new'" in notes


def test_an_export_takes_lists_too(fit: Fit, tmp_path: Path) -> None:
    out = tmp_path / "lists.csv"
    workflows.export_lists(out, fit("ease"), all_users=True, k=2, allow=["i00", "i01", "i02"])
    lines = out.read_text().splitlines()[1:]
    assert lines
    assert {line.split(",")[2] for line in lines} <= {"i00", "i01", "i02"}
