"""What the collapsed reverse process leaves out; its results are checked in tests/fidelity."""

import pytest

from diffrec_cli.config import DiffusionConfig
from diffrec_cli.diffusion.gaussian import Gaussian
from diffrec_cli.diffusion.reverse import shares


@pytest.mark.parametrize("T", [1, 4])
def test_predicting_x0_leaves_nothing_of_the_start_so_that_none_need_be_dense(T: int) -> None:
    def of_x_0(prediction: str) -> tuple[float, float]:
        gamma, delta = shares(Gaussian(DiffusionConfig(T=T, s=0.1, prediction=prediction)).back)[0]
        return gamma, delta

    assert of_x_0("x0") == (1, 0)
    assert of_x_0("epsilon")[1] > 0.9
