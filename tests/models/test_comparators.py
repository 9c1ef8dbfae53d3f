"""The comparators against NumPy: losses, scores, and what an unseen user is given."""

import numpy as np
import pytest
import torch

from diffrec_cli.catalogue.comparators import (
    ACVAEConfig,
    CDAEConfig,
    CodigemConfig,
    LightGCNConfig,
    MFConfig,
    MultiDAEConfig,
    MultiDAEPlusConfig,
    MultiVAEConfig,
)
from diffrec_cli.config import DiffusionConfig, FitConfig
from diffrec_cli.data.sequences import Rows, Sequences
from diffrec_cli.diffusion.randomness import Draws, Numbers
from diffrec_cli.models import likelihood
from diffrec_cli.models.backend import Backend, NumpyBackend, TorchBackend
from diffrec_cli.models.build import stored_weights
from diffrec_cli.models.comparators.acvae import ACVAE
from diffrec_cli.models.comparators.acvae_inference import ACVAEScorer, padded
from diffrec_cli.models.comparators.autoencoders import CDAE, MultiDAE, MultiDAEPlus, MultiVAE
from diffrec_cli.models.comparators.bpr import draw_pairs
from diffrec_cli.models.comparators.codigem import Codigem
from diffrec_cli.models.comparators.factors_inference import FactorScorer, FoldIn
from diffrec_cli.models.comparators.lightgcn import LightGCN
from diffrec_cli.models.comparators.mf import MF
from diffrec_cli.models.comparators.network import normalized
from diffrec_cli.models.item_range import ItemRange
from diffrec_cli.models.scorer import Scorer, build_scorer
from diffrec_cli.models.trainable import Trainable

ITEMS, USERS = 11, 4
BACKEND = TorchBackend("cpu")


@pytest.fixture
def rows() -> Rows:
    """Four users, one without an item, with weights of their own."""
    items = np.array([3, 0, 7, 5, 2, 9, 10, 1], np.int32)
    values = np.array([1, 0.5, 1, 0.1, 0.7, 1, 0.3, 1], np.float32)
    return Rows(np.arange(USERS), np.array([0, 3, 3, 6, 8]), items, values)


@pytest.fixture
def x(rows: Rows) -> np.ndarray:
    dense = np.zeros((USERS, ITEMS))
    dense[rows.row_index, rows.items] = rows.values
    return dense


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


ALL_ITEMS = ItemRange.whole(ITEMS)


def draws() -> Draws:
    return Draws(2)


def loss_of(model, rows: Rows) -> float:
    return model.loss(rows, BACKEND, draws()).item()


def scorer_of(model: Trainable, backend: Backend) -> Scorer:
    """Return the scorer that the model's row names, over what would be stored."""
    weights = stored_weights(model.scoring_weights())
    return build_scorer(FitConfig(comparator=model.config), weights, backend)


def arrays_of(model) -> dict[str, np.ndarray]:
    return {name: p.detach().numpy().astype(float) for name, p in model.named_parameters()}


def log_softmax(scores: np.ndarray) -> np.ndarray:
    scores = scores - scores.max(axis=1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


class TestLikelihoods:
    scores = np.random.default_rng(5).normal(size=(USERS, ITEMS))

    def of(self, function, rows: Rows) -> float:
        return function(torch.tensor(self.scores), rows, BACKEND).item()

    def test_multinomial(self, rows: Rows, x: np.ndarray) -> None:
        expected = -(x * log_softmax(self.scores)).sum(axis=1).mean()
        assert self.of(likelihood.multinomial, rows) == pytest.approx(expected)

    def test_logistic(self, rows: Rows, x: np.ndarray) -> None:
        p = 1 / (1 + np.exp(-self.scores))
        expected = -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(axis=1).mean()
        assert self.of(likelihood.logistic, rows) == pytest.approx(expected)

    def test_square(self, rows: Rows, x: np.ndarray) -> None:
        expected = ((x - self.scores) ** 2).sum(axis=1).mean()
        assert self.of(likelihood.square, rows) == pytest.approx(expected)


class TestAutoencoders:
    def test_multidae_reads_histories_of_length_one(self, rows: Rows, x: np.ndarray) -> None:
        model = MultiDAE(MultiDAEConfig(dims=(3, 5), dropout=0.0), ALL_ITEMS, generator())
        w = arrays_of(model)
        h = np.tanh(unit(x) @ w["W_in"] + w["b_in"])
        for i in range(2):
            h = np.tanh(h @ w[f"W.{i}"] + w[f"b.{i}"])
        scores = h @ w["V"].T + w["b_out"]
        assert w["W_in"].shape == (ITEMS, 5)
        assert w["W.0"].shape == (5, 3)
        expected = -(x * log_softmax(scores)).sum(axis=1).mean()
        assert loss_of(model, rows) == pytest.approx(expected, rel=1e-5)
        for backend in (NumpyBackend(), BACKEND):
            scorer = scorer_of(model, backend)
            found = np.asarray(scorer.scores(rows))
            np.testing.assert_allclose(found, scores, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("dims", [(3, 5), (3,)])
    def test_multivae_adds_the_divergence_of_its_code(
        self, rows: Rows, x: np.ndarray, dims: tuple[int, ...]
    ) -> None:
        config = MultiVAEConfig(dims=dims, dropout=0.0, beta=0.4, beta_updates=4)
        model = MultiVAE(config, ALL_ITEMS, generator())
        with torch.no_grad():  # a code that is all but certain: z is its mean
            bias = model.b[0] if len(dims) > 1 else model.b_in
            bias[3:] = -40.0
        w = arrays_of(model)
        a = unit(x) @ w["W_in"] + w["b_in"]
        code = np.tanh(a) @ w["W.0"] + w["b.0"] if len(dims) > 1 else a
        mean, log_variance = code[:, :3], code[:, 3:]
        h = np.tanh(mean @ w["W.1"] + w["b.1"]) if len(dims) > 1 else mean
        scores = h @ w["V"].T + w["b_out"]
        divergence = 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance).sum(axis=1).mean()
        error = -(x * log_softmax(scores)).sum(axis=1).mean()
        for beta in (0.0, 0.25, 0.4, 0.4):  # n / 4 at update n, up to the cap
            assert loss_of(model, rows) == pytest.approx(error + beta * divergence, rel=1e-4)
        scorer = scorer_of(model, NumpyBackend())
        np.testing.assert_allclose(scorer.scores(rows), scores, rtol=1e-4, atol=1e-5)

    def test_multidae_plus_is_multidae_where_there_is_no_noise(self, rows: Rows) -> None:
        still = DiffusionConfig(s=0.0)
        config = MultiDAEPlusConfig(dims=(4,), dropout=0.0)
        plus = MultiDAEPlus(config, still, ALL_ITEMS, generator())
        plain = MultiDAE(MultiDAEConfig(dims=(4,), dropout=0.0), ALL_ITEMS, generator())
        assert loss_of(plus, rows) == pytest.approx(loss_of(plain, rows), rel=1e-5)
        noisy = DiffusionConfig(s=1.0, alpha_max=0.5)
        other = MultiDAEPlus(config, noisy, ALL_ITEMS, generator())
        assert loss_of(other, rows) != pytest.approx(loss_of(plain, rows), rel=1e-3)

    @pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu"])
    def test_cdae_adds_a_vector_of_the_user(
        self, rows: Rows, x: np.ndarray, activation: str
    ) -> None:
        config = CDAEConfig(dim=3, dropout=0.0, activation=activation, loss="square")
        model = CDAE(config, USERS, ALL_ITEMS, generator())
        w = arrays_of(model)
        function = {
            "tanh": np.tanh,
            "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
            "relu": lambda a: np.maximum(a, 0),
        }[activation]
        known, unseen = (
            function(x @ w["W_in"] + w["b_in"] + u) @ w["V"].T + w["b_out"]
            for u in (w["users"], 0.0)
        )
        assert loss_of(model, rows) == pytest.approx(((x - known) ** 2).sum(1).mean(), rel=1e-5)
        scorer = scorer_of(model, NumpyBackend())
        np.testing.assert_allclose(scorer.scores(rows), known, rtol=1e-4, atol=1e-5)
        unknown = Rows(np.full(USERS, -1), rows.indptr, rows.items, rows.values)
        np.testing.assert_allclose(scorer.scores(unknown), unseen, rtol=1e-4, atol=1e-5)

    def test_dropout_leaves_out_interactions(self, rows: Rows) -> None:
        kept, dropped = (
            MultiDAE(MultiDAEConfig(dims=(4,), dropout=rate), ALL_ITEMS, generator())
            for rate in (0.0, 0.9)
        )
        assert loss_of(dropped, rows) != pytest.approx(loss_of(kept, rows), rel=1e-6)

    def test_an_empty_history_is_normalised_to_itself(self, rows: Rows) -> None:
        lengths = np.bincount(rows.row_index, normalized(rows).values ** 2, USERS)
        np.testing.assert_allclose(lengths, [1, 0, 1, 1], rtol=1e-6)


class TestCODIGEM:
    def test_lists_depend_on_the_first_autoencoder_alone(self, rows: Rows) -> None:
        config = CodigemConfig(T=3, dim=4, dropout=0.0)
        model = Codigem(config, ALL_ITEMS, generator())

        def scores() -> np.ndarray:
            scorer = scorer_of(model, NumpyBackend())
            return np.asarray(scorer.scores(rows))

        before = scores()
        with torch.no_grad():
            model.chain[1].V += 1.0
            model.chain[2].W_in += 1.0
        np.testing.assert_array_equal(scores(), before)
        with torch.no_grad():
            model.chain[0].V += 1.0
        assert not np.allclose(scores(), before)

    def test_every_autoencoder_is_trained(self, rows: Rows) -> None:
        model = Codigem(CodigemConfig(T=3, dim=4), ALL_ITEMS, generator())
        model.loss(rows, BACKEND, draws()).backward()
        assert all(step.V.grad.abs().sum() > 0 for step in model.chain)

    def test_the_loss_of_one_step_without_noise(self, rows: Rows, x: np.ndarray) -> None:
        config = CodigemConfig(T=1, step_beta=1e-12, dim=4, dropout=0.0, loss="square")
        model = Codigem(config, ALL_ITEMS, generator())
        scorer = scorer_of(model, NumpyBackend())
        expected = ((x - scorer.scores(rows)) ** 2).sum(axis=1).mean()
        assert loss_of(model, rows) == pytest.approx(expected, rel=1e-4)


class TestFactors:
    def test_bpr_by_hand(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # One user, two items; the random item of each interaction is item 1.
        monkeypatch.setattr(torch, "randint", lambda n, shape, **kwargs: torch.ones(shape).long())
        rows = Rows(np.arange(1), np.array([0, 1]), np.array([0], np.int32), np.ones(1, "f4"))
        model = MF(MFConfig(dim=2, decay=0.5, dropout=0.0), 1, 2, generator())
        with torch.no_grad():
            model.users[:] = torch.tensor([[1.0, 2.0]])
            model.items[:] = torch.tensor([[3.0, 0.0], [0.0, 1.0]])
        margin = 3.0 - 2.0
        expected = np.log1p(np.exp(-margin)) + 0.25 * (5 + 9 + 1)
        assert loss_of(model, rows) == pytest.approx(expected)

    def test_random_items_are_none_of_the_history(self) -> None:
        users, own, n_items = 100, 8, 80
        row, item = np.repeat(np.arange(users), own), np.tile(np.arange(own, dtype=np.int32), users)
        rows = Rows(np.arange(users), own * np.arange(users + 1), item, np.ones(len(item), "f4"))
        user, positive, negative = draw_pairs(rows, n_items, BACKEND, draws())
        assert user.tolist() == row.tolist()
        assert positive.tolist() == item.tolist()
        assert set(negative.tolist()) == set(range(own, n_items))

    def test_lightgcn_leaves_out_edges_and_rescales_the_rest(self) -> None:
        train = Sequences.from_rows(np.repeat(np.arange(40), 5), np.tile(np.arange(5), 40), 40)
        model = LightGCN(LightGCNConfig(dim=3, layers=1, dropout=0.5), train, 5, generator())
        whole = model.graph.whole.to_dense()

        def edges(seed: int) -> Numbers:
            return Draws(seed).at("edges", np.zeros(1, np.int64), train.size)

        drawn = torch.stack(
            [model.graph.thinned(0.5, edges(seed)).to_dense() for seed in range(300)]
        )
        assert (drawn[0] == 0).sum() > (whole == 0).sum()
        torch.testing.assert_close(drawn, drawn.transpose(1, 2))  # both ways at once
        torch.testing.assert_close(drawn.mean(0), whole, atol=0.02, rtol=0)

    def test_lightgcn_has_the_gradient_of_a_dense_product(self) -> None:
        train = Sequences.from_rows(np.array([0, 0, 1, 2]), np.array([0, 2, 2, 1]), users=3)
        model = LightGCN(LightGCNConfig(dim=3, layers=3), train, 4, generator())
        weights = torch.rand(7, 3, generator=generator())
        (model.propagated(model.graph.whole) * weights).sum().backward()
        S = model.graph.whole.to_dense()
        dense = sum(torch.linalg.matrix_power(S, k) for k in range(4)) / 4
        torch.testing.assert_close(model.embedding.grad, dense @ weights)

    @pytest.mark.parametrize("backend", [NumpyBackend(), BACKEND], ids=["numpy", "torch"])
    def test_known_and_unseen_users_have_the_ridge_regression_on_the_items(
        self, rows: Rows, backend
    ) -> None:
        V = np.random.default_rng(1).normal(size=(ITEMS, 3)).astype(np.float32)
        scorer = FactorScorer({"item_factors": V}, backend, FoldIn(2, 0.5, 3))
        mixed = Rows(np.array([2, -1, -1, 0]), rows.indptr, rows.items, rows.values)
        vectors = np.asarray(scorer.hidden(mixed))
        for row in range(len(mixed)):
            own = slice(rows.indptr[row], rows.indptr[row + 1])
            c = np.full(ITEMS, 0.5)
            c[rows.items[own]] = 2 * rows.values[own]
            target = np.zeros(ITEMS)
            target[rows.items[own]] = 1
            A = V.T @ (c[:, None] * V) + 3 * np.eye(3)
            np.testing.assert_allclose(
                vectors[row], np.linalg.solve(A, V.T @ (c * target)), rtol=1e-4, atol=1e-6
            )
        np.testing.assert_allclose(np.asarray(scorer.scores(mixed)), vectors @ V.T, rtol=1e-4)


class TestSequences:
    def test_the_newest_items_in_order(self, rows: Rows) -> None:
        short = rows.newest(2)
        assert short.items.tolist() == [0, 7, 2, 9, 10, 1]
        items, lengths = padded(short)
        assert items.tolist() == [[0, 7], [0, 0], [2, 9], [10, 1]]
        assert lengths.tolist() == [2, 0, 2, 2]

    @pytest.mark.parametrize("backend", [NumpyBackend(), BACKEND], ids=["numpy", "torch"])
    def test_inference_computes_what_training_does_without_noise(self, rows: Rows, backend) -> None:
        config = ACVAEConfig(dim=4, length=3, dropout=0.0)
        model = ACVAE(config, ITEMS, generator())
        with torch.no_grad():
            model.kernel.uniform_(generator=generator(9))
        items, lengths = padded(rows.newest(3))
        with torch.no_grad():
            _, read = model._states(model.E[torch.from_numpy(items)])
            last = read[np.arange(USERS), np.maximum(lengths - 1, 0)]
            expected = model._code(last, torch.zeros(USERS, 4)).numpy()
        with torch.no_grad():
            found = ACVAEScorer(
                FitConfig(comparator=config), stored_weights(model.scoring_weights()), backend
            ).hidden(rows)
        someone = lengths > 0
        np.testing.assert_allclose(np.asarray(found)[someone], expected[someone], atol=1e-5)

    def test_the_critic_learns_alone_and_the_model_hears_it(self, rows: Rows) -> None:
        model = ACVAE(ACVAEConfig(dim=4), ITEMS, generator())
        state, z = (torch.randn(6, 4, generator=generator(s), requires_grad=True) for s in (1, 2))
        estimate, lesson = model._criticism(state, z, torch.randn(6, 4, generator=generator(3)))
        critic = list(model.critic)
        assert torch.autograd.grad(estimate, critic, allow_unused=True) == (None, None)
        assert torch.autograd.grad(lesson, [state, z], allow_unused=True) == (None, None)
        assert all(g.abs().sum() > 0 for g in torch.autograd.grad(lesson, critic))

    def test_the_contrastive_term_is_least_where_users_are_told_apart(self) -> None:
        model = ACVAE(ACVAEConfig(dim=4), ITEMS, generator())
        state, row = 5 * torch.eye(4).repeat_interleave(2, 0), np.repeat(np.arange(4), 2)
        own = model._contrast(state, state, row, BACKEND)
        others = model._contrast(state, state.roll(2, 0), row, BACKEND)
        assert own < 0.01 < others

    def test_a_batch_of_single_items_has_a_loss_of_zero(self) -> None:
        rows = Rows(np.arange(2), np.arange(3), np.array([1, 2], np.int32), np.ones(2, "f4"))
        assert loss_of(ACVAE(ACVAEConfig(dim=4), ITEMS, generator()), rows) == 0.0
