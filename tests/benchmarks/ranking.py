"""Full ranking with metrics: the package, the step-by-step reference, and the hardware floor."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from diffrec_cli.data.sequences import Sequences
from diffrec_cli.evaluation.metrics import per_user
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.build import build_model
from diffrec_cli.models.diffrec import DiffRec
from diffrec_cli.models.scorer import build_scorer
from diffrec_cli.ranking.batches import rank
from tests.benchmarks import reference
from tests.benchmarks.measure import Times, side_by_side
from tests.benchmarks.sizes import AMAZON, ML_1M, YELP, Size, histories, settings

K = 20
CASES = ((ML_1M, (200, 600), 40), (YELP, (1000,), 5), (AMAZON, (1000,), 5))

Row = dict[str, object]


class Case:
    """One model and some users to rank for.

    The weights are those of the beginning, their outputs spread so that scores differ about as
    much as a trained model's: how many candidates bf16 must score again hangs on that.
    """

    def __init__(self, size: Size, dims: tuple[int, ...], T: int, users: int, device: str) -> None:
        model = build_model(settings(dims, T), size.items)
        assert isinstance(model, DiffRec)
        self.model, self.device, self.hidden = model.to(device).eval(), device, dims[-1]
        history = histories(size)
        self.history = history.take(np.arange(min(users, len(history))))
        rng = np.random.default_rng(1)
        truth = rng.integers(0, size.items, len(self.history) * 4)
        self.truth = Sequences.from_rows(
            np.repeat(np.arange(len(self.history)), 4), truth, len(self.history)
        )
        self.backend = TorchBackend(device)
        self.scorer = build_scorer(settings(dims, T), model.scoring_weights(), self.backend)

    def package(self, precision: str) -> np.ndarray:
        """Rank with the package; return the lists."""
        lists = []
        with torch.inference_mode():
            for batch in rank(self.scorer, self.history, K, seen=self.history, precision=precision):
                users = np.arange(batch.start, batch.start + len(batch.items))
                per_user(batch.items, self.truth.take(users), (10, K))
                lists.append(batch.items)
        return np.concatenate(lists)

    def reference(self) -> np.ndarray:
        """Rank step by step; return the lists."""
        lists = []
        for users, items in reference.rank(self.model, self.history, K, self.device):
            items = items.cpu().numpy()
            per_user(items, self.truth.take(np.arange(users.start, users.stop)), (10, K))
            lists.append(items)
        return np.concatenate(lists)

    def floor(self) -> None:
        """Compute the product as wide as the catalogue and its top-K alone."""
        V, b = self.model.denoiser.V, self.model.denoiser.b_out
        h = torch.randn(1024, V.shape[1], device=self.device)
        with torch.inference_mode():
            out = torch.empty(len(h), len(V), device=self.device)
            for start in range(0, len(self.history), len(h)):
                left = min(len(h), len(self.history) - start)
                torch.addmm(b, h[:left], V.T, out=out[:left])
                out[:left].topk(K, dim=1)
            _wait(self.device)


def run(users: int, rounds: int, device: str) -> Iterator[Row]:
    """Measure every case."""
    for size, dims, T in CASES:
        case = Case(size, dims, T, users, device)
        ways: dict[str, Callable[[], object]] = {
            "reference": case.reference,
            "float32": lambda case=case: case.package("fp32"),
            "bf16 candidates": lambda case=case: case.package("bf16"),
            "floor": case.floor,
        }
        times = side_by_side(ways, rounds)
        lists = {"float32": case.package("fp32"), "bf16 candidates": case.package("bf16")}
        wanted = case.reference()
        for name, got in lists.items():
            yield _row(size, dims, T, name, times, len(case.history)) | {
                "same lists as": "reference" if name == "float32" else "float32",
                "share": float(np.mean((got == wanted).all(axis=1))),
            }
            wanted = got


def _row(
    size: Size, dims: tuple[int, ...], T: int, name: str, times: dict[str, Times], users: int
) -> Row:
    return {
        "size": size.name,
        "hidden": str(list(dims)),
        "T": T,
        "way": name,
        "us a user": 1e6 * times[name].median / users,
        "faster than the reference": times["reference"].over(times[name]),
        "times the floor": times[name].over(times["floor"]),
    }


def steps(users: int, rounds: int, device: str) -> Iterator[Row]:
    """Measure how the time grows with T."""
    cases = {T: Case(YELP, (1000,), T, users, device) for T in (1, 5, 20, 100)}
    for precision in ("fp32", "bf16"):
        ways = {
            str(T): (lambda case=case, precision=precision: case.package(precision))
            for T, case in cases.items()
        }
        times = side_by_side(ways, rounds)
        for T in cases:
            yield {
                "size": "yelp",
                "hidden": "[1000]",
                "precision": precision,
                "T": T,
                "times T = 5": times[str(T)].over(times["5"]),
            }


def growth(users: int, rounds: int, device: str) -> Iterator[Row]:
    """Measure how the time grows with users, items and hidden size, each doubled from a middle."""
    middle = {"users": users // 2, "items": 16_000, "hidden": 500}
    sizes = [middle] + [middle | {name: 2 * value} for name, value in middle.items()]
    ways: dict[str, Callable[[], object]] = {}
    for size in sizes:
        data = Size("made", size["users"], size["items"], size["users"] * 20)
        case = Case(data, (size["hidden"],), 5, size["users"], device)
        ways[str(size)] = lambda case=case: case.package("fp32")
    times = side_by_side(ways, rounds)
    for size in sizes:
        yield {**size, "times the first": times[str(size)].over(times[str(middle)])}


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()
