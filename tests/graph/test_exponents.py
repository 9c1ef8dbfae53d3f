import itertools

import numpy as np
import pytest

from diffrec_cli.graph import exponents as search
from diffrec_cli.graph.degree_filter import DegreeFilter, Exponents
from diffrec_cli.graph.exponents import FREE, START, best_exponents
from diffrec_cli.graph.judging import hide, is_in, quality, top


def judged(x, held_out, exponents):
    """Return the quality of a filter, from whole lists of all users."""
    users = np.flatnonzero(np.diff(held_out.indptr))
    scores = DegreeFilter(x, exponents).scores(x[users])
    hide(scores, x[users])
    hits = is_in(held_out, users, top(scores, 20))
    return quality(hits, np.diff(held_out.indptr)[users])


def test_no_single_step_from_what_was_found_is_better(groups):
    x, held_out = groups
    found = best_exponents(x, held_out)
    best = judged(x, held_out, found)
    assert best >= judged(x, held_out, START)
    smallest = search._STEPS[-1][0]
    for place, sign in itertools.product(range(3), (-1, 1)):
        powers = [found.p, found.q_in, found.q_out]
        powers[place] += sign * smallest
        assert judged(x, held_out, Exponents(*powers)) <= best + 1e-9


def test_exponents_that_are_given_stay(groups):
    found = best_exponents(*groups, start=Exponents(0.1, 0.9, 0.3), free=("p",))
    assert (found.q_in, found.q_out) == (0.9, 0.3)


def test_there_is_no_edge_in_the_way(groups, monkeypatch):
    far = Exponents(-3.0, 5.0, -2.0)

    def closeness(self, exponents, users):
        return -sum(abs(getattr(exponents, name) - getattr(far, name)) for name in FREE)

    monkeypatch.setattr(search._Judge, "quality", closeness)
    found = best_exponents(*groups)
    assert (found.p, found.q_in, found.q_out) == pytest.approx((-3, 5, -2), abs=0.04)


def test_sharpened_is_never_judged_below_plain(groups):
    x, held_out = groups
    users = np.flatnonzero(np.diff(held_out.indptr))
    plain, sharpened = (search._Judge(x, held_out, x, on).quality(START, users) for on in (0, 1))
    assert plain == pytest.approx(judged(x, held_out, START))
    assert sharpened >= plain
