"""How much each interaction counts, in histories and losses of the models that can carry it."""

import dataclasses

import numpy as np
import pytest

from diffrec_cli import workflows
from diffrec_cli.catalogue import MODELS, Variant, names
from diffrec_cli.data import store as datasets
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.sequences import Sequences, input_rows
from diffrec_cli.registry import versions as registry

QUICK = {"epochs": 2, "batch_size": 30}
#: One of each kind: the others share their code with one of these.
WEIGHED = ("base", "l", "t+smoothing", "t+masking", "base+masking", "graph", "graph-t", "ease",
           "itemknn", "userknn", "rp3beta", "slim", "popularity", "repeat", "cdae", "multidae",
           "multivae", "codigem")  # fmt: skip


def weighed(dataset: Dataset) -> Dataset:
    """Return the dataset with random strengths in train."""
    values = np.random.default_rng(1).uniform(0.1, 1, dataset.train.size)
    strong = dataclasses.replace(dataset.train, strength=values.astype(np.float32))
    return dataclasses.replace(dataset, train=strong)


def arrays(dataset: Dataset, variant: str, name: str) -> dict[str, np.ndarray]:
    datasets.save(dataclasses.replace(dataset, name=name))
    trains = Variant.parse(variant).model is None or MODELS[Variant.parse(variant).model].trains
    model = workflows.fit(
        name, variant=variant, values=QUICK if trains else {}, device="cpu", precision="fp32"
    ).model
    return registry.resolve(model).weights()


@pytest.mark.parametrize("variant", WEIGHED)
def test_strengths_change_what_is_learned(checkerboard: Dataset, variant: str) -> None:
    alike = arrays(checkerboard, variant, "alike")
    strong = arrays(weighed(checkerboard), variant, "strong")
    changed = [n for n in alike if alike[n].shape != strong[n].shape
               or not np.array_equal(alike[n], strong[n])]  # fmt: skip
    assert changed


@pytest.mark.parametrize("variant", ["markov", "mf", "sasrec"])
def test_models_that_take_all_alike_say_so(checkerboard: Dataset, variant: str) -> None:
    notes: list[str] = []
    datasets.save(weighed(checkerboard))
    workflows.fit(
        "checkerboard",
        variant=variant,
        values={} if variant == "markov" else {"epochs": 1},
        device="cpu",
        listener=lambda event: notes.append(getattr(event, "text", "")),
    )
    assert f"{variant} takes all interactions alike: it cannot read their strengths" in notes


def test_every_other_model_is_known_to_read_them() -> None:
    alike = {name for name, row in MODELS.items() if not row.weighs}
    assert alike == {"markov", "mf", "lightgcn", "sasrec", "acvae"}
    assert {str(Variant.parse(name)) for name in WEIGHED} <= set(names())


def test_the_input_is_the_strength_times_the_weight_by_order() -> None:
    from diffrec_cli.config import TemporalConfig

    strength = np.array([0.2, 1.0, 2.0], np.float32)
    history = Sequences(np.array([0, 2, 3]), np.array([4, 5, 6], np.int32), strength)
    rows = input_rows(history, TemporalConfig(w_min=0.5, w_max=1.0))
    assert rows.values.tolist() == pytest.approx([0.1, 1.0, 2.0])
    assert rows.strengths.tolist() == pytest.approx([0.2, 1.0, 2.0])
    assert input_rows(history, None).values.tolist() == pytest.approx([0.2, 1.0, 2.0])


def test_interactions_of_strength_1_are_those_without(checkerboard: Dataset) -> None:
    ones = np.ones(checkerboard.train.size, np.float32)
    explicit = dataclasses.replace(
        checkerboard, train=dataclasses.replace(checkerboard.train, strength=ones)
    )
    for variant in ("base", "t+masking", "graph"):
        plain = arrays(checkerboard, variant, "plain")
        same = arrays(explicit, variant, "same")
        assert all(np.array_equal(plain[name], same[name]) for name in plain)


def test_weighted_factors_solve_their_equations() -> None:
    from scipy.sparse import csr_matrix

    from diffrec_cli.graph.factors import inverse, user_factors

    random = np.random.default_rng(1)
    V = random.normal(size=(7, 3)).astype(np.float32)
    P = inverse(V, 0.1, 2.0)
    x = csr_matrix(np.array([[0.5, 0, 2, 0, 0, 1, 0]], np.float32))
    (found,) = user_factors(x.indptr, x.indices, x.data, V, P)
    own, w = V[x.indices].astype(float), x.data.astype(float)
    left = (own * w[:, None]).T @ own + 0.1 * V.T @ V + 2.0 * np.eye(3)
    assert found == pytest.approx(np.linalg.solve(left, (own * w[:, None]).sum(0)), rel=1e-3)


def test_repeat_puts_own_items_first_by_strength_and_then_popular_ones() -> None:
    from diffrec_cli.catalogue.simple_models import RepeatConfig
    from diffrec_cli.config import FitConfig
    from diffrec_cli.models.backend import NumpyBackend
    from diffrec_cli.models.baselines.repeat import RepeatScorer, fit_repeat

    strength = np.array([1, 2, 1, 1], np.float32)
    train = Sequences(np.array([0, 2, 4]), np.array([0, 1, 1, 2], np.int32), strength)
    rows = input_rows(train, None)
    weights = fit_repeat(RepeatConfig(), rows, 4)
    scorer = RepeatScorer(FitConfig(comparator=RepeatConfig()), weights, NumpyBackend())
    scores = scorer.scores(rows)
    assert np.argsort(-scores[0], kind="stable").tolist() == [1, 0, 2, 3]
    assert scores[1].tolist() == pytest.approx([1 / 4, 2, 2, 0])


def test_a_sum_with_the_history_itself_finds_what_is_bought_again(checkerboard: Dataset) -> None:
    split = {"repeats": "keep"}
    again = dataclasses.replace(
        checkerboard,
        valid=checkerboard.train.keep(np.arange(checkerboard.train.size) % 4 == 0),
        source={"split": split},
    )
    datasets.save(again)
    fitted = workflows.fit("checkerboard", variant="graph", device="cpu")
    config = registry.resolve(fitted.model).config()
    values = dict(zip(config.values()["parts"], config.values()["weights"], strict=True))
    assert values["repeat"] > 0
    assert fitted.training.valid["recall@20"] > 0.99
