"""Early stopping: no better selection metric for `patience` epochs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class EarlyStopping:
    """Keeps the best epoch and says when to stop.

    Parameters
    ----------
    patience
        Stop after so many epochs without a better value.
    best, best_epoch
        Best value so far and its epoch (from 1); epoch 0 means none yet.
    """

    patience: int
    best: float = float("-inf")
    best_epoch: int = 0

    def better(self, epoch: int, value: float) -> bool:
        """Record the value of an epoch; return whether it is the best so far."""
        if value <= self.best:
            return False
        self.best, self.best_epoch = value, epoch
        return True

    def exhausted(self, epoch: int) -> bool:
        """Return whether patience has run out at this epoch."""
        return self.best_epoch > 0 and epoch - self.best_epoch >= self.patience
