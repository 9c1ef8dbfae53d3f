"""Drawing the step t of each training sample: Eq. 13 (uniform) or Eq. 14 (by importance)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from diffrec_cli.diffusion.randomness import Numbers

HISTORY = 10  # losses kept for each step ("collecting ten L_t values")
UNIFORM_SHARE = 0.001  # mixed in, so that every step is still drawn


class StepSampler(nn.Module):
    """Draws steps uniformly, or by the last ten losses of each: ``p_t ∝ sqrt(mean(L_t^2))``.

    Until every step has ten losses, sampling is uniform.

    Parameters
    ----------
    T
        Number of steps.
    by_importance
        Whether to use Eq. 14 instead of Eq. 13.
    """

    losses: Tensor  # (T + 2, 10); row 0 is unused, row T + 1 takes what is dropped
    seen: Tensor  # (T + 1,) number of losses so far, by step

    def __init__(self, T: int, *, by_importance: bool) -> None:
        super().__init__()
        self.T = T
        self.by_importance = by_importance
        self.register_buffer("losses", torch.zeros(T + 2, HISTORY))
        self.register_buffer("seen", torch.zeros(T + 1, dtype=torch.int64))

    def probabilities(self) -> Tensor:
        """Return p_t for t = 1..T, (T,)."""
        uniform = torch.full_like(self.losses[1 : self.T + 1, 0], 1.0 / self.T)
        if not self.by_importance:
            return uniform
        size = self.losses[1 : self.T + 1].square().mean(dim=1).sqrt()  # (T,)
        p = size / size.sum().clamp_min(torch.finfo(size.dtype).tiny)
        p = (1.0 - UNIFORM_SHARE) * p + UNIFORM_SHARE / self.T
        # Decided on the device, so that the host need not wait for it.
        ready = (self.seen[1:] >= HISTORY).all() & (size.sum() > 0) & size.sum().isfinite()
        return torch.where(ready, p, uniform)

    def draw(self, numbers: Numbers) -> tuple[Tensor, Tensor]:
        """Draw n steps from (n, 1) random numbers.

        Returns
        -------
        t
            (n,) int64, 1 to T.
        scale
            (n,) factor 1 / (p_t T) that keeps the expectation of the loss.
        """
        p = self.probabilities()
        edges = p.cumsum(0)
        u = numbers.uniform()[:, 0].to(p.dtype) * edges[-1]
        t = torch.searchsorted(edges, u, right=True).clamp_(max=self.T - 1)  # 0..T-1
        return t + 1, 1.0 / (p[t] * self.T)

    @torch.no_grad()
    def tell(self, t: Tensor, losses: Tensor) -> None:
        """Record the weighted loss of each sample, before the division by p_t.

        Parameters
        ----------
        t
            (B,) steps, 1 to T; a step 0 tells nothing.
        losses
            (B,) L_t.
        """
        if not self.by_importance:
            return
        mine = nn.functional.one_hot(t, self.T + 1)  # (B, T + 1)
        told = mine.sum(dim=0)  # (T + 1,)
        place = mine.cumsum(dim=0).gather(1, t[:, None])[:, 0] - 1  # among samples of the same step
        kept = place >= told[t] - HISTORY  # the last ten of a batch
        row = torch.where(kept, t, self.T + 1)
        slot = (self.seen[t] + place) % HISTORY
        self.losses[row, slot] = losses.detach().to(self.losses.dtype)
        self.seen += told
