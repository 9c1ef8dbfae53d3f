"""Algorithm 2 from end to end: the scores of a batch, on both backends."""

from dataclasses import replace

import numpy as np
import pytest

from diffrec_cli.config import TemporalConfig
from diffrec_cli.data.sequences import Sequences, input_rows
from diffrec_cli.models.backend import NumpyBackend, TorchBackend
from diffrec_cli.models.build import stored_weights
from diffrec_cli.models.diffrec_inference import user_noise
from diffrec_cli.models.scorer import build_scorer
from tests import oracle
from tests.fidelity.cases import FIRST_BETAS, PREDICTIONS, STEPS, Case, dense, random_case

BACKENDS = [NumpyBackend(), TorchBackend("cpu")]


def forward_steps(T: int) -> set[int]:
    return {0, T // 4, T // 2, T}


def expected_scores(case: Case) -> np.ndarray:
    """The oracle's scores, given the noise that the package draws for each user."""
    c = case.config
    eps = user_noise(case.rows, case.width, c.training.seed).astype(np.float64)
    given = (c.diffusion.T_prime, eps, case.diffusion, case.normalize)
    if c.latent is None:
        return oracle.infer(case.w, case.x, *given)
    return oracle.latent_infer(case.w, case.v, case.x, *given, case.latent())


def check(case: Case) -> None:
    wanted = expected_scores(case)
    noised = case.config.diffusion.T_prime > 0  # the noise of a user is float32
    for backend in BACKENDS:
        scores = build_scorer(case.config, case.scoring_weights(), backend).scores(case.rows)
        tolerance = {"rtol": 1e-5, "atol": 1e-6} if noised else {"rtol": 1e-8, "atol": 1e-10}
        np.testing.assert_allclose(scores, wanted, **tolerance)


@pytest.mark.parametrize("T", STEPS)
@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("first_beta", FIRST_BETAS)
@pytest.mark.parametrize("normalize", [False, True])
def test_the_scores_of_diffrec_are_algorithm_2(
    T: int, prediction: str, first_beta: float | None, normalize: bool
) -> None:
    # Without normalisation the package runs the collapsed process, the oracle step by step.
    for T_prime in forward_steps(T):
        case = random_case(
            T=T,
            T_prime=T_prime,
            prediction=prediction,
            first_beta=first_beta,
            normalize_input=normalize,
            least=0,  # some users have nothing
        )
        check(case)


@pytest.mark.parametrize("C", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("T", STEPS)
@pytest.mark.parametrize("decoder", ["joint", "separate"])
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_scores_of_l_diffrec_are_encode_reverse_decode(
    C: int, T: int, decoder: str, prediction: str
) -> None:
    for T_prime in forward_steps(T):
        case = random_case(
            C=C, T=T, T_prime=T_prime, decoder=decoder, prediction=prediction, least=0
        )
        check(case)


@pytest.mark.parametrize("C", [None, 2])
@pytest.mark.parametrize("T", STEPS)
def test_without_noise_inference_applies_the_denoiser_T_times(C: int | None, T: int) -> None:
    check(random_case(C=C, T=T, T_prime=T, s=0.0, prediction="x0"))


@pytest.mark.parametrize("C", [None, 3])
@pytest.mark.parametrize("T", STEPS)
@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_stored_float32_weights_agree_to_their_own_precision(
    C: int | None, T: int, prediction: str, backend: NumpyBackend | TorchBackend
) -> None:
    case = random_case(C=C, T=T, T_prime=T // 2, prediction=prediction)
    stored = stored_weights(case.scoring_weights(np.float32))
    rows = replace(case.rows, values=case.rows.values.astype(np.float32))
    scores = build_scorer(case.config, stored, backend).scores(rows)
    np.testing.assert_allclose(scores, expected_scores(case), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_input_of_t_diffrec_is_equation_16(backend: NumpyBackend | TorchBackend) -> None:
    rng, n_items = np.random.default_rng(1), 30
    sequences = [rng.permutation(n_items)[:n].tolist() for n in (0, 1, 2, 3, 17, 30)]
    users = np.repeat(np.arange(6), [len(sequence) for sequence in sequences])
    history = Sequences.from_rows(users, np.concatenate(sequences).astype(np.int32), 6)
    rows = input_rows(history, TemporalConfig(w_min=0.2, w_max=0.9))
    wanted = [oracle.reweighted(sequence, n_items, 0.2, 0.9) for sequence in sequences]
    np.testing.assert_allclose(dense(rows, n_items), wanted, rtol=1e-6)
    np.testing.assert_allclose(backend.dense(rows, n_items), wanted, rtol=1e-6)
