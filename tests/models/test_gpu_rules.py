"""Every model keeps the rules for GPUs in training and ranking; :mod:`.gpu_rules` has them."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from diffrec_cli.catalogue import Variant, names, preset
from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Sequences, input_rows
from diffrec_cli.models.build import build_model
from diffrec_cli.models.scorer import Scorer, build_scorer
from diffrec_cli.models.trainable import Trainable
from diffrec_cli.ranking.batches import Ranked, rank
from diffrec_cli.training import loop
from diffrec_cli.training.averaging import WeightAverage
from diffrec_cli.training.distributed import Processes
from tests.models.gpu_rules import DEVICE, BrokenRuleError, GpuBackend, checked

USERS, ITEMS, BATCH = 12, 30, 4


def trained_models() -> list[str]:
    """Names of all models with epochs. Item graphs are added on the host, by NumPy."""
    variants = dict.fromkeys(Variant.parse(name) for name in names())
    return [str(v) for v in variants if not v.graph and settings(str(v)).trains]


def settings(variant: str, **values: object) -> FitConfig:
    return preset("auto", variant, users=USERS).with_values(values)


def choices(config: FitConfig) -> Iterator[dict[str, object]]:
    """Yield each choice that is not the default: one of several words, or yes and no.

    Weights by order change the numbers of the input alone, and there are none here: with them the
    form of the loss is varied alone.
    """
    for group in config._groups().values():
        for name, kind in typing.get_type_hints(type(group)).items():
            if config.temporal is not None and name != "loss_form":
                continue
            options = (True, False) if kind is bool else typing.get_args(kind)
            if kind is bool or typing.get_origin(kind) is typing.Literal:
                default = getattr(group, name)
                yield from ({name.rstrip("_"): o} for o in options if o != default)


MODELS = trained_models()
CASES = [
    pytest.param(name, values, id=" ".join([name, *(f"{k}={v}" for k, v in values.items())]))
    for name in MODELS
    for values in [{}, *choices(settings(name))]
]


@pytest.fixture(scope="module")
def train() -> Sequences:
    rng = np.random.default_rng(3)
    items = [rng.permutation(ITEMS)[: 2 + user % 7] for user in range(USERS)]
    return Sequences.from_rows(
        np.repeat(np.arange(USERS), [len(row) for row in items]), np.concatenate(items), USERS
    )


def built(config: FitConfig, train: Sequences) -> Trainable:
    return build_model(config, ITEMS, np.arange(ITEMS) % 2, train).to(DEVICE)


_NO_NUMBER = torch.zeros(())


class Alone(Processes):
    """One process, whose loss of an epoch is read after it; here it is no number."""

    def sum_over_users(self, x: Tensor) -> Tensor:
        return _NO_NUMBER


def run_epochs(model: Trainable, config: FitConfig, train: Sequences, epochs: int = 2) -> None:
    """Train as the loop does; what is made at first use is copied in the first epoch."""
    training = replace(config.training, batch_size=BATCH, epoch_updates=None)
    optimizer = loop._optimizer(model, training, DEVICE)
    average = WeightAverage(model, 0.9)
    optimizer.register_step_post_hook(lambda *_: average.update())
    rows, backend = input_rows(train, config.temporal), GpuBackend()
    for epoch in range(1, epochs + 1):
        with checked(copies_may_wait=epoch == 1):
            loop._epoch(
                model,
                rows,
                training,
                epoch,
                backend,
                Alone(),
                "fp32",
                optimizer,
                lambda done, total: None,
            )


def lists(
    scorer: Scorer, config: FitConfig, train: Sequences, precision: str = "fp32"
) -> Iterator[Ranked]:
    return rank(
        scorer,
        train,
        5,
        users=np.arange(USERS),
        seen=train,
        temporal=config.temporal,
        excluded=np.arange(ITEMS) < 2,
        precision=precision,
        users_per_batch=BATCH,
    )


@pytest.mark.parametrize(("name", "values"), CASES)
def test_training_keeps_the_rules(name: str, values: dict[str, object], train: Sequences) -> None:
    config = settings(name, **values)
    run_epochs(built(config, train), config, train)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(("name", "values"), CASES)
def test_ranking_keeps_the_rules_and_reads_the_lists_of_a_batch_alone(
    name: str, values: dict[str, object], precision: str, train: Sequences
) -> None:
    config, backend = settings(name, **values), GpuBackend()
    model = built(config, train)
    with torch.no_grad(), checked(copies_may_wait=True):
        scorer = build_scorer(config, model.scoring_weights(), backend)
    with torch.no_grad(), checked():
        batches = lists(scorer, config, train, precision)
        next(batches)  # models of factors read the vectors of all items here
        backend.to_host.clear()
        later = len(list(batches))
    # Items and scores; of candidates the approximate scores too.
    of_batch = backend.to_host[: len(backend.to_host) // later]
    assert backend.to_host == later * of_batch
    assert set(of_batch) == {"ranking/top_k.py"}


def planted(fault: Callable[[Tensor], Tensor], train: Sequences) -> None:
    """Train a model whose loss goes through a function."""
    config = settings("multidae")
    model = built(config, train)
    whole = model.loss
    model.loss = lambda *args: fault(whole(*args))  # type: ignore[method-assign]
    run_epochs(model, config, train)


class InGradient(torch.autograd.Function):
    """Nothing, with a fault in its gradient."""

    @staticmethod
    def forward(ctx, x: Tensor, fault: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.fault = fault
        return x.clone()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.fault(gradient), None


def set_number(x: Tensor) -> Tensor:
    flat = x.detach().view(1).clone()
    flat[flat.long()] = 1.0
    return x + flat.sum()


def set_where(x: Tensor) -> Tensor:
    flat = x.detach().view(1).clone()
    flat[flat > 0] = flat.sum()
    return x + flat.sum()


ELSEWHERE = {
    "aten.ones.default makes a tensor on cpu": lambda x: x + torch.ones(3).to(x).sum(),
    "aten.arange.default makes a tensor on cpu": lambda x: x + torch.arange(3).sum().to(x),
    "aten.scalar_tensor.default makes a tensor on cpu": lambda x: x * torch.scalar_tensor(2.0),
    "aten.empty.memory_format makes": lambda x: x + 0 * torch.empty(1, dtype=x.dtype).to(x).sum(),
    "tensor makes a tensor on the host": lambda x: x * torch.tensor(2.0),
    "tensor makes a tensor": lambda x: x * torch.tensor(2.0, device=x.device),
    "as_tensor makes a tensor": lambda x: x + torch.as_tensor([2.0], device=x.device).sum(),
    "new_tensor makes a tensor": lambda x: x * x.new_tensor(2.0),
    "aten.mul.Tensor reads tensors of the device and of": lambda x: (
        x * torch.from_numpy(np.ones((), np.float32))
    ),
}
TOO_WIDE = {
    "aten._to_copy.default makes a tensor of torch.float64": lambda x: x.double().float(),
    "aten.ones.default makes a tensor of torch.float64": lambda x: (
        x + torch.ones(3, dtype=torch.float64, device=x.device).sum().float()
    ),
    "aten._to_copy.default makes": lambda x: x + GpuBackend().asarray(np.ones(3)).sum().float(),
}
WAITING = {
    "aten._local_scalar_dense.default makes the host wait": lambda x: x * x.detach().item(),
    "aten._local_scalar_dense.default makes": lambda x: x * float(x.detach()),
    "aten._local_scalar_dense": lambda x: x * 2 if x.detach() > 0 else x,
    "aten.nonzero.default makes the host wait": lambda x: x + x.detach().view(1).nonzero().sum(),
    "aten.index.Tensor makes the host wait": lambda x: x.view(1)[x.detach().view(1) > 0].sum(),
    "aten.index_put_.default makes the host wait": set_where,
    "aten.masked_select.default makes": lambda x: x.masked_select(x > 0).sum(),
    "aten._unique2.default makes": lambda x: x + torch.unique(x.detach()).sum(),
    "aten.bincount.default makes": lambda x: x + torch.bincount(x.detach().view(1).long()).sum(),
    "aten.equal.default makes": lambda x: x if torch.equal(x, x) else 2 * x,
    "aten._to_copy.default makes the host wait": lambda x: x + x.detach().cpu().to(x.device),
    "aten._to_copy.default copies to the device and makes": lambda x: (
        x + torch.from_numpy(np.ones(3, np.float32)).to(x.device).sum()
    ),
    "aten._to_copy.default copies": lambda x: (
        x + torch.as_tensor(np.ones(3, np.float32), device=x.device).sum()
    ),
    "__getitem__ copies an index to the device": lambda x: x.view(1)[[0]].sum(),
    "__setitem__ copies a number to the device": set_number,
}
FAULTS = [*ELSEWHERE.items(), *TOO_WIDE.items(), *WAITING.items()]


@pytest.mark.parametrize(("found", "fault"), FAULTS, ids=[found for found, _ in FAULTS])
@pytest.mark.parametrize("in_gradient", [False, True], ids=["loss", "gradient"])
def test_a_planted_fault_is_found_with_its_operator_and_line(
    found: str, fault: Callable[[Tensor], Tensor], in_gradient: bool, train: Sequences
) -> None:
    with pytest.raises(BrokenRuleError, match=rf"{found}.* at models/{__file__.split('/')[-1]}:"):
        planted((lambda x: InGradient.apply(x, fault)) if in_gradient else fault, train)


def test_a_step_without_a_fault_passes_the_same_way(train: Sequences) -> None:
    planted(lambda x: InGradient.apply(x, lambda g: 2 * g), train)


RANKING_FAULTS = {
    "aten._local_scalar_dense": lambda h: h * float(h.sum()),
    "aten.index.Tensor makes the host wait": lambda h: h[h[:, 0] > 0],
    "float64": lambda h: h.double().float(),
    "aten.zeros.default makes a tensor on cpu": lambda h: h + torch.zeros(1).to(h),
}


@pytest.mark.parametrize(("found", "fault"), RANKING_FAULTS.items(), ids=list(RANKING_FAULTS))
def test_a_fault_planted_into_a_scorer_is_found(
    found: str, fault: Callable[[Tensor], Tensor], train: Sequences
) -> None:
    config = settings("base")
    weights = built(config, train).scoring_weights()
    scorer = build_scorer(config, weights, GpuBackend())
    hidden = scorer.hidden
    scorer.hidden = lambda rows: fault(hidden(rows))
    with torch.no_grad(), checked(), pytest.raises(BrokenRuleError, match=found):
        list(lists(scorer, config, train))


def test_every_trained_model_of_the_catalogue_is_checked() -> None:
    assert {"base", "l", "t", "lt", "base+smoothing", "t+masking", "mf", "sasrec"} <= set(MODELS)
    forms = {case.values[0] for case in CASES if case.values[1].get("loss_form") == "compact"}
    assert forms == {"base", "l", "t", "lt", "base+smoothing", "t+smoothing"}
