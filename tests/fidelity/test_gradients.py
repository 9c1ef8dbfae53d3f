"""Gradients of both losses: by hand in NumPy, by differences of the oracle, and by autograd."""

from collections.abc import Callable

import numpy as np
import pytest

from diffrec_cli.models.backend import TorchBackend
from tests import oracle
from tests.fidelity.cases import DIMS, PREDICTIONS, STEPS, Case, Replay, named, random_case

SEED, EPOCH = 5, 2
FULL = {"users": 8, "least": 4}  # so that every group has its share of items


def of_oracle(case: Case, epoch: int = EPOCH) -> tuple[Callable[[], float], Callable[[], dict]]:
    """The loss of a batch as a function of the case's weights, and its gradients by hand."""
    replay, d = Replay(case, SEED), case.diffusion
    if case.config.latent is None:
        draw = replay.draw()

        def run() -> oracle.Diffused:
            return oracle.diffuse(case.w, case.x, draw, d, case.normalize)

        return lambda: run().loss, lambda: named(run().back(1.0, 0.0)[0], {})
    latent = case.latent(epoch=epoch)
    x, eps_z = replay.history(), replay.normal("code")
    draw = replay.draw() if latent.stage != "vae" else None

    def latent_run() -> oracle.LatentLoss:
        return oracle.latent_loss(
            case.w, case.v, x, case.target(x), eps_z, draw, d, case.normalize, latent
        )

    return lambda: latent_run().loss, lambda: named(*latent_run().gradients())


def by_autograd(case: Case, epoch: int = EPOCH) -> dict[str, np.ndarray]:
    model = case.model()
    model.start_epoch(epoch)
    model.loss(case.rows, TorchBackend("cpu"), Replay.package(SEED)).backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    return {name: g.numpy() for name, g in gradients.items() if g is not None}


def check(case: Case, epoch: int = EPOCH) -> None:
    by_hand = of_oracle(case, epoch)[1]()
    learned = by_autograd(case, epoch)
    assert set(learned) == set(by_hand)
    for name, wanted in by_hand.items():
        size = np.abs(wanted).max()
        assert size > 0, name
        np.testing.assert_allclose(learned[name], wanted, rtol=1e-7, atol=1e-9 * size, err_msg=name)


@pytest.mark.parametrize("T", STEPS)
@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("dims", DIMS)
def test_diffrec_learns_by_the_gradient_of_algorithm_1(
    T: int, prediction: str, weighted: bool, normalize: bool, dims: tuple[int, ...]
) -> None:
    case = random_case(
        T=T, prediction=prediction, weighted_loss=weighted, normalize_input=normalize, dims=dims
    )
    assert set(of_oracle(case)[1]()) == set(case.weights)
    check(case)


@pytest.mark.parametrize("C", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("decoder", ["joint", "separate"])
@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("normalize", [False, True])
def test_l_diffrec_learns_by_the_gradient_of_both_losses(
    C: int, decoder: str, prediction: str, weighted: bool, normalize: bool
) -> None:
    for T in STEPS:
        case = random_case(
            C=C,
            T=T,
            decoder=decoder,
            prediction=prediction,
            weighted_loss=weighted,
            normalize_input=normalize,
            **FULL,
        )
        assert set(of_oracle(case)[1]()) == set(case.weights)
        check(case)


@pytest.mark.parametrize("decoder", ["joint", "separate"])
def test_the_whole_history_can_be_the_target(decoder: str) -> None:
    case = random_case(C=2, T=5, decoder=decoder, target="history", encoder_dropout=0.4)
    check(case)
    check_slopes(case)


@pytest.mark.parametrize("decoder", ["joint", "separate"])
@pytest.mark.parametrize(("epoch", "learning"), [(1, "vae"), (2, "denoiser")])
def test_a_stage_of_the_warmup_learns_its_own_half(decoder: str, epoch: int, learning: str) -> None:
    case = random_case(C=3, T=5, decoder=decoder, warmup="vae", warmup_epochs=1, **FULL)
    assert {name.split(".")[0] for name in by_autograd(case, epoch)} == {learning}
    check(case, epoch)


@pytest.mark.parametrize("C", [None, 1, 3])
@pytest.mark.parametrize("T", [1, 5])
@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("normalize", [False, True])
def test_the_gradients_by_hand_are_the_slopes_of_the_oracle_s_loss(
    C: int | None, T: int, prediction: str, weighted: bool, normalize: bool
) -> None:
    case = random_case(
        C=C, T=T, prediction=prediction, weighted_loss=weighted, normalize_input=normalize
    )
    check_slopes(case)


@pytest.mark.parametrize("epoch", [1, 2])
def test_so_are_those_of_a_warmup(epoch: int) -> None:
    check_slopes(random_case(C=2, T=5, warmup="vae", warmup_epochs=1), epoch)


def check_slopes(case: Case, epoch: int = EPOCH) -> None:
    """Move each weight a little to and fro along a random direction."""
    loss, by_hand = of_oracle(case, epoch)
    rng, h = np.random.default_rng(1), 1e-5
    parts = {"denoiser": case.w, "vae": case.v}
    for name, gradient in by_hand().items():
        part, _, key = name.partition(".")
        weights, at = parts[part], parts[part][key]
        direction = rng.normal(size=at.shape)
        direction /= np.linalg.norm(direction)
        values = []
        for step in (h, -h):
            weights[key] = at + step * direction
            values.append(loss())
        weights[key] = at
        slope = (values[0] - values[1]) / (2 * h)
        size = np.linalg.norm(gradient)
        rounding = 4 * np.finfo(float).eps * abs(values[0]) / h  # what the difference may lose
        near = pytest.approx((gradient * direction).sum(), rel=1e-5, abs=1e-6 * size + rounding)
        assert slope == near, name
