"""How ``auto`` reads the size of a log."""

from __future__ import annotations

#: Train interactions of a user, on average, below and from which settings differ.
SPARSE, DENSE = 3.0, 30.0
#: Users from which ``auto`` uses what was best on MovieLens-1M instead of on smaller logs.
LARGE = 3000


def batch_size(users: int, *, updates: int) -> int:
    """Return the size that makes an epoch `updates` updates, between 100 users and the paper's 400.

    On small logs it is 100, or fewer so that an epoch has ten updates.
    """
    if users < 100 * updates:
        return max(50, min(100, users // 10))
    return min(400, users // updates)
