"""Patience counts epochs since the best one."""

from diffrec_cli.training.early_stopping import EarlyStopping


def test_stops_when_patience_runs_out() -> None:
    stopping = EarlyStopping(patience=3)
    values = [0.1, 0.3, 0.2, 0.3, 0.29]
    better = [stopping.better(epoch, value) for epoch, value in enumerate(values, start=1)]
    assert better == [True, True, False, False, False]  # an equal value is not better
    assert stopping.best_epoch == 2
    assert not stopping.exhausted(4)
    assert stopping.exhausted(5)


def test_never_stops_before_a_first_value() -> None:
    assert not EarlyStopping(patience=1).exhausted(100)
