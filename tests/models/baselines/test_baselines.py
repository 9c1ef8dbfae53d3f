"""What every baseline promises."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from diffrec_cli.data.sequences import Rows
from diffrec_cli.errors import UsageError
from diffrec_cli.models import baselines
from diffrec_cli.models.baselines import BASELINES, fit_baseline


@pytest.fixture(params=sorted(BASELINES))
def model(request, train):
    return fit_baseline(request.param, train, 25)


def one(rows, user):
    cut = slice(rows.indptr[user], rows.indptr[user + 1])
    items, values = rows.items[cut], rows.values[cut]
    return Rows(rows.users[user : user + 1], np.array([0, len(items)]), items, values)


def test_scores_are_float32_for_every_item(model, rows):
    scores = model.scores(rows)
    assert model.n_items == 25
    assert scores.shape == (60, 25)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()


def test_scores_do_not_depend_on_the_batch(model, rows):
    together = model.scores(rows)
    for user in (0, 3, 59):
        alone = model.scores(one(rows, user))[0]
        np.testing.assert_allclose(alone, together[user], rtol=1e-5, atol=1e-6)


def test_a_user_without_history_has_finite_scores(model):
    empty = Rows(np.array([-1]), np.zeros(2, np.int64), np.empty(0, np.int32), np.empty(0, "f4"))
    assert np.isfinite(model.scores(empty)).all()


def test_seen_items_are_not_masked(model, rows):
    seen = rows.items[rows.indptr[0] : rows.indptr[1]]
    assert (model.scores(rows)[0, seen] > -1e6).all()


def test_fitting_twice_gives_the_same_scores(model, train, rows):
    again = fit_baseline(model.name, train, 25)
    np.testing.assert_array_equal(again.scores(rows), model.scores(rows))


def test_pop_is_short_for_popularity(train):
    assert fit_baseline("pop", train, 25).name == "popularity"


def test_an_unknown_name_is_a_usage_error_that_names_the_others(train):
    with pytest.raises(UsageError, match="svd") as caught:
        fit_baseline("svd", train, 25)
    assert "ease" in caught.value.fix


def test_importing_them_imports_no_heavy_library():
    code = (
        "import sys, diffrec_cli.models.baselines, diffrec_cli.evaluation.metrics,"
        " diffrec_cli.evaluation.significance, diffrec_cli.registry\n"
        "heavy = {'torch', 'pandas', 'scipy', 'sklearn'} & set(sys.modules)\n"
        "sys.exit(' '.join(heavy) or 0)"
    )
    source = Path(baselines.__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(source)},
    )
    assert done.returncode == 0, done.stderr
