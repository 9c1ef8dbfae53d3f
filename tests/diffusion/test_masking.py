import numpy as np
import pytest

from diffrec_cli.catalogue.masking import MaskingConfig
from diffrec_cli.data.sequences import Sequences, input_rows
from diffrec_cli.diffusion.masking import Masking
from diffrec_cli.diffusion.randomness import Draws


def rows_of(*histories: list[int]):
    rows = np.repeat(np.arange(len(histories)), [len(h) for h in histories])
    items = np.concatenate([np.array(h, int) for h in histories])
    return input_rows(Sequences.from_rows(rows, items, len(histories)), None)


def lists(rows) -> list[list[int]]:
    return [rows.items[a:b].tolist() for a, b in zip(rows.indptr, rows.indptr[1:], strict=False)]


def drawn(config: MaskingConfig, *histories: list[int], seed: int = 0):
    cuts = [len(history) - 1 for history in histories if len(history) > 1]
    mean_cuts = sum(cuts) / len(cuts) if cuts else 1.0
    return Masking(config, mean_cuts).draw(rows_of(*histories), Draws(seed))


class TestInTime:
    def test_a_state_keeps_what_is_before_a_cut_and_restores_what_follows(self) -> None:
        states = drawn(MaskingConfig(states=9, horizon=0.0), [4, 2, 9, 7])
        assert lists(states.kept) == [[4], [4, 2], [4, 2, 9]]
        assert lists(states.masked) == [[2], [9], [7]]
        np.testing.assert_array_equal(states.masked.values, 1.0)

    def test_of_a_long_history_there_are_so_many_states_spread_over_it(self) -> None:
        states = drawn(MaskingConfig(states=4), list(range(41)))
        cuts = np.diff(states.kept.indptr)
        assert [(cut - 1) // 10 for cut in cuts] == [0, 1, 2, 3]

    def test_longer_histories_have_more_states_but_not_without_limit(self) -> None:
        states = drawn(MaskingConfig(states=2), list(range(31)), list(range(11)))
        assert np.bincount(states.kept.users).tolist() == [3, 1]
        one_of_many = [list(range(3001)), *([[1, 2]] * 999)]
        states = drawn(MaskingConfig(states=1), *one_of_many)
        assert np.bincount(states.kept.users).max() == 64

    def test_all_cuts_are_drawn_sooner_or_later_and_none_keeps_or_hides_all(self) -> None:
        cuts = {
            cut
            for seed in range(200)
            for cut in np.diff(
                drawn(MaskingConfig(states=2), list(range(8)), seed=seed).kept.indptr
            )
        }
        assert cuts == set(range(1, 8))

    def test_nearer_interactions_weigh_more_and_all_weights_sum_to_1(self) -> None:
        states = drawn(MaskingConfig(states=9, horizon=1.0), [0, 1, 2, 3, 4, 5, 6, 7])
        first = states.masked.values[: states.masked.indptr[1]]
        np.testing.assert_allclose(first, np.array([16, 8, 4, 2, 1]) / 31, rtol=1e-6)
        sums = np.add.reduceat(states.masked.values, states.masked.indptr[:-1])
        np.testing.assert_allclose(sums, 1.0, rtol=1e-6)

    def test_histories_of_one_item_have_no_state(self) -> None:
        states = drawn(MaskingConfig(), [3], [], [1, 2])
        assert states.kept.users.tolist() == [2]
        assert len(drawn(MaskingConfig(), [3], []).kept) == 0

    def test_a_kernel_halves_with_age_and_sums_to_1(self) -> None:
        (read,) = Masking(MaskingConfig(half_lives=(1.0,))).kernels(rows_of([5, 6, 7], [8]))
        np.testing.assert_allclose(read.values, [1 / 7, 2 / 7, 4 / 7, 1.0], rtol=1e-6)
        assert read.items.tolist() == [5, 6, 7, 8]

    def test_a_kernel_does_not_read_what_weighs_less_than_a_64th(self) -> None:
        narrow, wide = Masking(MaskingConfig(half_lives=(1.0, 2.0))).kernels(
            rows_of(list(range(20)))
        )
        assert (len(narrow.items), len(wide.items)) == (7, 13)
        assert narrow.items[-1] == 19

    def test_ages_are_counted_with_what_dropout_takes_away(self) -> None:
        present = np.array([True, False, True, False])
        (read,) = Masking(MaskingConfig(half_lives=(1.0,))).kernels(
            rows_of([1, 2, 3], [4]), present
        )
        assert lists(read) == [[1, 3], []]
        np.testing.assert_allclose(read.values, [0.2, 0.8], rtol=1e-6)


class TestAtRandom:
    CONFIG = MaskingConfig(half_lives=(), states=2)

    def test_what_is_kept_and_what_is_masked_are_the_history(self) -> None:
        history = [5, 3, 8, 1, 6]
        states = drawn(self.CONFIG, history, [7, 2])
        assert len(states.kept) == 4
        for kept, masked, user in zip(
            lists(states.kept), lists(states.masked), states.kept.users, strict=True
        ):
            assert kept
            assert masked
            assert sorted(kept + masked) == sorted([history, [7, 2]][user])

    def test_all_that_is_masked_weighs_the_same(self) -> None:
        states = drawn(self.CONFIG, list(range(10)))
        lengths = np.diff(states.masked.indptr)
        np.testing.assert_allclose(states.masked.values, np.repeat(1 / lengths, lengths), rtol=1e-6)

    def test_shares_from_nearly_none_to_nearly_all_are_masked(self) -> None:
        states = drawn(MaskingConfig(half_lives=(), states=500), list(range(10)))
        assert set(np.diff(states.masked.indptr)) == set(range(1, 10))

    def test_every_interaction_is_read_alike(self) -> None:
        (read,) = Masking(self.CONFIG).kernels(rows_of([5, 6], [8]))
        np.testing.assert_allclose(read.values, [0.5, 0.5, 1.0])


@pytest.mark.parametrize("half_lives", [(0.0,), (-1.0, 2.0), (float("inf"),)])
def test_half_lives_are_numbers_above_0(half_lives) -> None:
    from diffrec_cli.errors import ConfigError

    with pytest.raises(ConfigError, match="half_lives"):
        MaskingConfig(half_lives=half_lives)
