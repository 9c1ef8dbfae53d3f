"""From a comparator's settings to a model that learns, and from its arrays to a scorer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from diffrec_cli.config import Comparator, FitConfig
from diffrec_cli.config.comparators import (
    ACVAEConfig,
    CDAEConfig,
    CodigemConfig,
    EASEConfig,
    IALSConfig,
    LightGCNConfig,
    MFConfig,
    MultiDAEConfig,
    MultiDAEPlusConfig,
    MultiVAEConfig,
    PopularityConfig,
    UserKNNConfig,
)
from diffrec_cli.data.sequences import Sequences
from diffrec_cli.models.backend import Backend
from diffrec_cli.models.baselines.ease import EASEScorer
from diffrec_cli.models.baselines.popularity import PopularityScorer
from diffrec_cli.models.baselines.scoring import ItemToItemScorer
from diffrec_cli.models.baselines.userknn import UserKNNScorer
from diffrec_cli.models.comparators.scoring import AutoencoderScorer, FactorScorer, FoldIn
from diffrec_cli.models.comparators.sequences import SequenceScorer

if TYPE_CHECKING:
    import torch

    from diffrec_cli.models.scoring import Scorer
    from diffrec_cli.models.trainable import Trainable


def build_comparator(
    config: FitConfig, train: Sequences, n_items: int, generator: torch.Generator
) -> Trainable:
    """Return a comparator that learns.

    Parameters
    ----------
    config
        Settings with a comparator that trains.
    train
        The interactions; some models have a vector for each user, or a graph.
    n_items
        |I|.
    generator
        Source of the initial weights, on the CPU.
    """
    from diffrec_cli.models.comparators import acvae, autoencoders, codigem, lightgcn, mf

    comparator = config.comparator
    match comparator:
        case MFConfig():
            return mf.MF(comparator, len(train), n_items, generator)
        case LightGCNConfig():
            return lightgcn.LightGCN(comparator, train, n_items, generator)
        case CDAEConfig():
            return autoencoders.CDAE(comparator, len(train), n_items, generator)
        case MultiDAEPlusConfig():
            return autoencoders.MultiDAEPlus(comparator, config.diffusion, n_items, generator)
        case MultiVAEConfig():
            return autoencoders.MultiVAE(comparator, n_items, generator)
        case MultiDAEConfig():
            return autoencoders.MultiDAE(comparator, n_items, generator)
        case CodigemConfig():
            return codigem.Codigem(comparator, n_items, generator)
        case ACVAEConfig():
            return acvae.ACVAE(comparator, n_items, generator)
    raise ValueError(f"{config.variant} does not train")


def comparator_scorer(
    comparator: Comparator, weights: Mapping[str, Any], backend: Backend
) -> Scorer:
    """Return the scorer of a comparator, see :func:`~diffrec_cli.models.scoring.build_scorer`."""
    match comparator:
        case MFConfig() | LightGCNConfig():
            return FactorScorer(weights, backend, FoldIn())
        case IALSConfig(confidence=seen, regularization=ridge):
            return FactorScorer(weights, backend, FoldIn(seen, 1.0, ridge))
        case PopularityConfig():
            return PopularityScorer(weights)
        case EASEConfig():
            return EASEScorer(weights, backend)
        case UserKNNConfig():
            return UserKNNScorer(comparator, weights)
        case ACVAEConfig():
            return SequenceScorer(comparator, weights, backend)
    if "indptr" in weights:
        return ItemToItemScorer(weights)
    return AutoencoderScorer(comparator, weights, backend)
