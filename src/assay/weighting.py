"""How several losses become one: fixed weights, learned uncertainties, or gradients of one size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn

from .errors import UsageError

LossKind = Literal["regression", "classification"]


class FixedWeights(nn.Module):
    """sum_i c_i L_i."""

    given: Tensor

    def __init__(self, weights: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("given", torch.tensor(weights))

    def forward(self, losses: Tensor, shared: Tensor | None) -> Tensor:
        return (self.given.to(losses) * losses).sum()

    def weights(self) -> Tensor:
        """What each loss is multiplied by, (T,)."""
        return self.given


class UncertaintyWeights(nn.Module):
    r"""Losses as negative log likelihoods whose noise is learned: Kendall, Gal and Cipolla 2018, arXiv:1705.07115.

    $$ \sum_{i \in \text{regression}} \Big(\tfrac12 e^{-v_i} L_i + \tfrac12 v_i\Big)
       + \sum_{i \in \text{classification}} \Big(e^{-v_i} L_i + \tfrac12 v_i\Big), \qquad v_i = \log \sigma_i^2 $$

    At the best v, sigma^2 is the loss (twice the loss for classification) and the total is the sum of (log L_i) / 2 up
    to a constant: it does not matter in which unit a loss comes. The given weights are where training begins. A loss
    that reaches zero would draw its v to minus infinity; below `floor` v has no gradient and counts as the floor.
    """

    factors: Tensor

    def __init__(self, weights: Sequence[float], kinds: Sequence[LossKind], floor: float = -10.0) -> None:
        super().__init__()
        factors = torch.tensor([{"regression": 0.5, "classification": 1.0}[kind] for kind in kinds])
        self.floor = floor
        self.register_buffer("factors", factors)
        self.log_variances = nn.Parameter((factors / torch.tensor(weights)).log().clamp_min(floor))

    def forward(self, losses: Tensor, shared: Tensor | None) -> Tensor:
        v = self.log_variances.to(losses).clamp_min(self.floor)
        return (self.factors.to(losses) * torch.exp(-v) * losses + 0.5 * v).sum()

    def weights(self) -> Tensor:
        """What each loss is multiplied by now, (T,)."""
        return self.factors * torch.exp(-self.log_variances.detach().clamp_min(self.floor))


class BalancedGradients(nn.Module):
    r"""Weights under which every loss pulls at the shared tensor with the strength it is given.

    $$ w_i = c_i \frac{\lVert g_1 \rVert}{\lVert g_i \rVert}, \qquad
       g_i = \frac{\partial L_i}{\partial \text{shared}} $$

    so that the first loss keeps its own weight and the others their share of its gradient; norms are averages over the
    past steps (bias-corrected, of all processes), and no ratio goes beyond `limit`. With one step's norms and two
    losses this is the adaptive weight of Esser, Rombach and Ommer 2021, arXiv:2012.09841, equation 7.

    Costs one more backward pass from each loss to the shared tensor at a step, while training.
    """

    given: Tensor
    squares: Tensor
    seen: Tensor

    def __init__(self, weights: Sequence[float], decay: float = 0.9, limit: float = 1e4) -> None:
        super().__init__()
        self.decay, self.limit = decay, limit
        self.register_buffer("given", torch.tensor(weights))
        self.register_buffer("squares", torch.zeros(len(weights)))
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, losses: Tensor, shared: Tensor | None) -> Tensor:
        if self.training and torch.is_grad_enabled() and losses.requires_grad:
            self._look(losses.unbind(), shared)
        return (self.weights().to(losses) * losses).sum()

    def weights(self) -> Tensor:
        """What each loss is multiplied by now, (T,); the given weights before the first step."""
        norms = self.squares.sqrt()
        # a loss that does not pull at all: whatever its weight, nothing comes of it
        ratios = torch.where(norms > 0, norms[0] / norms.clamp_min(torch.finfo(norms.dtype).tiny), 1.0)
        return torch.where(self.seen > 0, self.given * ratios.clamp_max(self.limit), self.given)

    @torch.no_grad()
    def _look(self, losses: Sequence[Tensor], shared: Tensor | None) -> None:
        """Take the step's gradients into the averages."""
        if shared is None or not shared.requires_grad:
            raise UsageError(
                "balanced gradients need the tensor the losses share, with a gradient: the generated images, or the "
                "representation given as combine(..., shared=...); got one without"
            )
        squares = []
        for loss in losses:
            (slope,) = torch.autograd.grad(loss, shared, retain_graph=True, allow_unused=True)
            squares.append(loss.new_zeros(()) if slope is None else slope.float().square().sum())
        now = torch.stack(squares).to(self.squares)
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            dist.all_reduce(now)
            now = now / dist.get_world_size()
        self.seen += 1
        # the running mean of the first steps, then of the last 1 / (1 - decay)
        share = torch.maximum(1 / self.seen, self.seen.new_tensor(1 - self.decay))
        self.squares += share * (now - self.squares)


def checked_weights(names: Sequence[str], weights: Sequence[float]) -> list[float]:
    """Weights as numbers above 0.

    Raises:
        UsageError: no part, or a weight that is not a number above 0, by name.
    """
    if not names:
        raise UsageError("parts: expected at least one, such as {'l1': 1.0, 'ssim': 0.5}; got none")
    for name, weight in zip(names, weights, strict=True):
        number = isinstance(weight, (int, float)) and not isinstance(weight, bool)
        if not (number and math.isfinite(weight) and weight > 0):
            raise UsageError(
                f"parts: {name}: expected a weight above 0, got {weight!r}; leave out what counts nothing"
            )
    return [float(weight) for weight in weights]
