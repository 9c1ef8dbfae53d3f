"""What every closed form promises."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from diffrec_cli.catalogue import MODELS
from diffrec_cli.data.sequences import Rows
from diffrec_cli.errors import MissingExtraError
from diffrec_cli.models import baselines
from tests.models.baselines.conftest import fitted

KINDS = sorted(
    (row.config for row in MODELS.values() if not row.trains), key=lambda kind: kind.model
)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.model)
def model(request, train):
    return fitted(request.param(), train)[1]


def one(rows, user):
    return rows.take(np.array([user]))


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


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.model)
def test_fitting_twice_gives_the_same_arrays(kind, train):
    first, second = (fitted(kind(), train)[0] for _ in range(2))
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind.weighted], ids=lambda kind: kind.model
)
def test_recency_weights_change_what_is_learned(kind, train):
    heavier = Rows(train.users, train.indptr, train.items, train.values * 1.0)
    heavier.values[::2] *= 0.1
    first, second = (fitted(kind(), rows)[0] for rows in (train, heavier))
    assert any(
        array.shape != second[name].shape or not np.array_equal(array, second[name])
        for name, array in first.items()
    )


def test_a_package_that_is_missing_is_named_with_its_extra(train, monkeypatch):
    monkeypatch.setitem(sys.modules, "implicit.cpu.als", None)
    with pytest.raises(MissingExtraError, match="ials needs the package 'implicit'") as caught:
        fitted(MODELS["ials"].config(), train)
    assert caught.value.exit_code == 2
    assert "diffrec-cli[baselines]" in caught.value.fix


def test_importing_them_imports_no_heavy_library():
    code = (
        "import sys, diffrec_cli.models.baselines, diffrec_cli.evaluation.metrics,"
        " diffrec_cli.evaluation.significance, diffrec_cli.registry,"
        " diffrec_cli.models.scorer\n"
        "heavy = {'torch', 'pandas', 'scipy', 'sklearn', 'implicit'} & set(sys.modules)\n"
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
