"""Settings of the models that DiffRec is compared with (paper, section 4.1), and of simple ones.

Each class is one model. ``model`` is its name, ``groups`` the shared groups of settings that it
reads besides its own: those that train read ``training``, those with DiffRec's noise ``diffusion``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from diffrec_cli.config.values import check, choice

Activation = Literal["tanh", "sigmoid", "relu"]
_ACTIVATIONS = ("tanh", "sigmoid", "relu")


@dataclass(frozen=True)
class Comparator:
    """A model other than DiffRec."""

    model: ClassVar[str]
    """Name of the model."""
    groups: ClassVar[tuple[str, ...]] = ()
    """Shared groups of settings that it reads."""
    weighted: ClassVar[bool] = True
    """Whether it reads values of the input, so that recency weights mean something to it."""


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


@dataclass(frozen=True)
class MultiDAEPlusConfig(MultiDAEConfig):
    """MultiDAE that recovers histories from DiffRec's noise in one step (paper, section 4.1.2)."""

    model: ClassVar[str] = "multidae++"
    groups: ClassVar[tuple[str, ...]] = ("diffusion", "training")


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


@dataclass(frozen=True)
class PopularityConfig(Comparator):
    """The items that most users have, the same for everyone."""

    model: ClassVar[str] = "popularity"
    weighted: ClassVar[bool] = False


@dataclass(frozen=True)
class ItemKNNConfig(Comparator):
    """Items like those of the history, by cosine (Sarwar et al., WWW 2001)."""

    model: ClassVar[str] = "itemknn"

    neighbours: int = 100
    """Nearest neighbours that an item keeps."""
    shrink: float = 0.0
    """Added to the cosine's denominator: what few users have in common counts less."""

    def __post_init__(self) -> None:
        """Check every field and name the one that is wrong."""
        _neighbours(self.neighbours, self.shrink)


@dataclass(frozen=True)
class UserKNNConfig(Comparator):
    """Items of users like this one, by cosine (Resnick et al., CSCW 1994)."""

    model: ClassVar[str] = "userknn"

    neighbours: int = 100
    """Nearest users that are asked."""
    shrink: float = 0.0
    """Added to the cosine's denominator: what few items are shared counts less."""

    def __post_init__(self) -> None:
        """Check every field and name the one that is wrong."""
        _neighbours(self.neighbours, self.shrink)


@dataclass(frozen=True)
class EASEConfig(Comparator):
    """The best linear item-to-item model that may not copy (Steck, WWW 2019)."""

    model: ClassVar[str] = "ease"

    lambda_: float = 500.0
    """Weight of the ridge penalty."""

    def __post_init__(self) -> None:
        """Check every field and name the one that is wrong."""
        check(self.lambda_ > 0, "lambda", self.lambda_, "above 0")


@dataclass(frozen=True)
class RP3betaConfig(Comparator):
    """Random walks of three steps, popular items held back (Paudel et al., TiiS 2017)."""

    model: ClassVar[str] = "rp3beta"

    alpha: float = 1.0
    """Exponent of the transition probabilities."""
    popularity: float = 0.6
    """Exponent beta of the popularity that a score is divided by."""
    neighbours: int = 200
    """Most probable items that an item keeps."""

    def __post_init__(self) -> None:
        """Check every field and name the one that is wrong."""
        check(self.alpha > 0, "alpha", self.alpha, "above 0")
        check(self.popularity >= 0, "popularity", self.popularity, "0 or more")
        check(self.neighbours >= 1, "neighbours", self.neighbours, "1 or more")


@dataclass(frozen=True)
class SLIMConfig(Comparator):
    """A sparse linear item-to-item model, by elastic net (Ning and Karypis, ICDM 2011)."""

    model: ClassVar[str] = "slim"

    l1: float = 1.0
    """Weight of the absolute values."""
    l2: float = 100.0
    """Weight of the squares."""
    iterations: int = 50
    """Alternations of the solver (ADMM)."""
    step: float = 1000.0
    """Step size rho of the solver: how strongly it holds its two copies together."""

    def __post_init__(self) -> None:
        """Check every field and name the one that is wrong."""
        check(self.l1 >= 0, "l1", self.l1, "0 or more")
        check(self.l2 > 0, "l2", self.l2, "above 0")
        check(self.iterations >= 1, "iterations", self.iterations, "1 or more")
        check(self.step > 0, "step", self.step, "above 0")


@dataclass(frozen=True)
class IALSConfig(Comparator):
    """Implicit alternating least squares (Hu, Koren and Volinsky, ICDM 2008)."""

    model: ClassVar[str] = "ials"

    dim: int = 64
    """Size of a factor."""
    confidence: float = 10.0
    """Weight of an interaction against that of none, which is 1."""
    regularization: float = 1.0
    """Weight of the squared factors."""
    iterations: int = 15
    """Alternations."""
    seed: int = 1
    """Seed of the initial factors."""

    def __post_init__(self) -> None:
        """Check every field and name the one that is wrong."""
        check(self.dim >= 1, "dim", self.dim, "1 or more")
        check(self.confidence > 0, "confidence", self.confidence, "above 0")
        check(self.regularization > 0, "regularization", self.regularization, "above 0")
        check(self.iterations >= 1, "iterations", self.iterations, "1 or more")
        check(0 <= self.seed < 2**31, "seed", self.seed, "0 to 2**31 - 1")


#: Every such model by name; first those that are trained, then the closed forms.
COMPARATORS: dict[str, type[Comparator]] = {
    kind.model: kind
    for kind in (
        MFConfig,
        LightGCNConfig,
        CDAEConfig,
        MultiDAEConfig,
        MultiDAEPlusConfig,
        MultiVAEConfig,
        CodigemConfig,
        ACVAEConfig,
        PopularityConfig,
        ItemKNNConfig,
        UserKNNConfig,
        EASEConfig,
        RP3betaConfig,
        SLIMConfig,
        IALSConfig,
    )
}


def _embedding(dim: int, decay: float, dropout: float) -> None:
    check(dim >= 1, "dim", dim, "1 or more")
    check(decay >= 0, "decay", decay, "0 or more")
    _dropout(dropout)


def _dims(dims: tuple[int, ...]) -> None:
    check(len(dims) > 0 and min(dims) >= 1, "dims", dims, "one or more sizes of 1 or more")


def _dropout(rate: float) -> None:
    check(0 <= rate < 1, "dropout", rate, "0 or more and below 1")


def _neighbours(neighbours: int, shrink: float) -> None:
    check(neighbours >= 1, "neighbours", neighbours, "1 or more")
    check(shrink >= 0, "shrink", shrink, "0 or more")
