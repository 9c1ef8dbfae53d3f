"""The moving average of the weights."""

from typing import Any

import pytest
import torch
from torch import nn

from diffrec_cli.models.trainable import Trainable
from diffrec_cli.training.averaging import WeightAverage


class Number(Trainable):
    """A model that is one number."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros((), dtype=torch.float64))


def follow(decay: float, values: list[float]) -> tuple[WeightAverage, Any]:
    model = Number()
    average = WeightAverage(model, decay)
    for value in values:
        model.value.data.fill_(value)
        average.update()
    return average, model


def test_the_average_moves_by_one_minus_the_decay() -> None:
    average, _ = follow(0.1, [1.0, 1.0])
    # Decays 2/11 and 3/12 of the head start are above 0.1: it holds from the first update.
    assert average.model.value.item() == pytest.approx(1 - 0.1**2)


def test_early_updates_forget_the_initial_weights_faster() -> None:
    average, _ = follow(0.99, [1.0, 1.0])
    assert average.model.value.item() == pytest.approx(1 - (2 / 11) * (3 / 12))


def test_the_model_itself_is_not_touched() -> None:
    average, model = follow(0.9, [3.0])
    assert model.value.item() == 3.0
    assert average.model is not model


def test_without_decay_the_average_is_the_model() -> None:
    average, model = follow(0.0, [3.0])
    assert average.model is model
    assert average.tensors() == {}


def test_an_average_goes_on_from_what_it_stored() -> None:
    undisturbed, _ = follow(0.99, [1.0, 2.0, 3.0])
    stored, _ = follow(0.99, [1.0, 2.0])
    model = Number()
    again = WeightAverage(model, 0.99)
    again.tensors()["value"].data.copy_(stored.tensors()["value"])
    again.updates = stored.updates
    model.value.data.fill_(3.0)
    again.update()
    assert again.model.value.item() == pytest.approx(undisturbed.model.value.item())
