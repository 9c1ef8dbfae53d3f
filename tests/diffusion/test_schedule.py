"""Eq. 4 and Eq. 8 worked by hand; tests/fidelity has the rest."""

import numpy as np

from diffrec_cli.diffusion.schedule import linear_schedule


def test_noise_rises_linearly_between_the_scaled_bounds() -> None:
    schedule = linear_schedule(5, s=0.01, alpha_min=0.1, alpha_max=0.5)
    np.testing.assert_allclose(schedule.noise, [0, 0.001, 0.002, 0.003, 0.004, 0.005], rtol=1e-12)


def test_a_single_step_has_the_lower_bound() -> None:
    schedule = linear_schedule(1, s=0.5, alpha_min=0.2, alpha_max=0.9)
    np.testing.assert_allclose(schedule.noise, [0, 0.1])
    np.testing.assert_allclose(schedule.beta, [0, 0.1])


def test_first_beta_replaces_the_first_step_and_all_that_follows_from_it() -> None:
    plain = linear_schedule(40, 0.005, 0.005, 0.01)
    released = linear_schedule(40, 0.005, 0.005, 0.01, first_beta=1e-5)
    assert released.beta[1] == 1e-5
    np.testing.assert_array_equal(released.beta[2:], plain.beta[2:])
    # The ML-1M preset then runs from 1e-5 to 3.5e-5 instead of 2.5e-5 to 5e-5.
    np.testing.assert_allclose(released.noise[[1, -1]], [1e-5, 3.5e-5], rtol=1e-3)
    np.testing.assert_allclose(plain.noise[[1, -1]], [2.5e-5, 5e-5], rtol=1e-12)


def test_the_last_step_returns_the_prediction_itself() -> None:
    c_1, c_2 = linear_schedule(7, 0.1, 0.1, 0.5).posterior
    assert (c_1[1], c_2[1]) == (1.0, 0.0)


def test_without_noise_every_step_is_the_prediction() -> None:
    schedule = linear_schedule(4, s=0.0, alpha_min=0.1, alpha_max=0.5)
    c_1, c_2 = schedule.posterior
    np.testing.assert_array_equal(schedule.noise, 0)
    np.testing.assert_array_equal(c_1, 1)
    np.testing.assert_array_equal(c_2, 0)
