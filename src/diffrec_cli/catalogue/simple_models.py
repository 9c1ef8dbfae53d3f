"""Simple models, which have no epochs: their settings and their rows.

Search spaces are usual ranges of the literature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from diffrec_cli.catalogue.registered import register
from diffrec_cli.catalogue.rows import Code, Model, Space, Values
from diffrec_cli.config import Comparator
from diffrec_cli.config.checks import (
    AT_LEAST_1,
    FINITE,
    NonNegative,
    Positive,
    Range,
    Size,
)

_NEIGHBOURS: Space = {"neighbours": (20, 50, 100, 200, 500), "shrink": (0.0, 1.0, 10.0, 100.0)}
_MORE_NEIGHBOURS: tuple[Values, ...] = (
    {"neighbours": 200, "shrink": 10.0},
    {"neighbours": 200, "shrink": 100.0},
)
_ITEM_TO_ITEM = Code(".models.baselines.item_to_item:ItemToItemScorer")


@dataclass(frozen=True)
class PopularityConfig(Comparator):
    """The items that most users have, the same for everyone."""

    model: ClassVar[str] = "popularity"
    weighted: ClassVar[bool] = False


register(
    Model(
        PopularityConfig,
        fit=Code(".models.baselines.popularity:fit_popularity"),
        scorer=Code(".models.baselines.popularity:PopularityScorer"),
        short="pop",
    )
)


@dataclass(frozen=True)
class RepeatConfig(Comparator):
    """A user's own items by how often and how lately they had them, and then popular ones."""

    model: ClassVar[str] = "repeat"


register(
    Model(
        RepeatConfig,
        fit=Code(".models.baselines.repeat:fit_repeat"),
        scorer=Code(".models.baselines.repeat:RepeatScorer"),
    )
)


@dataclass(frozen=True)
class ItemKNNConfig(Comparator):
    """Items like those of the history, by cosine (Sarwar et al., WWW 2001)."""

    model: ClassVar[str] = "itemknn"

    neighbours: Size = 100
    """Number of nearest neighbours of an item."""
    shrink: NonNegative = 0.0
    """Added to the cosine's denominator: items with few users in common are less similar."""


register(
    Model(
        ItemKNNConfig,
        fit=Code(".models.baselines.itemknn:fit_itemknn"),
        scorer=_ITEM_TO_ITEM,
        tries=_MORE_NEIGHBOURS,
        space=_NEIGHBOURS,
    )
)


@dataclass(frozen=True)
class UserKNNConfig(Comparator):
    """Items of users like this one, by cosine (Resnick et al., CSCW 1994)."""

    model: ClassVar[str] = "userknn"

    neighbours: Size = 100
    """Number of nearest users."""
    shrink: NonNegative = 0.0
    """Added to the cosine's denominator: users with few items in common are less similar."""


register(
    Model(
        UserKNNConfig,
        of_users=("",),
        fit=Code(".models.baselines.userknn:fit_userknn"),
        scorer=Code(".models.baselines.userknn:UserKNNScorer"),
        tries=_MORE_NEIGHBOURS,
        space=_NEIGHBOURS,
    )
)


@dataclass(frozen=True)
class EASEConfig(Comparator):
    """The best linear item-to-item model with a zero diagonal (Steck, WWW 2019)."""

    model: ClassVar[str] = "ease"

    lambda_: Positive = 500.0
    """Weight of the ridge penalty."""
    neighbours: Annotated[int | None, AT_LEAST_1] = None
    """Number of items that may predict an item, those that tell most about it. ``None`` is all of
    them, which takes a matrix of items x items; where that does not fit into memory, it is 200."""
    user_exponent: Annotated[float, FINITE] = 0.0
    """Users are weighted by their degree to this power."""
    item_exponent: Annotated[float, FINITE] = 0.0
    """Items are scaled by their degree to this power before the fit, and back after it."""


register(
    Model(
        EASEConfig,
        fit=Code(".models.baselines.ease:fit_ease"),
        scorer=Code(".models.baselines.ease:ease_scorer"),
        space={"lambda": (10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0)},
        memory=Code(".models.baselines.ease:memory"),
        sized=Code(".models.baselines.ease:sized"),
    )
)


@dataclass(frozen=True)
class RP3betaConfig(Comparator):
    """Random walks of three steps, popular items down-weighted (Paudel et al., TiiS 2017)."""

    model: ClassVar[str] = "rp3beta"

    alpha: Positive = 1.0
    """Exponent of the transition probabilities."""
    popularity: NonNegative = 0.6
    """Exponent beta of an item's popularity, by which its score is divided."""
    neighbours: Size = 200
    """Number of items of largest weight kept for an item."""


register(
    Model(
        RP3betaConfig,
        fit=Code(".models.baselines.rp3beta:fit_rp3beta"),
        scorer=_ITEM_TO_ITEM,
        space={
            "alpha": (0.4, 0.7, 1.0, 1.3),
            "popularity": (0.0, 0.2, 0.4, 0.6, 0.8),
            "neighbours": (50, 100, 200, 500),
        },
    )
)


@dataclass(frozen=True)
class SLIMConfig(Comparator):
    """A sparse linear item-to-item model, by elastic net (Ning and Karypis, ICDM 2011)."""

    model: ClassVar[str] = "slim"

    l1: NonNegative = 1.0
    """Weight of the L1 penalty."""
    l2: Positive = 100.0
    """Weight of the L2 penalty."""
    iterations: Size = 50
    """Iterations of the solver (ADMM)."""
    step: Positive = 1000.0
    """Penalty rho of the solver."""


register(
    Model(
        SLIMConfig,
        fit=Code(".models.baselines.slim:fit_slim"),
        scorer=_ITEM_TO_ITEM,
        space={"l1": (0.1, 1.0, 3.0, 10.0, 30.0), "l2": (1.0, 10.0, 100.0, 300.0, 1000.0)},
        memory=Code(".models.baselines.slim:memory"),
    )
)


@dataclass(frozen=True)
class IALSConfig(Comparator):
    """Implicit alternating least squares (Hu, Koren and Volinsky, ICDM 2008)."""

    model: ClassVar[str] = "ials"

    dim: Size = 64
    """Size of a factor."""
    confidence: Positive = 10.0
    """Weight of an interaction; a missing one has weight 1."""
    regularization: Positive = 1.0
    """Weight of the L2 penalty."""
    iterations: Size = 15
    """Number of iterations."""
    seed: Annotated[int, Range("0 to 2**31 - 1", lambda seed: 0 <= seed < 2**31)] = 1
    """Seed of the initial factors."""


register(
    Model(
        IALSConfig,
        fit=Code(".models.baselines.ials:fit_ials"),
        scorer=Code(".models.baselines.ials:ials_scorer"),
        takes_graph=True,
        tries=(
            {"confidence": 40.0, "regularization": 2.0},
            {"dim": 256, "confidence": 40.0, "regularization": 2.0},
        ),
        space={
            "dim": (32, 64, 128, 256),
            "confidence": (2.0, 5.0, 10.0, 20.0, 40.0),
            "regularization": (0.1, 1.0, 10.0, 50.0),
        },
    )
)
