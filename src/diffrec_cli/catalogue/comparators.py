"""The models that the paper compares DiffRec with (section 4.1.2): their settings and their rows.

Search spaces are the paper's grids (section 4.1.3), except CODIGEM's more than ten autoencoders.
Values of ``auto`` were chosen on valid Recall@20 of MovieLens-1M
(``examples/reproduce/comparators.csv`` has the trials).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from diffrec_cli.catalogue.registered import register
from diffrec_cli.catalogue.rows import Code, Model, Space, Values
from diffrec_cli.config import Comparator
from diffrec_cli.config.checks import Count, NonNegative, Range, Rate, Size, Sizes, check

Activation = Literal["tanh", "sigmoid", "relu"]

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


@dataclass(frozen=True)
class MFConfig(Comparator):
    """Matrix factorisation with the BPR loss (Rendle et al., UAI 2009)."""

    model: ClassVar[str] = "mf"
    groups: ClassVar[tuple[str, ...]] = ("training",)
    weighted: ClassVar[bool] = False

    dim: Size = 64
    """Size of an embedding."""
    decay: NonNegative = 1e-4
    """Weight of the L2 penalty on the embeddings of a batch."""
    dropout: Rate = 0.1
    """Dropout on the user's embedding."""


register(
    Model(
        MFConfig,
        weighs=False,
        build=Code(".models.comparators.mf:MF.of"),
        scorer=Code(".models.comparators.factors_inference:bpr_factors"),
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

    dim: Size = 64
    """Size of an embedding."""
    layers: Count = 3
    """Propagations over the graph."""
    decay: NonNegative = 1e-4
    """Weight of the L2 penalty on the embeddings of a batch."""
    dropout: Rate = 0.0
    """Share of the graph's edges that an update drops."""


register(
    Model(
        LightGCNConfig,
        weighs=False,
        build=Code(".models.comparators.lightgcn:LightGCN.of"),
        scorer=Code(".models.comparators.factors_inference:bpr_factors"),
        space={**_EMBEDDING, "layers": (1, 2, 3)},
        auto={"lr": 5e-3, "layers": 2, "dropout": 0.3},
        updates=15,  # each passes over the whole graph
    )
)


@dataclass(frozen=True)
class CDAEConfig(Comparator):
    """A denoising autoencoder of one layer with a vector for each user (Wu et al., WSDM 2016).

    The layer is that of its source; the paper lists it with [200, 600] (section 4.1.3).
    """

    model: ClassVar[str] = "cdae"
    groups: ClassVar[tuple[str, ...]] = ("training",)
    normalizes: ClassVar[bool] = False

    dim: Size = 200
    """Size of the hidden layer."""
    dropout: Rate = 0.5
    """Dropout on the history."""
    activation: Activation = "tanh"
    """Activation of the hidden layer."""
    loss: Literal["logistic", "square", "multinomial"] = "logistic"
    """Reconstruction loss."""


register(
    Model(
        CDAEConfig,
        of_users=("users",),
        build=Code(".models.comparators.autoencoders:CDAE.of"),
        parallel=True,
        scorer=_AUTOENCODER_SCORER,
        space={**_AUTOENCODER, "activation": ("sigmoid", "relu", "tanh")},
    )
)


@dataclass(frozen=True)
class MultiDAEConfig(Comparator):
    """A denoising autoencoder with multinomial likelihood (Liang et al., WWW 2018)."""

    model: ClassVar[str] = "multidae"
    groups: ClassVar[tuple[str, ...]] = ("training",)

    dims: Sizes = (200, 600)
    """Hidden sizes, smallest layer first."""
    dropout: Rate = 0.5
    """Dropout on the normalised history."""


register(
    Model(
        MultiDAEConfig,
        build=Code(".models.comparators.autoencoders:MultiDAE.of"),
        parallel=True,
        scorer=_AUTOENCODER_SCORER,
        space=_AUTOENCODER,
        auto=_MULTIDAE,
    )
)


@dataclass(frozen=True)
class MultiDAEPlusConfig(MultiDAEConfig):
    """MultiDAE that denoises DiffRec's corrupted histories in one step (paper, section 4.1.2)."""

    model: ClassVar[str] = "multidae++"
    groups: ClassVar[tuple[str, ...]] = ("diffusion", "training")


register(
    Model(
        MultiDAEPlusConfig,
        build=Code(".models.comparators.autoencoders:MultiDAEPlus.of"),
        parallel=True,
        scorer=_AUTOENCODER_SCORER,
        space=_AUTOENCODER,
        auto=_MULTIDAE,
    )
)


@dataclass(frozen=True)
class MultiVAEConfig(MultiDAEConfig):
    """A variational autoencoder with multinomial likelihood (Liang et al., WWW 2018)."""

    model: ClassVar[str] = "multivae"

    beta: NonNegative = 0.2
    """Cap of the KL weight."""
    beta_updates: Count = 5000
    """The KL weight rises by 1 / this with each update, up to its cap; with 0 it starts there."""


register(
    Model(
        MultiVAEConfig,
        build=Code(".models.comparators.autoencoders:MultiVAE.of"),
        parallel=True,
        scorer=_AUTOENCODER_SCORER,
        space={**_AUTOENCODER, "beta": (0.0, 0.3, 0.5, 0.7), "beta_updates": (0, 200, 500)},
        auto={"lr": 3e-4, "ema_decay": 0.99, "beta": 0.3, "beta_updates": 3333},
    )
)


@dataclass(frozen=True)
class CodigemConfig(Comparator):
    """A chain of autoencoders, one for each step (Walker et al., KSEM 2022).

    Not its source's objective: that has a Gaussian likelihood, and learnt variances under a KL
    divergence. Here the first autoencoder has a likelihood of x_0, the others a squared error.
    """

    model: ClassVar[str] = "codigem"
    groups: ClassVar[tuple[str, ...]] = ("training",)
    normalizes: ClassVar[bool] = False

    T: Size = 2
    """Diffusion steps, each with an autoencoder of its own."""
    step_beta: Annotated[float, Range("above 0 and below 1", lambda beta: 0 < beta < 1)] = 1e-4
    """Noise that every step adds."""
    dim: Size = 200
    """Size of the four hidden layers of an autoencoder."""
    dropout: Rate = 0.5
    """Dropout on what an autoencoder reads."""
    loss: Literal["multinomial", "square"] = "multinomial"
    """Reconstruction loss of the first autoencoder."""


register(
    Model(
        CodigemConfig,
        build=Code(".models.comparators.codigem:Codigem.of"),
        parallel=True,
        scorer=_AUTOENCODER_SCORER,
        space={**_LR, "T": (2, 5, 10), "step_beta": (5e-5, 1e-4, 5e-4)},
    )
)


@dataclass(frozen=True)
class ACVAEConfig(Comparator):
    """An adversarial and contrastive VAE over sequences (after Xie et al., WWW 2021).

    It has its source's idea, not its parts: a recurrent state instead of causal convolutions of
    width 5, a critic of z given the state instead of items' embeddings with shuffled codes, and a
    contrast between users instead of within each.
    """

    model: ClassVar[str] = "acvae"
    groups: ClassVar[tuple[str, ...]] = ("training",)
    weighted: ClassVar[bool] = False

    dim: Size = 64
    """Size of an item's embedding, of the recurrent state and of z."""
    length: Size = 100
    """Number of latest items of a history that are read."""
    dropout: Rate = 0.3
    """Dropout on the items' embeddings."""
    beta: NonNegative = 0.2
    """Weight of the adversarial term, in place of the KL divergence."""
    contrast: NonNegative = 0.1
    """Weight of the contrastive term between a user's items and z."""


register(
    Model(
        ACVAEConfig,
        weighs=False,
        build=Code(".models.comparators.acvae:ACVAE.of"),
        scorer=Code(".models.comparators.acvae_inference:ACVAEScorer"),
        space={**_LR, **_DROPOUT, "beta": (0.1, 0.3, 0.5), "contrast": (0.0, 0.1, 0.3)},
        reads_order=True,
    )
)


@dataclass(frozen=True)
class SASRecConfig(Comparator):
    """Causal self-attention over sequences (Kang and McAuley, ICDM 2018).

    Its loss is a softmax over all items; the source samples one negative.
    """

    model: ClassVar[str] = "sasrec"
    groups: ClassVar[tuple[str, ...]] = ("training",)
    weighted: ClassVar[bool] = False

    dim: Size = 64
    """Size of an item's embedding and of all layers."""
    layers: Size = 2
    """Blocks of attention and a feed-forward network."""
    heads: Size = 2
    """Heads of the attention."""
    length: Size = 200
    """Number of latest items of a history that are read."""
    dropout: Rate = 0.2
    """Dropout on embeddings, attention and layers."""

    def __post_init__(self) -> None:
        """Check every field and name the one that is wrong."""
        super().__post_init__()
        check(self.dim % self.heads == 0, "dim", self.dim, f"a multiple of heads = {self.heads}")


register(
    Model(
        SASRecConfig,
        weighs=False,
        build=Code(".models.comparators.sasrec:SASRec.of"),
        scorer=Code(".models.comparators.sasrec_inference:SASRecScorer"),
        space={
            "lr": (3e-4, 1e-3, 3e-3),
            "dropout": (0.1, 0.2, 0.3, 0.5),
            "dim": (32, 64, 128),
            "layers": (1, 2, 3),
            "length": (50, 100, 200),
        },
        reads_order=True,
    )
)
