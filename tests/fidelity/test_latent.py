"""The parts of L-DiffRec by themselves: encoders and decoders of the groups."""

import numpy as np
import pytest

from diffrec_cli.models.backend import NumpyBackend, TorchBackend
from diffrec_cli.models.vae import GroupVAE
from tests import oracle
from tests.fidelity.cases import random_case


@pytest.mark.parametrize("C", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("encoder_dims", [(), (12,), (9, 14)])
@pytest.mark.parametrize("backend", [NumpyBackend(), TorchBackend("cpu")])
def test_each_encoder_sees_its_own_group_and_each_decoder_its_own_part_of_z(
    C: int, encoder_dims: tuple[int, ...], backend: NumpyBackend | TorchBackend
) -> None:
    for decoder in ("joint", "separate"):
        case = random_case(C=C, encoder_dims=encoder_dims, decoder=decoder, least=0)
        vae = GroupVAE(backend, case.of_item, case.weights)
        mean, log_variance, _ = oracle.encode(case.v, case.x, case.of_item, bounded=False)
        for got, wanted in zip(vae.encode(case.rows), (mean, log_variance), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-14)
        logits, _ = oracle.decode(case.v, mean, case.of_item, decoder == "joint")
        got = vae.decode(backend.asarray(mean))[:, vae.column]
        np.testing.assert_allclose(got, logits, rtol=1e-12, atol=1e-14)
