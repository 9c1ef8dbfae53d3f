"""What every model promises, DiffRec's variants and those it is compared with alike.

On the checkerboard the right answer is known: even users want the even items they have
not seen, odd users the odd ones.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from diffrec_cli import workflows
from diffrec_cli.data import store as datasets
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.sequences import input_rows
from diffrec_cli.models.backend import NumpyBackend, TorchBackend
from diffrec_cli.models.scorer import build_scorer
from diffrec_cli.ranking.batches import rank
from diffrec_cli.registry import versions as registry

#: Where the models are fitted and measured: ``cuda``, ``mps``.
DEVICE = os.environ.get("DIFFREC_TEST_DEVICE", "cpu")
QUICK = {
    "dims": (16,),
    "batch_size": 10,
    "lr": 5e-3,
    "ema_decay": 0.9,  # a run of 360 updates needs a short memory
    "epochs": 60,
    "eval_every": 60,
    "seed": 3,
}
LATENT = {"z_dim": 8, "C": 2, "lr": 1e-2}
TRAINED = {name: QUICK[name] for name in ("batch_size", "epochs", "eval_every", "seed")} | {
    "lr": 0.02
}


_FITTED: dict[type, tuple[Path, object]] = {}


class ModelContract:
    """Inherited by one class a model."""

    variant: str
    values: Mapping[str, object] = QUICK

    @pytest.fixture
    def fitted(
        self, checkerboard: Dataset, isolated_home: Path, tmp_path_factory: pytest.TempPathFactory
    ):
        """Return a fit of this model; it is computed once, and each test has a copy."""
        kind = type(self)
        if kind in _FITTED:
            home, result = _FITTED[kind]
            shutil.copytree(home, isolated_home)
            return result
        result = self.fit(checkerboard)
        home = tmp_path_factory.mktemp(kind.__name__) / "home"
        _FITTED[kind] = shutil.copytree(isolated_home, home), result
        return result

    def fit(self, dataset: Dataset, **options):
        datasets.save(dataset)
        return workflows.fit(
            dataset.name,
            variant=self.variant,
            values={**self.values, **options.pop("values", {})},
            device=DEVICE,
            precision="fp32",
            **options,
        )

    def scorer(self, model: str, backend):
        artifact = registry.resolve(model)
        return build_scorer(artifact.config(), artifact.weights(), backend)

    def scores(self, model: str, backend) -> np.ndarray:
        artifact = registry.resolve(model)
        rows = input_rows(artifact.dataset().known, artifact.config().temporal)
        scorer = self.scorer(model, backend)
        scores: np.ndarray = scorer.backend.host(scorer.scores(rows))
        return scores

    def test_the_known_answer_is_found(self, fitted) -> None:
        table = workflows.recommend(fitted.model, all_users=True, k=2).table().to_pylist()
        assert len(table) == 60 * 2
        right = [int(row["user"][1:]) % 2 == int(row["item"][1:]) % 2 for row in table]
        assert np.mean(right) > 0.95

    def test_the_valid_metrics_are_those_of_the_stored_model(self, fitted) -> None:
        evaluated = workflows.evaluate([fitted.model], split="valid", device=DEVICE)
        stored = fitted.training.valid
        assert evaluated.results[0].evaluation.means == pytest.approx(dict(stored), abs=0.02)

    def test_seen_items_are_masked(self, fitted, checkerboard: Dataset) -> None:
        rows = workflows.recommend(fitted.model, all_users=True, k=40).table().to_pylist()
        known = {
            (f"u{user}", f"i{item:02d}")
            for user in range(60)
            for item in checkerboard.known.of(user)
        }
        assert not known & {(row["user"], row["item"]) for row in rows}
        assert len(rows) == 60 * 22  # everything else: 40 items less the 18 of each user

    def test_the_same_seed_gives_the_same_model(self, fitted, checkerboard: Dataset) -> None:
        again = self.fit(checkerboard)
        first, second = (registry.resolve(m).weights() for m in (fitted.model, again.model))
        assert fitted.model != again.model
        for name, array in first.items():
            np.testing.assert_array_equal(array, second[name])

    def test_numpy_and_torch_give_the_same_scores(self, fitted) -> None:
        on_numpy = self.scores(fitted.model, NumpyBackend())
        on_torch = self.scores(fitted.model, TorchBackend(DEVICE))
        np.testing.assert_allclose(on_numpy, on_torch, rtol=1e-3, atol=1e-4)

    def test_lists_do_not_hang_on_the_batch_size(self, fitted, checkerboard: Dataset) -> None:
        backend = NumpyBackend()
        scorer, temporal = (
            self.scorer(fitted.model, backend),
            registry.resolve(fitted.model).config().temporal,
        )
        lists = [
            np.concatenate(
                [
                    batch.items
                    for batch in rank(
                        scorer,
                        checkerboard.known,
                        5,
                        users=np.arange(60),
                        temporal=temporal,
                        users_per_batch=size,
                    )
                ]
            )
            for size in (1, 7, 60)
        ]
        np.testing.assert_array_equal(lists[0], lists[1])
        np.testing.assert_array_equal(lists[0], lists[2])

    def test_a_known_user_and_his_history_by_hand_get_the_same_list(
        self, fitted, checkerboard: Dataset, tmp_path: Path
    ) -> None:
        history = tmp_path / "history.txt"
        history.write_text("".join(f"i{item:02d}\n" for item in checkerboard.known.of(7)))
        known = workflows.recommend(fitted.model, users=["u7"], k=5).table()
        given = workflows.recommend(fitted.model, history=history, k=5).table()
        assert known["item"].to_pylist() == given["item"].to_pylist()

    def test_export_and_import_keep_the_scores(self, fitted, tmp_path: Path) -> None:
        archive = registry.export(fitted.model, tmp_path / "model.tar")
        imported = registry.import_(archive, "copy").record.reference
        np.testing.assert_array_equal(
            self.scores(fitted.model, NumpyBackend()), self.scores(imported, NumpyBackend())
        )

    def test_refit_learns_from_every_interaction(self, fitted, checkerboard: Dataset) -> None:
        refitted = self.fit(checkerboard, refit="all")
        assert refitted.training.refit
        assert refitted.training.epoch == fitted.training.epoch  # 0 of a closed form
        assert not np.array_equal(
            self.scores(fitted.model, NumpyBackend()), self.scores(refitted.model, NumpyBackend())
        )


class TestDiffRec(ModelContract):
    variant = "base"


class TestLDiffRec(ModelContract):
    variant = "l"
    values = QUICK | LATENT


class TestTDiffRec(ModelContract):
    variant = "t"


class TestLTDiffRec(ModelContract):
    variant = "lt"
    values = QUICK | LATENT


class TestSmoothing(ModelContract):
    variant = "base+smoothing"
    values = TRAINED | {"dim": 8, "rank": 8, "ema_decay": 0.9}


class TestTemporalSmoothing(ModelContract):
    variant = "t+smoothing"
    values = TRAINED | {"dim": 8, "rank": 8, "ema_decay": 0.9}


class TestMasking(ModelContract):
    variant = "t+masking"
    values = TRAINED | {"dim": 8, "ema_decay": 0.9}


class TestRandomMasking(ModelContract):
    variant = "base+masking"
    values = TRAINED | {"dim": 8, "ema_decay": 0.9}


class UserContract(ModelContract):
    """A model with a vector for each user: a stranger with the same history is close to it."""

    def test_a_known_user_and_his_history_by_hand_get_the_same_list(
        self, fitted, checkerboard: Dataset, tmp_path: Path
    ) -> None:
        history = tmp_path / "history.txt"
        history.write_text("".join(f"i{item:02d}\n" for item in checkerboard.known.of(7)))
        given = workflows.recommend(fitted.model, history=history, k=2).table()
        assert [int(item[1:]) % 2 for item in given["item"].to_pylist()] == [1, 1]


class TestMF(ModelContract):
    variant = "mf"
    values = TRAINED | {"dim": 8, "decay": 0.01}


class TestLightGCN(ModelContract):
    variant = "lightgcn"
    values = TRAINED | {"dim": 8, "dropout": 0.1}


class TestCDAE(UserContract):
    variant = "cdae"
    values = TRAINED | {"dim": 8, "loss": "multinomial", "weight_decay": 1.0}


class TestRecentCDAE(UserContract):
    variant = "cdae-t"
    values = TRAINED | {"dim": 8, "activation": "sigmoid", "weight_decay": 1.0}


class TestMultiDAE(ModelContract):
    variant = "multidae"
    values = TRAINED | {"dims": (8, 16)}


class TestMultiDAEPlus(ModelContract):
    variant = "multidae++"
    values = TRAINED | {"dims": (16,), "s": 0.1}


class TestMultiVAE(ModelContract):
    variant = "multivae"
    values = TRAINED | {"dims": (8, 16), "beta_updates": 100}


class TestShallowMultiVAE(ModelContract):
    variant = "multivae"
    values = TRAINED | {"dims": (8,), "beta_updates": 100}


class TestCODIGEM(ModelContract):
    variant = "codigem"
    values = TRAINED | {"dim": 16}


class TestSASRec(ModelContract):
    variant = "sasrec"
    values = TRAINED | {"dim": 16, "lr": 5e-3, "length": 20}


class TestACVAE(ModelContract):
    variant = "acvae"
    values = TRAINED | {"dim": 8, "length": 20, "dropout": 0.1}


class ClosedFormContract(ModelContract):
    """A model without epochs, with its defaults."""

    values = MappingProxyType({})

    def test_a_seed_means_nothing_to_it(self, fitted, checkerboard: Dataset) -> None:
        assert self.fit(checkerboard, values={"seed": 5}).training.epochs == 0


class TestItemKNN(ClosedFormContract):
    variant = "itemknn"


class TestUserKNN(ClosedFormContract):
    variant = "userknn"


class TestEASE(ClosedFormContract):
    variant = "ease"


class TestRecentEASE(ClosedFormContract):
    variant = "ease-t"

    def test_recency_weighs_what_is_read_not_what_is_learnt(self, fitted, checkerboard) -> None:
        plain = workflows.fit(checkerboard.name, variant="ease", device=DEVICE)
        B, of_ones = (registry.resolve(m).weights()["B"] for m in (fitted.model, plain.model))
        np.testing.assert_array_equal(B, of_ones)
        assert not np.allclose(
            self.scores(fitted.model, NumpyBackend()), self.scores(plain.model, NumpyBackend())
        )


class TestRP3beta(ClosedFormContract):
    variant = "rp3beta"


class TestSLIM(ClosedFormContract):
    variant = "slim"


class TestIALS(ClosedFormContract):
    variant = "ials"
    values = MappingProxyType({"dim": 4})


class TestGraph(ClosedFormContract):
    variant = "graph"


class TestGraphT(ClosedFormContract):
    variant = "graph-t"


class TestMarkov(ClosedFormContract):
    variant = "markov"


class TestEASEOfNeighbours(ClosedFormContract):
    variant = "ease"
    values = MappingProxyType({"neighbours": 5})


class TestSmoothingWithGraph(ModelContract):
    variant = "base+smoothing+graph"
    values = TestSmoothing.values


class TestTemporalWithGraph(ModelContract):
    variant = "t+graph"
    values = QUICK | {"neighbours": 5}


class TestIALSWithGraph(ClosedFormContract):
    variant = "ials+graph"
    values = MappingProxyType({"dim": 4})
