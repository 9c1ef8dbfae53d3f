"""The models that the paper compares DiffRec with (section 4.1.2): their settings and their rows.

Search spaces are the paper's grids (section 4.1.3), less what changes no list (CODIGEM's
autoencoders beyond the tenth). What ``auto`` changes was chosen on valid Recall@20 of MovieLens-1M
(``examples/reproduce/comparators.csv`` has the trials).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from diffrec_cli.catalogue.registered import register
from diffrec_cli.catalogue.rows import Code, Model, Space, Values
from diffrec_cli.config import Comparator
from diffrec_cli.config.values import check, choice

Activation = Literal["tanh", "sigmoid", "relu"]
_ACTIVATIONS = ("tanh", "sigmoid", "relu")

_LR: Space = {"lr": (1e-5, 1e-4, 1e-3, 1e-2)}
_DROPOUT: Space = {"dropout": (0.1, 0.3, 0.5, 0.7)}
_AUTOENCODER: Space = {**_LR, **_DROPOUT, "weight_decay": (0.0, 1e-3, 1e-1)}
_EMBEDDING: Space = {
    **_LR,
    "dropout": (0.1, 0.2, 0.3, 0.4, 0.5),
    "decay": (1e-6, 1e-5, 1e-4),
}
_MULTIDAE: Values = {"lr": 3e-4, "ema_decay": 0.99, "dropout": 0.7}
_AUTOENCODER_SCORER = Code(".models.comparators.autoencoders_inference:AutoencoderScorer")


def _embedding(dim: int, decay: float, dropout: float) -> None:
    check(dim >= 1, "dim", dim, "1 or more")
    check(decay >= 0, "decay", decay, "0 or more")
    _dropout(dropout)


def _dims(dims: tuple[int, ...]) -> None:
    check(len(dims) > 0 and min(dims) >= 1, "dims", dims, "one or more sizes of 1 or more")


def _dropout(rate: float) -> None:
    check(0 <= rate < 1, "dropout", rate, "0 or more and below 1")


@dataclass(frozen=True)
class MFConfig(Comparator):
    """Matrix factorisation with the BPR loss (Rendle et al., UAI 2009)."""

    model: ClassVar[str] = "mf"
    groups: ClassVar[tuple[str, ...]] = ("training",)
    weighted: ClassVar[bool] = False

    dim: int = 64
    """Size of an embedding."""
    decay: float = 1e-4
    """Weight of the L2 penalty on the embeddings of a batch."""
    dropout: float = 0.1
    """Dropout on the user's embedding."""

    def __post_init__(self) -> None:
        """Check every field and name the one that is wrong."""
        _embedding(self.dim, self.decay, self.dropout)


register(
    Model(
        MFConfig,
        build=Code(".models.comparators.mf:MF.of"),
        scorer=Code(".models.comparators.factors_inference:trained_factors"),
        space=_EMBEDDING,
        auto={"decay": 1e-2},
    )
)


@dataclass(frozen=True)
class LightGCNConfig(Comparator):
    """Embeddings smoothed over the user-item graph, with the BPR loss (He et al., SIGIR 2020)."""

    model: ClassVar[str] = "lightgcn"
    groups: ClassVar[tuple[str, ...]] = ("training",)
    weighted: ClassVar[bool] = False

    dim: int = 64
    """Size of an embedding."""
    layers: int = 3
    """Propagations over the graph."""
    decay: float = 1e-4
    """Weight of the L2 penalty on the embeddings of a batch."""
    dropout: float = 0.0
    """Share of the graph's edges that a step leaves out."""

    def __post_init__(self) -> None:
        """Check every field and name the one that is wrong."""
        _embedding(self.dim, self.decay, self.dropout)
        check(self.layers >= 0, "layers", self.layers, "0 or more")


register(
    Model(
        LightGCNConfig,
        build=Code(".models.comparators.lightgcn:LightGCN.of"),
        scorer=Code(".models.comparators.factors_inference:trained_factors"),
        space={**_EMBEDDING, "layers": (1, 2, 3)},
        auto={"lr": 5e-3, "layers": 2, "dropout": 0.3},
        updates=15,  # each passes over the whole graph
    )
)


@dataclass(frozen=True)
class CDAEConfig(Comparator):
    """A denoising autoencoder of one layer with a vector for each user (Wu et al., WSDM 2016)."""

    model: ClassVar[str] = "cdae"
    groups: ClassVar[tuple[str, ...]] = ("training",)

    dim: int = 200
    """Size of the hidden layer."""
    dropout: float = 0.5
    """Dropout on the history."""
    activation: Activation = "tanh"
    """Of the hidden layer."""
    loss: Literal["logistic", "square", "multinomial"] = "logistic"
    """What a score is held against the history by."""

    def __post_init__(self) -> None:
        """Check every field and name the one that is wrong."""
        check(self.dim >= 1, "dim", self.dim, "1 or more")
        _dropout(self.dropout)
        choice("activation", self.activation, _ACTIVATIONS)
        choice("loss", self.loss, ("logistic", "square", "multinomial"))


register(
    Model(
        CDAEConfig,
        build=Code(".models.comparators.autoencoders:CDAE.of"),
        scorer=_AUTOENCODER_SCORER,
        space={**_AUTOENCODER, "activation": ("sigmoid", "relu", "tanh")},
    )
)


@dataclass(frozen=True)
class MultiDAEConfig(Comparator):
    """A denoising autoencoder with multinomial likelihood (Liang et al., WWW 2018)."""

    model: ClassVar[str] = "multidae"
    groups: ClassVar[tuple[str, ...]] = ("training",)

    dims: tuple[int, ...] = (200, 600)
    """Hidden sizes from the middle outwards."""
    dropout: float = 0.5
    """Dropout on the normalised history."""

    def __post_init__(self) -> None:
        """Check every field and name the one that is wrong."""
        _dims(self.dims)
        _dropout(self.dropout)


register(
    Model(
        MultiDAEConfig,
        build=Code(".models.comparators.autoencoders:MultiDAE.of"),
        scorer=_AUTOENCODER_SCORER,
        space=_AUTOENCODER,
        auto=_MULTIDAE,
    )
)


@dataclass(frozen=True)
class MultiDAEPlusConfig(MultiDAEConfig):
    """MultiDAE that recovers histories from DiffRec's noise in one step (paper, section 4.1.2)."""

    model: ClassVar[str] = "multidae++"
    groups: ClassVar[tuple[str, ...]] = ("diffusion", "training")


register(
    Model(
        MultiDAEPlusConfig,
        build=Code(".models.comparators.autoencoders:MultiDAEPlus.of"),
        scorer=_AUTOENCODER_SCORER,
        space=_AUTOENCODER,
        auto=_MULTIDAE,
    )
)


@dataclass(frozen=True)
class MultiVAEConfig(MultiDAEConfig):
    """A variational autoencoder with multinomial likelihood (Liang et al., WWW 2018)."""

    model: ClassVar[str] = "multivae"

    beta: float = 0.2
    """Cap of the KL weight."""
    beta_updates: int = 1000
    """Updates over which the KL weight rises to its cap; 0 is the cap from the start."""

    def __post_init__(self) -> None:
        """Check every field and name the one that is wrong."""
        MultiDAEConfig.__post_init__(self)
        check(self.beta >= 0, "beta", self.beta, "0 or more")
        check(self.beta_updates >= 0, "beta_updates", self.beta_updates, "0 or more")


register(
    Model(
        MultiVAEConfig,
        build=Code(".models.comparators.autoencoders:MultiVAE.of"),
        scorer=_AUTOENCODER_SCORER,
        space={**_AUTOENCODER, "beta": (0.0, 0.3, 0.5, 0.7), "beta_updates": (0, 200, 500)},
        auto={"lr": 3e-4, "ema_decay": 0.99, "beta": 0.3},
    )
)


@dataclass(frozen=True)
class CodigemConfig(Comparator):
    """A chain of autoencoders, one a step; the first predicts (Walker et al., KSEM 2022)."""

    model: ClassVar[str] = "codigem"
    groups: ClassVar[tuple[str, ...]] = ("training",)

    T: int = 2
    """Diffusion steps, each with an autoencoder of its own."""
    step_beta: float = 1e-4
    """Noise that every step adds."""
    dim: int = 200
    """Size of the four hidden layers of an autoencoder."""
    dropout: float = 0.5
    """Dropout on what an autoencoder reads."""
    loss: Literal["multinomial", "square"] = "multinomial"
    """What the first autoencoder's prediction is held against the history by."""

    def __post_init__(self) -> None:
        """Check every field and name the one that is wrong."""
        check(self.T >= 1, "T", self.T, "1 or more")
        check(0 < self.step_beta < 1, "step_beta", self.step_beta, "above 0 and below 1")
        check(self.dim >= 1, "dim", self.dim, "1 or more")
        _dropout(self.dropout)
        choice("loss", self.loss, ("multinomial", "square"))


register(
    Model(
        CodigemConfig,
        build=Code(".models.comparators.codigem:Codigem.of"),
        scorer=_AUTOENCODER_SCORER,
        space={**_LR, "T": (2, 5, 10), "step_beta": (5e-5, 1e-4, 5e-4)},
    )
)


@dataclass(frozen=True)
class ACVAEConfig(Comparator):
    """An adversarial and contrastive VAE over sequences (Xie et al., WWW 2021)."""

    model: ClassVar[str] = "acvae"
    groups: ClassVar[tuple[str, ...]] = ("training",)
    weighted: ClassVar[bool] = False

    dim: int = 64
    """Size of an item's embedding, of the recurrent state and of z."""
    length: int = 100
    """Latest items of a history that are read."""
    dropout: float = 0.3
    """Dropout on the items' embeddings."""
    beta: float = 0.2
    """Weight of the adversarial term, which stands for the KL divergence."""
    contrast: float = 0.1
    """Weight of the contrastive term between a user's items and his z."""

    def __post_init__(self) -> None:
        """Check every field and name the one that is wrong."""
        check(self.dim >= 1, "dim", self.dim, "1 or more")
        check(self.length >= 1, "length", self.length, "1 or more")
        _dropout(self.dropout)
        check(self.beta >= 0, "beta", self.beta, "0 or more")
        check(self.contrast >= 0, "contrast", self.contrast, "0 or more")


register(
    Model(
        ACVAEConfig,
        build=Code(".models.comparators.acvae:ACVAE.of"),
        scorer=Code(".models.comparators.acvae_inference:ACVAEScorer"),
        space={**_LR, **_DROPOUT, "beta": (0.1, 0.3, 0.5), "contrast": (0.0, 0.1, 0.3)},
        reads_order=True,
    )
)
