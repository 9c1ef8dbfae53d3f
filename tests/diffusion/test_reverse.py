"""The collapsed reverse process against the step-by-step one, in NumPy and in torch."""

import numpy as np
import pytest
import torch

from diffrec_cli.config import DiffusionConfig
from diffrec_cli.diffusion.gaussian import Gaussian
from diffrec_cli.diffusion.reverse import collapsed_reverse, stepwise_reverse

D, H_1, H = 23, 7, 5


def random_weights(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = {"W": (D, H_1), "hidden": (H_1, H), "V": (D, H), "b": (D,), "x_T": (4, D)}
    return {name: rng.normal(size=shape) for name, shape in shapes.items()}


@pytest.mark.parametrize("prediction", ["x0", "epsilon"])
@pytest.mark.parametrize("T", [1, 2, 5, 100])
@pytest.mark.parametrize("first_beta", [None, 1e-5])
def test_collapsed_equals_step_by_step(prediction: str, T: int, first_beta: float | None) -> None:
    config = DiffusionConfig(
        T=T, s=0.1, alpha_min=0.01, alpha_max=0.5, prediction=prediction, first_beta=first_beta
    )
    back, w = Gaussian(config).back, random_weights(T)

    def hidden(a: np.ndarray, t: int) -> np.ndarray:
        return np.tanh(np.tanh(a + 0.1 * t) @ w["hidden"])

    def predict(x_t: np.ndarray, t: int) -> np.ndarray:
        return hidden(x_t @ w["W"], t) @ w["V"].T + w["b"]

    expected = stepwise_reverse(back, w["x_T"], predict)
    x = collapsed_reverse(back, w["x_T"] @ w["W"], hidden, w["V"].T @ w["W"], w["b"] @ w["W"])
    collapsed = x.g @ w["V"].T + x.gamma * w["b"] + x.delta * w["x_T"]
    np.testing.assert_allclose(collapsed, expected, rtol=1e-8, atol=1e-8)


def test_step_by_step_is_algorithm_2() -> None:
    config = DiffusionConfig(T=3, s=0.1, alpha_min=0.01, alpha_max=0.5)
    gaussian = Gaussian(config)
    c_1, c_2 = gaussian.schedule.posterior

    def predict(x_t: np.ndarray, t: int) -> np.ndarray:
        return np.sin(x_t) + t

    x_3 = np.array([[0.3, -1.0]])
    x_2 = c_1[3] * predict(x_3, 3) + c_2[3] * x_3
    x_1 = c_1[2] * predict(x_2, 2) + c_2[2] * x_2
    np.testing.assert_allclose(stepwise_reverse(gaussian.back, x_3, predict), predict(x_1, 1))


def test_predicting_x0_leaves_nothing_of_the_start() -> None:
    back, w = Gaussian(DiffusionConfig(T=4)).back, random_weights(1)
    x = collapsed_reverse(
        back, w["x_T"] @ w["W"], lambda a, t: a @ w["hidden"], w["V"].T @ w["W"], w["b"] @ w["W"]
    )
    assert x.delta == 0


def test_the_same_lines_serve_torch() -> None:
    back, w = Gaussian(DiffusionConfig(T=5, s=0.1)).back, random_weights(2)
    tensors = {name: torch.from_numpy(value) for name, value in w.items()}

    def run(arrays: dict, xp: object) -> object:
        return collapsed_reverse(
            back,
            arrays["x_T"] @ arrays["W"],
            lambda a, t: xp.tanh(a + t) @ arrays["hidden"],
            arrays["V"].T @ arrays["W"],
            arrays["b"] @ arrays["W"],
        ).g

    np.testing.assert_allclose(run(tensors, torch).numpy(), run(w, np), rtol=1e-12)
