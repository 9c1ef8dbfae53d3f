"""What the collapsed reverse process leaves out; its results are checked in tests/fidelity."""

import numpy as np

from diffrec_cli.config import DiffusionConfig
from diffrec_cli.diffusion.gaussian import Gaussian
from diffrec_cli.diffusion.reverse import collapsed_reverse


def start_share(prediction: str) -> float:
    back = Gaussian(DiffusionConfig(T=4, s=0.1, prediction=prediction)).back
    a_T, VW, bW = np.ones((2, 3)), np.ones((3, 3)), np.ones(3)
    return collapsed_reverse(back, a_T, lambda a, t: np.tanh(a), VW, bW).delta


def test_predicting_x0_leaves_nothing_of_the_start_so_that_none_need_be_dense() -> None:
    assert start_share("x0") == 0
    assert start_share("epsilon") > 0.9
