"""SASRec's network is torch's own transformer with norms first, and sees no future."""

import math

import numpy as np
import pytest
import torch

from diffrec_cli.catalogue.comparators import SASRecConfig
from diffrec_cli.data.sequences import Sequences, input_rows
from diffrec_cli.models.backend import NumpyBackend, TorchBackend
from diffrec_cli.models.comparators.sasrec import SASRec
from diffrec_cli.models.comparators.sasrec_inference import aligned, encoded

ITEMS, CONFIG = 12, SASRecConfig(dim=8, layers=2, heads=2, length=6, dropout=0.0)


@pytest.fixture
def model() -> SASRec:
    model = SASRec(CONFIG, ITEMS, torch.Generator().manual_seed(4))
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(1)))
    return model


def histories(*lists: list[int]):
    rows = np.repeat(np.arange(len(lists)), [len(h) for h in lists])
    return input_rows(Sequences.from_rows(rows, np.concatenate(lists), len(lists)), None)


def theirs(model: SASRec, items: torch.Tensor) -> torch.Tensor:
    """Return the states of one whole sequence, by torch's layers."""
    d, length = CONFIG.dim, len(items)
    x = (model.E[items] * math.sqrt(d) + model.P[-length:])[None]
    mask = torch.nn.Transformer.generate_square_subsequent_mask(length)
    for i in range(CONFIG.layers):
        layer = torch.nn.TransformerEncoderLayer(
            d, CONFIG.heads, d, 0.0, batch_first=True, norm_first=True, layer_norm_eps=1e-6
        )
        with torch.no_grad():
            W = torch.cat([getattr(model, name)[i].T for name in ("W_q", "W_k", "W_v")])
            layer.self_attn.in_proj_weight.copy_(W)
            layer.self_attn.in_proj_bias.zero_()
            layer.self_attn.out_proj.weight.copy_(model.W_o[i].T)
            layer.self_attn.out_proj.bias.zero_()
            layer.linear1.weight.copy_(model.W_1[i].T)
            layer.linear1.bias.copy_(model.b_1[i])
            layer.linear2.weight.copy_(model.W_2[i].T)
            layer.linear2.bias.copy_(model.b_2[i])
            layer.norm1.weight.copy_(model.g_1[i])
            layer.norm1.bias.copy_(model.c_1[i])
            layer.norm2.weight.copy_(model.g_2[i])
            layer.norm2.bias.copy_(model.c_2[i])
        x = layer(x, src_mask=mask)
    return torch.nn.functional.layer_norm(x, (d,), model.g, model.c, 1e-6)[0]


def test_the_states_are_those_of_torchs_layers(model: SASRec) -> None:
    lists = [[3, 1, 7, 2, 9], [5, 0, 11]]
    items, present = aligned(histories(*lists))
    weights = {name: p.detach() for name, p in model.scoring_weights().items()}
    found = encoded(CONFIG, weights, items, present, TorchBackend("cpu"))
    on_numpy = encoded(
        CONFIG, {k: w.numpy() for k, w in weights.items()}, items, present, NumpyBackend()
    )
    np.testing.assert_allclose(on_numpy, found, rtol=1e-4, atol=1e-5)
    for row, history in enumerate(lists):
        expected = theirs(model, torch.tensor(history))
        torch.testing.assert_close(found[row, -len(history) :], expected, rtol=1e-4, atol=1e-5)


def test_histories_end_in_the_last_column() -> None:
    items, present = aligned(histories([4, 5, 6], [7]))
    assert items.tolist() == [[4, 5, 6], [0, 0, 7]]
    assert present.tolist() == [[True] * 3, [False, False, True]]
