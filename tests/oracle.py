"""The whole method in plain float64 NumPy: what the package is held against.

Written from the equations of the paper, to be read beside them. It imports nothing of the
package, takes every random draw as an argument, and loops where a loop says it best. Where the
released code differs from the paper and the package follows it, a comment says so.

What can be learned from returns its value and a function that carries a gradient back through
it, derived by hand. Gradients have the names of the weights.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import cos, log2, sin

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
Weights = dict[str, Array]


# --- Section 3.1: the processes -----------------------------------------------------------------


class Diffusion:
    """Schedule, forward process, reverse process and losses; entry t of a table is step t."""

    def __init__(
        self,
        T: int,
        s: float,
        alpha_min: float,
        alpha_max: float,
        first_beta: float | None = None,
        prediction: str = "x0",
        weighted: bool = True,
    ) -> None:
        self.T, self.s, self.prediction, self.weighted = T, s, prediction, weighted
        alpha_bar = np.ones(T + 1)  # alpha_bar_0 = 1: nothing is lost yet
        for t in range(1, T + 1):
            share = (t - 1) / (T - 1) if T > 1 else 0.0
            alpha_bar[t] = 1 - s * (alpha_min + share * (alpha_max - alpha_min))  # Eq. 4
        self.alpha = np.ones(T + 1)
        self.alpha[1:] = alpha_bar[1:] / alpha_bar[:-1]
        if first_beta is not None and s > 0:  # the released code: Eq. 4, then beta_1 overwritten
            self.alpha[1] = 1 - first_beta
        self.alpha_bar = np.cumprod(self.alpha)  # (T + 1,)

    def q(self, x_0: Array, t: Integers | int, eps: Array) -> Array:
        """x_t, reparameterised (Eq. 3)."""
        alpha_bar = self.alpha_bar[np.atleast_1d(t)][:, None]  # (B, 1)
        return np.sqrt(alpha_bar) * x_0 + np.sqrt(1 - alpha_bar) * eps  # (B, D)

    def posterior(self, t: int) -> tuple[float, float, float]:
        """The factors of x_0 and x_t in the mean, and the variance (Eq. 8)."""
        if self.s == 0:
            return 1.0, 0.0, 0.0  # without noise x_{t-1} is x_0
        alpha, now, before = self.alpha[t], self.alpha_bar[t], self.alpha_bar[t - 1]
        return (
            np.sqrt(before) * (1 - alpha) / (1 - now),
            np.sqrt(alpha) * (1 - before) / (1 - now),
            (1 - alpha) * (1 - before) / (1 - now),
        )

    def mu(self, x_0: Array, x_t: Array, t: int) -> Array:
        """The mean of x_{t-1}: Eq. 8 of the true x_0, Eq. 10 of a predicted one."""
        of_x_0, of_x_t, _ = self.posterior(t)
        return of_x_0 * x_0 + of_x_t * x_t

    def x_hat(self, prediction: Array, x_t: Array, t: int) -> Array:
        """The x_0 that a prediction means: itself, or Eq. 3 solved for x_0 given epsilon."""
        if self.prediction == "x0":
            return prediction
        alpha_bar = self.alpha_bar[t]
        return (x_t - np.sqrt(1 - alpha_bar) * prediction) / np.sqrt(alpha_bar)

    def x_hat_back(self, d_x_hat: Array, t: int) -> tuple[Array, Array]:
        """From the gradient of x_hat to those of the prediction and of x_t."""
        if self.prediction == "x0":
            return d_x_hat, np.zeros_like(d_x_hat)
        alpha_bar = self.alpha_bar[t]
        d_x_t = d_x_hat / np.sqrt(alpha_bar)
        return -np.sqrt(1 - alpha_bar) * d_x_t, d_x_t

    def loss(self, prediction: Array, x_0: Array, eps: Array, t: int) -> float:
        """L_t of one user, over D; for t > 1 times two, since the released code drops the 1/2."""
        if not self.weighted or self.s == 0:
            target = x_0 if self.prediction == "x0" else eps
            return float(np.mean((prediction - target) ** 2))
        x_t = self.q(x_0, t, eps)[0]  # (D,)
        x_hat = self.x_hat(prediction, x_t, t)
        if t == 1:
            return float(np.mean((x_hat - x_0) ** 2))  # Eq. 12
        _, _, variance = self.posterior(t)
        difference = self.mu(x_hat, x_t, t) - self.mu(x_0, x_t, t)
        return float(np.mean(difference**2) / variance)  # Eq. 9; Eq. 11 must follow

    def loss_back(
        self, prediction: Array, x_0: Array, eps: Array, t: int
    ) -> tuple[Array, Array, Array]:
        """Gradients of L_t for the prediction, for x_0 as the target, and for x_t."""
        D = len(x_0)
        if not self.weighted or self.s == 0:
            on_x_0 = self.prediction == "x0"
            error = 2 * (prediction - (x_0 if on_x_0 else eps)) / D
            return error, -error if on_x_0 else np.zeros(D), np.zeros(D)
        of_x_0, _, variance = self.posterior(t)
        weight = 1.0 if t == 1 else of_x_0**2 / variance  # mu_theta - mu = of_x_0 (x_hat - x_0)
        x_hat = self.x_hat(prediction, self.q(x_0, t, eps)[0], t)
        d_x_hat = 2 * weight * (x_hat - x_0) / D
        d_prediction, d_x_t = self.x_hat_back(d_x_hat, t)
        return d_prediction, -d_x_hat, d_x_t

    def reverse(self, predict: Callable[[Array, int], Array], x_T: Array) -> Array:
        """Algorithm 2, lines 3 and 4: x_T to x_0, step by step, without variance."""
        x_t = x_T
        for t in range(self.T, 0, -1):
            x_t = self.mu(self.x_hat(predict(x_t, t), x_t, t), x_t, t)
        return x_t


class LossHistory:
    """Eq. 14: ten values of L_t for each step, first in first out."""

    def __init__(self, T: int) -> None:
        self.history: list[deque[float]] = [deque(maxlen=10) for _ in range(T)]

    def tell(self, t: Integers, losses: Array) -> None:
        for step, loss in zip(t.tolist(), losses.tolist(), strict=True):
            self.history[step - 1].append(loss)

    def p(self) -> Array:
        """p_t of t = 1..T; 0.001 of uniform is mixed in, as in the released code."""
        T = len(self.history)
        if any(len(values) < 10 for values in self.history):
            return np.full(T, 1 / T)
        size = np.array([np.sqrt(np.mean(np.square(values))) for values in self.history])
        return 0.999 * size / size.sum() + 0.001 / T


# --- The denoising MLP --------------------------------------------------------------------------


def step_embedding(t: int, size: int) -> Array:
    """Cosines, then sines, of t at frequencies 10000^(-2k / size)."""
    frequencies = [10000 ** (-2 * k / size) for k in range(size // 2)]
    return np.array([cos(t * f) for f in frequencies] + [sin(t * f) for f in frequencies])


def denoiser_shapes(D: int, E: int, dims: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """[200, 600] is D + E -> 600 -> 200 -> 600 -> D; V has the rows of its transpose."""
    sizes = [*dims[::-1], *dims[1:]]
    inner = {}
    for i, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        inner |= {f"W.{i}": (fan_in, fan_out), f"b.{i}": (fan_out,)}
    return {
        "W_embed": (E, E),
        "b_embed": (E,),
        "W_in": (D, sizes[0]),
        "W_step": (E, sizes[0]),
        "b_in": (sizes[0],),
        **inner,
        "V": (D, sizes[-1]),
        "b_out": (D,),
    }


def denoise(
    w: Weights, x_t: Array, t: Integers, mask: Array | float, normalize: bool
) -> tuple[Array, Callable[[Array], tuple[Weights, Array]]]:
    """The prediction of the MLP, (B, D); `mask` is dropout's, rescaling included."""
    norm = np.linalg.norm(x_t, axis=1, keepdims=True).clip(1e-12) if normalize else 1.0
    y = x_t / norm  # (B, D)
    embedded = np.stack([step_embedding(step, len(w["b_embed"])) for step in t.tolist()])  # (B, E)
    step = embedded @ w["W_embed"] + w["b_embed"]  # (B, E)
    u = np.concatenate([mask * y, step], axis=1)  # (B, D + E)
    h = [np.tanh(u @ np.concatenate([w["W_in"], w["W_step"]]) + w["b_in"])]  # (B, H) each
    inner = sum(name.startswith("W.") for name in w)
    for i in range(inner):
        h.append(np.tanh(h[i] @ w[f"W.{i}"] + w[f"b.{i}"]))
    prediction = h[-1] @ w["V"].T + w["b_out"]

    def back(d_prediction: Array) -> tuple[Weights, Array]:
        g = {"V": d_prediction.T @ h[-1], "b_out": d_prediction.sum(0)}
        d_h = d_prediction @ w["V"]
        for i in reversed(range(inner)):
            d_a = d_h * (1 - h[i + 1] ** 2)  # tanh' = 1 - tanh^2
            g |= {f"W.{i}": h[i].T @ d_a, f"b.{i}": d_a.sum(0)}
            d_h = d_a @ w[f"W.{i}"].T
        d_a = d_h * (1 - h[0] ** 2)
        g |= {"W_in": (mask * y).T @ d_a, "W_step": step.T @ d_a, "b_in": d_a.sum(0)}
        d_step = d_a @ w["W_step"].T
        g |= {"W_embed": embedded.T @ d_step, "b_embed": d_step.sum(0)}
        d_y = mask * (d_a @ w["W_in"].T)
        if not normalize:
            return g, d_y
        along = (y * d_y).sum(axis=1, keepdims=True)  # a unit vector cannot move along itself
        return g, (d_y - along * y) / norm

    return prediction, back


# --- Section 3.2: training ----------------------------------------------------------------------


@dataclass
class Draw:
    """What Algorithm 1 draws for a batch."""

    t: Integers  # (B,)
    p: Array  # (T,) the distribution of t
    eps: Array  # (B, D)
    mask: Array  # (B, D) of the denoiser's dropout: 0 or 1 / (1 - rate)


@dataclass
class Diffused:
    """Algorithm 1 on a batch."""

    loss: float  # the mean of L_t / (p_t T): Eq. 14 over T, or Eq. 13
    losses: Array  # (B,) L_t
    x_hat: Array  # (B, D)
    #: From the gradients of the loss and of x_hat to those of the weights and of x_0.
    back: Callable[[float, Array | float], tuple[Weights, Array]]


def diffuse(w: Weights, x_0: Array, draw: Draw, d: Diffusion, normalize: bool) -> Diffused:
    """Algorithm 1, lines 4 to 6. On the interactions this is the whole loss of DiffRec."""
    B, t = len(x_0), draw.t
    x_t = d.q(x_0, t, draw.eps)
    prediction, denoise_back = denoise(w, x_t, t, draw.mask, normalize)
    users = list(zip(prediction, x_0, draw.eps, t.tolist(), strict=True))
    losses = np.array([d.loss(*user) for user in users])
    factor = 1 / (draw.p[t - 1] * d.T)  # (B,)

    def back(d_loss: float, d_x_hat: Array | float) -> tuple[Weights, Array]:
        gradients = map(np.stack, zip(*(d.loss_back(*u) for u in users), strict=True))
        d_prediction, d_x_0, d_x_t = (d_loss * factor[:, None] / B * part for part in gradients)
        for u, seen in enumerate(np.broadcast_to(d_x_hat, x_0.shape)):
            through_prediction, through_x_t = d.x_hat_back(seen, t[u])
            d_prediction[u] += through_prediction
            d_x_t[u] += through_x_t
        g, through_denoiser = denoise_back(d_prediction)
        d_x_t += through_denoiser
        return g, d_x_0 + np.sqrt(d.alpha_bar[t])[:, None] * d_x_t  # Eq. 3

    x_hat = np.stack(
        [d.x_hat(f, x, step) for f, x, step in zip(prediction, x_t, t.tolist(), strict=True)]
    )
    return Diffused(float(np.mean(losses * factor)), losses, x_hat, back)


# --- Section 3.3: inference ---------------------------------------------------------------------


def infer(w: Weights, x_0: Array, T_prime: int, eps: Array, d: Diffusion, normalize: bool) -> Array:
    """Algorithm 2."""

    def predict(x_t: Array, t: int) -> Array:
        return denoise(w, x_t, np.full(len(x_t), t), 1.0, normalize)[0]

    return d.reverse(predict, d.q(x_0, T_prime, eps))


# --- Section 3.5: latent diffusion --------------------------------------------------------------


def shares(sizes: Sequence[int], total: int) -> list[int]:
    """Latent sizes in proportion to the groups, at least 1, the remainder to the last."""
    first = [max(1, total * size // sum(sizes)) for size in sizes[:-1]]
    rest = total - sum(first)
    assert rest > 0, "choose a larger total: this many small groups are tested by hand elsewhere"
    return [*first, rest]


def vae_shapes(
    of_item: Integers, z_dim: int, hidden: Sequence[int], joint: bool
) -> dict[str, tuple[int, ...]]:
    """An encoder |I_c| -> ... -> 2 z_c a group; decoders z_c -> |I_c|, or one z -> |I|."""
    sizes = np.bincount(of_item).tolist()
    z = shares(sizes, z_dim)
    shapes: dict[str, tuple[int, ...]] = {"bias": (len(of_item),)}
    for c, size in enumerate(sizes):
        widths = [size, *(shares(sizes, total)[c] for total in hidden), 2 * z[c]]
        for i, (fan_in, fan_out) in enumerate(pairwise(widths)):
            shapes |= {f"encoder.{c}.{i}.W": (fan_in, fan_out), f"encoder.{c}.{i}.b": (fan_out,)}
        if not joint:
            shapes[f"decoder.{c}"] = (size, z[c])
    return shapes | ({"decoder.0": (len(of_item), z_dim)} if joint else {})


def encode(
    v: Weights, x: Array, of_item: Integers, bounded: bool
) -> tuple[Array, Array, Callable[[Array, Array], Weights]]:
    """Mean and log-variance of z_0, (B, z) each: each group's encoder on its own columns.

    As in the released code the activation follows the last layer too: for the log-variance only
    if it is `bounded`.
    """
    h: list[list[Array]] = []  # by group, by layer
    slopes: list[list[Array]] = []  # of the activation
    for c in range(of_item.max() + 1):
        h.append([x[:, of_item == c]])  # (B, |I_c|)
        slopes.append([])
        while f"encoder.{c}.{(i := len(h[c]) - 1)}.W" in v:
            a = h[c][i] @ v[f"encoder.{c}.{i}.W"] + v[f"encoder.{c}.{i}.b"]
            last = f"encoder.{c}.{i + 1}.W" not in v
            linear = (np.arange(a.shape[1]) >= a.shape[1] // 2) & (last and not bounded)
            h[c].append(np.where(linear, a, np.tanh(a)))
            slopes[c].append(np.where(linear, 1.0, 1 - np.tanh(a) ** 2))
    halves = [np.split(layers[-1], 2, axis=1) for layers in h]
    mean, log_variance = (np.concatenate(parts, axis=1) for parts in zip(*halves, strict=True))

    def back(d_mean: Array, d_log_variance: Array) -> Weights:
        g: Weights = {}
        ends = np.cumsum([part.shape[1] for part, _ in halves])[:-1]
        of_groups = zip(np.split(d_mean, ends, 1), np.split(d_log_variance, ends, 1), strict=True)
        for c, parts in enumerate(of_groups):
            d_h = np.concatenate(parts, axis=1)
            for i in reversed(range(len(h[c]) - 1)):
                d_a = d_h * slopes[c][i]
                g |= {f"encoder.{c}.{i}.W": h[c][i].T @ d_a, f"encoder.{c}.{i}.b": d_a.sum(0)}
                d_h = d_a @ v[f"encoder.{c}.{i}.W"].T
        return g

    return mean, log_variance, back


def decode(
    v: Weights, z: Array, of_item: Integers, joint: bool
) -> tuple[Array, Callable[[Array], tuple[Weights, Array]]]:
    """The logits of all items, (B, |I|): each group's from its own z_c, or all from z."""
    blocks, start = [], 0  # decoder, its items, its part of z
    for c in range(1 if joint else of_item.max() + 1):
        D = v[f"decoder.{c}"]
        mine = np.full(len(of_item), True) if joint else of_item == c
        blocks.append((f"decoder.{c}", mine, slice(start, start + D.shape[1])))
        start += D.shape[1]
    logits = np.tile(v["bias"], (len(z), 1))
    for name, mine, part in blocks:
        logits[:, mine] += z[:, part] @ v[name].T

    def back(d_logits: Array) -> tuple[Weights, Array]:
        g, d_z = {"bias": d_logits.sum(0)}, np.zeros_like(z)
        for name, mine, part in blocks:
            g[name] = d_logits[:, mine].T @ z[:, part]
            d_z[:, part] = d_logits[:, mine] @ v[name]
        return g, d_z

    return logits, back


@dataclass
class Latent:
    """What decides L-DiffRec beside the weights and the draws."""

    of_item: Integers  # (|I|,)
    joint: bool
    gamma: float
    lambda_: float
    bounded: bool = True  # the log-variance
    stage: str = "both"  # or "vae" first and then "diffusion", between frozen VAEs
    lambda_on: str = "diffusion"  # or "vae"


def vae_loss(
    v: Weights, z: Array, mean: Array, log_variance: Array, target: Array, latent: Latent
) -> tuple[float, Callable[[], tuple[Weights, Array, Array, Array]]]:
    """The negative of Eq. 15, averaged over users, with MultiVAE's multinomial likelihood."""
    B, gamma = len(target), latent.gamma
    logits, decode_back = decode(v, z, latent.of_item, latent.joint)
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    softmax = e / e.sum(axis=1, keepdims=True)  # one over the items of all groups
    likelihood = (target * np.log(softmax)).sum(axis=1)  # (B,)
    variance = np.exp(log_variance)
    divergence = (0.5 * (mean**2 + variance - 1 - log_variance)).sum(axis=1)  # from N(0, I)
    loss = float(np.mean(gamma * divergence - likelihood))

    def back() -> tuple[Weights, Array, Array, Array]:
        g, d_z = decode_back((target.sum(axis=1, keepdims=True) * softmax - target) / B)
        return g, d_z, gamma * mean / B, gamma * 0.5 * (variance - 1) / B

    return loss, back


def gamma_of(update: int, cap: float, updates: int) -> float:
    """The weight of the KL term at the update-th batch, from 1."""
    return min(cap, (update - 1) / updates) if updates else cap


def lambda_of(epoch: int, first: float, least: float, epochs: int) -> float:
    """The weight lambda in an epoch, from 1."""
    return max(least, first - first * (epoch - 1) / epochs)


@dataclass
class LatentLoss:
    """The loss of L-DiffRec on a batch; a weight without a gradient is not learned."""

    loss: float
    losses: Array | None  # (B,) L_t, if there was a diffusion
    gradients: Callable[[], tuple[Weights, Weights]]  # of the denoiser and of the VAEs


def latent_loss(
    w: Weights,
    v: Weights,
    x: Array,
    target: Array,
    eps_z: Array,
    draw: Draw | None,
    d: Diffusion,
    normalize: bool,
    latent: Latent,
) -> LatentLoss:
    """Section 3.5, "Training": L_v + lambda L; or lambda L_v + L, as the released code also has it.

    `x` is what the encoders read, dropout applied. In the released code it is the target of the
    decoders as well; the package can also be told to aim at the whole history.
    """
    mean, log_variance, encode_back = encode(v, x, latent.of_item, latent.bounded)
    sigma = np.exp(log_variance / 2)
    z_0 = mean + sigma * eps_z  # (B, z), Figure 3
    if latent.stage == "vae" or draw is None:
        loss, vae_back = vae_loss(v, z_0, mean, log_variance, target, latent)

        def vae_alone() -> tuple[Weights, Weights]:
            g_v, d_z, d_mean, d_log = vae_back()
            return {}, g_v | encode_back(d_mean + d_z, d_log + d_z * eps_z * sigma / 2)

        return LatentLoss(loss, None, vae_alone)
    run = diffuse(w, z_0, draw, d, normalize)
    if latent.stage == "diffusion":
        return LatentLoss(run.loss, run.losses, lambda: (run.back(1.0, 0.0)[0], {}))
    # As in the released code the decoder reads the one-step prediction of z_0.
    of_vae, vae_back = vae_loss(v, run.x_hat, mean, log_variance, target, latent)

    a, b = (latent.lambda_, 1.0) if latent.lambda_on == "vae" else (1.0, latent.lambda_)

    def both() -> tuple[Weights, Weights]:
        g_v, d_z_hat, d_mean, d_log = vae_back()
        g_w, d_z = run.back(b, a * d_z_hat)  # z_0 is the target too, and learns from it
        g_v = {name: a * g for name, g in g_v.items()}
        return g_w, g_v | encode_back(a * d_mean + d_z, a * d_log + d_z * eps_z * sigma / 2)

    return LatentLoss(a * of_vae + b * run.loss, run.losses, both)


def latent_infer(
    w: Weights,
    v: Weights,
    x: Array,
    T_prime: int,
    eps: Array,
    d: Diffusion,
    normalize: bool,
    latent: Latent,
) -> Array:
    """Section 3.5, "Inference": the means, Algorithm 2 on them, the decoders."""
    mean, _, _ = encode(v, x, latent.of_item, latent.bounded)
    z_0 = infer(w, mean, T_prime, eps, d, normalize)
    return decode(v, z_0, latent.of_item, latent.joint)[0]


# --- Section 3.6: temporal diffusion ------------------------------------------------------------


def reweighted(sequence: Sequence[int], n_items: int, w_min: float, w_max: float) -> Array:
    """x_0 of one user by the order of his items, oldest first (Eq. 16), (|I|,)."""
    x_0, M = np.zeros(n_items), len(sequence)
    for m, item in enumerate(sequence, start=1):
        x_0[item] = w_min + (m - 1) / (M - 1) * (w_max - w_min) if M > 1 else w_max
    return x_0


# --- Section 4.1: evaluation --------------------------------------------------------------------


def metrics(ranked: Sequence[int], relevant: set[int], k: int) -> dict[str, float]:
    """All metrics of one user's list, best first."""
    hits = [item in relevant for item in ranked[:k]]
    dcg = sum(1 / log2(rank + 1) for rank, hit in enumerate(hits, 1) if hit)
    ideal = sum(1 / log2(rank + 1) for rank in range(1, min(k, len(relevant)) + 1))
    return {
        "recall": sum(hits) / len(relevant),
        "precision": sum(hits) / k,
        "ndcg": dcg / ideal,
        "mrr": next((1 / rank for rank, hit in enumerate(hits, 1) if hit), 0.0),
        "hit": float(any(hits)),
    }
