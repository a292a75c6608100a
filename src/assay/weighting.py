"""How several losses become one: fixed weights, learned uncertainties, or gradients of one size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn

from .errors import UsageError

LossKind = Literal["regression", "classification"]

# what the state holds of each part, before its name
LOG_VARIANCE, SQUARE, SEEN = "log_variance_", "square_", "seen_"


class FixedWeights(nn.Module):
    """sum_i c_i L_i."""

    given: Tensor

    def __init__(self, weights: Mapping[str, float]) -> None:
        super().__init__()
        self.register_buffer("given", torch.tensor(list(weights.values())), persistent=False)

    def forward(self, losses: Sequence[Tensor], shared: Tensor | None) -> Tensor:
        found = torch.stack(list(losses))
        return (self.given.to(found) * found).sum()

    def weights(self) -> Tensor:
        """What each loss is multiplied by, (T,)."""
        return self.given


class UncertaintyWeights(nn.Module):
    r"""Losses as negative log likelihoods whose noise is learned: Kendall, Gal and Cipolla 2018, arXiv:1705.07115.

    $$ \sum_{i \in \text{regression}} \Big(\tfrac12 e^{-v_i} L_i + \tfrac12 v_i\Big)
       + \sum_{i \in \text{classification}} \Big(e^{-v_i} L_i + \tfrac12 v_i\Big), \qquad v_i = \log \sigma_i^2 $$

    At the best v, sigma^2 is the loss (twice the loss for classification) and the total is the sum of (log L_i) / 2 up
    to a constant: it does not matter in which unit a loss comes. The given weights are where training begins. A loss
    that reaches zero would draw its v to minus infinity; below `floor` v counts as the floor, and can only rise.
    """

    factors: Tensor

    def __init__(
        self, weights: Mapping[str, float], kinds: Mapping[str, LossKind], floor: float = -10.0
    ) -> None:
        super().__init__()
        factors = {name: {"regression": 0.5, "classification": 1.0}[kinds[name]] for name in weights}
        self.names, self.floor = tuple(weights), floor
        self.register_buffer("factors", torch.tensor(list(factors.values())), persistent=False)
        # an optimiser knows its parameters by their order, and that is not to depend on the order of the parts
        for name in sorted(weights):
            start = max(math.log(factors[name] / weights[name]), floor)
            # of one entry: a scalar cannot be sharded
            self.register_parameter(LOG_VARIANCE + name, nn.Parameter(torch.tensor([start])))

    def log_variances(self) -> Tensor:
        """v, (T,)."""
        # not `get_parameter`: a functional call or a sharded module has plain tensors in their place
        return torch.cat([getattr(self, LOG_VARIANCE + name) for name in self.names])

    def forward(self, losses: Sequence[Tensor], shared: Tensor | None) -> Tensor:
        found = torch.stack(list(losses))
        given = self.log_variances().to(found)
        v = given.clamp_min(self.floor)
        weighed = self.factors.to(found) * torch.exp(-v) * found
        # an optimiser steps over the floor: without what pulls v up again it would stay there
        pull = (0.5 - weighed).detach().clamp_max(0.0)
        back = torch.where(given < self.floor, pull, 0.0) * (given - given.detach())
        return (weighed + 0.5 * v + back).sum()

    def weights(self) -> Tensor:
        """What each loss is multiplied by now, (T,)."""
        return self.factors * torch.exp(-self.log_variances().detach().clamp_min(self.floor))


class BalancedGradients(nn.Module):
    r"""Weights under which every loss pulls at the shared tensor with the strength it is given.

    $$ w_i = c_i \frac{\lVert g_1 \rVert}{\lVert g_i \rVert}, \qquad
       g_i = \frac{\partial L_i}{\partial \text{shared}} $$

    so that the first loss keeps its own weight and the others their share of its gradient; norms are averages over the
    past steps (bias-corrected, of all processes), and no ratio goes beyond `limit`. With one step's norms and two
    losses this is the adaptive weight of Esser, Rombach and Ommer 2021, arXiv:2012.09841, equation 7. A loss that has
    not pulled yet keeps its own weight, and so do all where the first one has not: there is nothing to compare with.

    Costs one more backward pass from each loss to the shared tensor at a step, while training. A step whose gradients
    are not finite does not count.
    """

    given: Tensor

    def __init__(self, weights: Mapping[str, float], decay: float = 0.9, limit: float = 1e4) -> None:
        super().__init__()
        self.names, self.decay, self.limit = tuple(weights), decay, limit
        self.register_buffer("given", torch.tensor(list(weights.values())), persistent=False)
        for name in weights:
            self.register_buffer(SQUARE + name, torch.zeros(()))
            # of each part: one that is added to a training that goes on begins its own mean
            self.register_buffer(SEEN + name, torch.zeros(()))

    def forward(self, losses: Sequence[Tensor], shared: Tensor | None) -> Tensor:
        found = torch.stack(list(losses))
        if self.training and torch.is_grad_enabled() and found.requires_grad:
            self._look(losses, shared)
        return (self.weights().to(found) * found).sum()

    def weights(self) -> Tensor:
        """What each loss is multiplied by now, (T,); the given weights before the first step."""
        norms = self.kept(SQUARE).sqrt()
        ratios = norms[0] / norms.clamp_min(torch.finfo(norms.dtype).tiny)
        known = (norms > 0) & (norms[0] > 0)
        return self.given * torch.where(known, ratios.clamp_max(self.limit), 1.0)

    def kept(self, what: str) -> Tensor:
        """The parts' mean squared norms of gradients, or the steps that they are of, (T,)."""
        return torch.stack([self.get_buffer(what + name) for name in self.names])

    @torch.no_grad()
    def _look(self, losses: Sequence[Tensor], shared: Tensor | None) -> None:
        """Take the step's gradients into the averages."""
        if shared is None or not shared.requires_grad:
            raise UsageError(
                "balanced gradients need the tensor the losses share, with a gradient: the generated images, or the "
                "representation given as shared=...; got one without"
            )
        if shared.dtype == torch.float16:
            raise UsageError(
                "balanced gradients: the shared tensor is float16, in which the gradient of a mean over an image comes "
                "out as 0; compute the losses from its .float()"
            )
        squares = []
        for loss in losses:
            slope = None
            if loss.requires_grad:
                (slope,) = torch.autograd.grad(loss, shared, retain_graph=True, allow_unused=True)
            squares.append(loss.new_zeros(()) if slope is None else slope.float().square().sum())
        # where the losses are: this module may have stayed on another device than the processes talk through
        now = torch.stack([each.float() for each in squares])
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            dist.all_reduce(now)
            now = now / dist.get_world_size()
        squared, seen = self.kept(SQUARE), self.kept(SEEN)
        now = now.to(squared)
        # one step of NaN, or of infinity as loss scaling meets it, would stay in the mean for good
        sane = now.isfinite().all()
        seen = seen + sane
        # the running mean of the first steps, then of the last 1 / (1 - decay)
        share = (1 / seen).clamp_min(1 - self.decay)
        squared = torch.where(sane, squared + share * (now - squared), squared)
        for name, square, steps in zip(self.names, squared, seen, strict=True):
            self.get_buffer(SQUARE + name).copy_(square)
            self.get_buffer(SEEN + name).copy_(steps)


def checked_weights(given: Mapping[str, Any]) -> dict[str, float]:
    """Weights by name as numbers above 0.

    Raises:
        UsageError: no part, or a weight that is not a number above 0, by name.
    """
    if not given:
        raise UsageError("parts: expected at least one, such as {'l1': 1.0, 'ssim': 0.5}; got none")
    for name, weight in given.items():
        number = isinstance(weight, Real) and not isinstance(weight, bool)
        if not (number and math.isfinite(weight) and weight > 0):
            raise UsageError(
                f"parts: {name}: expected a weight above 0, got {weight!r}; leave out what counts nothing"
            )
    return {name: float(weight) for name, weight in given.items()}
