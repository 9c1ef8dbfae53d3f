"""Building a model from settings, and the arrays to store of a trained one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from diffrec_cli.catalogue import corruption_row, model_row
from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Sequences
from diffrec_cli.models.item_range import ItemRange
from diffrec_cli.models.latent import LatentDiffRec
from diffrec_cli.models.trainable import Trainable


def build_model(
    config: FitConfig,
    n_items: int,
    of_item: NDArray[np.int64] | None = None,
    train: Sequences | None = None,
    items: ItemRange | None = None,
    sized_by: NDArray[np.int64] | None = None,
) -> Trainable:
    """Return the model of `config`, with initial weights from ``config.training.seed``.

    Parameters
    ----------
    config
        Settings of any variant.
    n_items
        |I|.
    of_item
        (|I|,) group of each item; the latent variants need it.
    train
        The interactions; models with a graph or a vector for each user need them.
    items
        The items that its arrays shall have; ``None``: all.
    sized_by
        Groups of an earlier model's items, if the layers of a latent variant shall have its sizes.
    """
    generator = torch.Generator().manual_seed(config.training.seed)
    items = ItemRange.whole(n_items) if items is None else items
    model: Trainable
    row = model_row(config)
    if row is not None:
        if row.build is None:
            raise ValueError(f"{config.variant} has no epochs")
        model = row.build(config, train, items, generator)
        return model
    if config.latent is None:
        model = corruption_row(config).build(config, train, items, generator)
        return model
    if of_item is None:
        raise ValueError("a latent model needs item groups")
    return LatentDiffRec(config, of_item, items, generator, sized_by)


def stored_weights(weights: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Return NumPy arrays to store: the weights, and the products that inference needs.

    They are ``VW`` (hidden x hidden) and ``bW``, see :mod:`diffrec_cli.diffusion.reverse`.
    """
    arrays = {
        name: w.detach().cpu().numpy() if isinstance(w, torch.Tensor) else np.asarray(w)
        for name, w in weights.items()
    }
    if "denoiser.W_in" not in arrays:
        return arrays
    W_in, V = arrays["denoiser.W_in"], arrays["denoiser.V"]
    arrays["denoiser.VW"] = V.T @ W_in
    arrays["denoiser.bW"] = arrays["denoiser.b_out"] @ W_in
    return arrays


def array_size(weights: Mapping[str, Any]) -> int:
    """Return the number of entries of a closed form's arrays."""
    return sum(int(np.asarray(array).size) for array in weights.values())


def parameter_count(model: Trainable) -> int:
    """Return the number of trained parameters."""
    return sum(p.numel() for p in model.parameters())
