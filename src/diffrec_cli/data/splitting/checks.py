"""What a split needs: columns for its options, and something that is left."""

from __future__ import annotations

from diffrec_cli.config import SplitOptions
from diffrec_cli.data.order import TIMES
from diffrec_cli.data.reading.log import Log
from diffrec_cli.errors import DataError


def check_needs(log: Log, options: SplitOptions) -> None:
    """Raise a :class:`DataError` if the log has no column that an option needs."""
    askers = {
        "--setting temporal": options.setting == "temporal",
        "--split-by time": options.split_by == "time",
        "--order times": options.order == TIMES,
        "--since": options.since is not None,
        "--until": options.until is not None,
        "--test-from": options.test_from is not None,
    }
    asker = next((option for option, asks in askers.items() if asks), None)
    if log.time is None and asker is not None:
        raise DataError(
            f"{asker} needs timestamps and the log has no time column",
            "name the column with --time-col, or leave that option out",
        )
    if log.rating is None and options.min_rating is not None:
        raise DataError(
            "--min-rating needs ratings and the log has no rating column",
            "name the column with --rating-col, or leave that option out",
        )
    if options.setting == "noisy" and log.strength is not None:
        raise DataError(
            "--setting noisy takes interactions that are all alike, and these have strengths",
            "leave out --event-weights and --weight-col, or --setting noisy",
        )
    natural = options.setting == "noisy" and options.noise == "natural"
    if natural and log.rating is None:
        raise DataError(
            "--setting noisy takes its noise from low ratings and the log has no rating column",
            "name the column with --rating-col, or use --noise random --noise-ratio 0.3",
        )


def check_not_empty(log: Log, options: SplitOptions, n_users: int, n_items: int) -> None:
    """Raise a :class:`DataError` if there are fewer than two users, or two items."""
    for what, left in (("user", n_users), ("item", n_items)):
        if left < 2:
            raise DataError(
                f"{left} {what}{'' if left == 1 else 's'} left after filtering; "
                "a recommender needs two or more",
                _what_leaves_more(log, options),
            )


def _what_leaves_more(log: Log, options: SplitOptions) -> str:
    """Return the advice for a log of which too little is left, by what it has and what was said."""
    filters = {
        "--min-user-interactions": options.min_user_interactions > 1,
        "--min-item-interactions": options.min_item_interactions > 1,
    }
    lower = [option for option, said in filters.items() if said]
    if log.rating is not None:
        lower.insert(0, "--min-rating")
    advice = ["give more data", *([f"lower {' and '.join(lower)}"] if lower else [])]
    if options.since is not None or options.until is not None:
        advice.append("a wider window")
    if options.test_from is not None:
        advice.append("a later --test-from")
    return " or ".join(advice)
