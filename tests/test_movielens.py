"""Figures on real data, where it is at hand (see tests/movielens.py)."""

import pytest

from diffrec_cli import workflows
from tests.real_logs import REAL_LOGS

ML_100K = REAL_LOGS / "ml-100k" / "ml-100k.inter"
ML_1M = REAL_LOGS / "ml-1m_clean"

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not ML_100K.is_file(), reason="needs MovieLens-100k"),
]


def test_on_ml_100k_every_variant_is_far_above_popularity() -> None:
    models = [
        workflows.fit(ML_100K, variant=variant, device="cpu").model
        for variant in ("base", "l", "t", "lt")
    ]
    evaluated = workflows.evaluate(models, baselines=["pop"], device="cpu")
    *variants, popularity = (r.evaluation.means["recall@20"] for r in evaluated.first_history)
    assert popularity == pytest.approx(0.118, abs=0.005)
    assert min(variants) > 1.5 * popularity


def test_on_ml_1m_one_run_of_auto_has_a_valid_recall_of_115_in_a_thousand() -> None:
    workflows.prepare([ML_1M], name="ml1m")
    fitted = workflows.fit("ml1m", variant="base", preset="auto", values={"seed": 1}, device="cpu")
    assert fitted.training is not None
    assert fitted.training.valid["recall@20"] >= 0.1150
