"""Algorithm 1 from end to end: the loss of a batch, given what was drawn."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from diffrec_cli.models.backend import TorchBackend
from tests import oracle
from tests.fidelity.cases import FIRST_BETAS, PREDICTIONS, STEPS, Case, Replay, random_case

CPU = TorchBackend("cpu")
TOLERANCE = {torch.float64: 1e-7, torch.float32: 1e-4}


class Package:
    """The package's loss, batch after batch."""

    def __init__(self, case: Case, dtype: torch.dtype) -> None:
        self.model, self.dtype = case.model(dtype), dtype
        kind = np.float64 if dtype == torch.float64 else np.float32
        self.rows = replace(case.rows, values=case.rows.values.astype(kind))

    def loss(self, seed: int, epoch: int = 1) -> float:
        self.model.start_epoch(epoch)
        value = self.model.loss(self.rows, CPU, Replay.package(seed))
        assert value.dtype == self.dtype
        return value.item()


class Oracle:
    """The same of the oracle."""

    def __init__(self, case: Case, dtype: torch.dtype) -> None:
        self.case, self.dtype, self.batches = case, dtype, 0
        self.history = oracle.LossHistory(case.config.diffusion.T)

    def loss(self, seed: int, epoch: int = 1) -> float:
        self.batches += 1
        case, d = self.case, self.case.diffusion
        replay = Replay(case, seed, self.dtype)
        p = self.history.p() if case.config.diffusion.step_sampling == "importance" else None
        if case.config.latent is None:
            draw = replay.draw(p)
            result = oracle.diffuse(case.w, case.x, draw, d, case.normalize)
        else:
            latent = case.latent(self.batches, epoch)
            x, eps_z = replay.history(), replay.normal("code")
            draw = replay.draw(p) if latent.stage != "vae" else None
            result = oracle.latent_loss(
                case.w, case.v, x, case.target(x), eps_z, draw, d, case.normalize, latent
            )
        if draw is not None:
            self.history.tell(draw.t, result.losses)
        return result.loss


def check(case: Case, dtype: torch.dtype, batches: int = 3) -> None:
    package, expected = Package(case, dtype), Oracle(case, dtype)
    for i in range(1, batches + 1):
        wanted = pytest.approx(expected.loss(seed=i, epoch=i), rel=TOLERANCE[dtype])
        assert package.loss(seed=i, epoch=i) == wanted


@pytest.mark.parametrize("T", STEPS)
@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("first_beta", FIRST_BETAS)
@pytest.mark.parametrize("normalize", [False, True])
def test_the_loss_of_diffrec_is_algorithm_1(
    T: int, prediction: str, weighted: bool, first_beta: float | None, normalize: bool
) -> None:
    case = random_case(
        T=T,
        prediction=prediction,
        weighted_loss=weighted,
        first_beta=first_beta,
        normalize_input=normalize,
    )
    check(case, torch.float64)


@pytest.mark.parametrize("T", STEPS)
@pytest.mark.parametrize("C", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("decoder", ["joint", "separate"])
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_loss_of_l_diffrec_is_equation_15_plus_lambda_times_that_of_z(
    T: int, C: int, decoder: str, prediction: str
) -> None:
    check(random_case(T=T, C=C, decoder=decoder, prediction=prediction), torch.float64)


@pytest.mark.parametrize("C", [None, 1, 3])
@pytest.mark.parametrize("T", STEPS)
@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("weighted", [False, True])
def test_float32_agrees_to_its_own_precision(
    C: int | None, T: int, prediction: str, weighted: bool
) -> None:
    case = random_case(T=T, C=C, prediction=prediction, weighted_loss=weighted)
    check(case, torch.float32)


@pytest.mark.parametrize("C", [None, 2])
@pytest.mark.parametrize("T", [1, 2, 5])
@pytest.mark.parametrize("weighted", [False, True])
def test_importance_sampling_draws_and_divides_by_the_history_of_the_losses(
    C: int | None, T: int, weighted: bool
) -> None:
    case = random_case(C=C, T=T, weighted_loss=weighted, step_sampling="importance", users=40)
    package, expected = Package(case, torch.float64), Oracle(case, torch.float64)
    for seed in range(6):
        assert package.loss(seed) == pytest.approx(expected.loss(seed), rel=1e-7)
    assert T == 1 or np.ptp(expected.history.p()) > 0.01  # the history has come to matter


@pytest.mark.parametrize("C", [None, 2])
def test_without_noise_the_loss_is_that_of_denoising_the_dropout(C: int | None) -> None:
    check(random_case(C=C, T=5, s=0.0, weighted_loss=True, prediction="x0"), torch.float64)


@pytest.mark.parametrize("decoder", ["joint", "separate"])
def test_a_warmup_trains_the_vaes_alone_and_then_the_diffusion_alone(decoder: str) -> None:
    case = random_case(C=3, T=5, decoder=decoder, warmup="vae", warmup_epochs=2)
    check(case, torch.float64, batches=4)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("encoder_dropout", [0.0, 0.4])
@pytest.mark.parametrize("target", ["input", "history"])
def test_the_target_is_what_dropout_left_rescaled_or_the_whole_history(
    dropout: float, encoder_dropout: float, target: str
) -> None:
    case = random_case(C=2, T=5, dropout=dropout, encoder_dropout=encoder_dropout, target=target)
    check(case, torch.float64)


@pytest.mark.parametrize("latent", [{}, {"C": 3, "encoder_dims": (9,)}])
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_bf16_products_leave_the_losses_in_float32(latent: dict, prediction: str) -> None:
    case = random_case(T=5, prediction=prediction, **latent)
    package, expected = Package(case, torch.float32), Oracle(case, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        assert package.loss(seed=1) == pytest.approx(expected.loss(seed=1), rel=0.03)
