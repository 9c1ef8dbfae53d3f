"""How the settings of ``auto`` depend on the size of a log."""

from __future__ import annotations

#: Mean train interactions of a user at which settings change.
SPARSE, DENSE = 3.0, 30.0
#: Users from which ``auto`` uses the best settings on MovieLens-1M instead of on smaller logs.
LARGE = 3000
#: Users from which ``auto`` trains `base` and `t` in large batches, and counts updates, not passes.
MANY = 24_000


def batch_size(users: int, *, updates: int) -> int:
    """Return the batch size for so many updates an epoch: 100 to the paper's 400 users.

    On small logs it is 50 to 100, for ten updates an epoch.
    """
    if users < 100 * updates:
        return max(50, min(100, users // 10))
    return min(400, users // updates)
