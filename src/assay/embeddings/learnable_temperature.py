"""A temperature that is trained along with the embeddings."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import UsageError


class LearnableTemperature(torch.nn.Module):
    r"""A temperature  $t = e^{-\theta}$  with the parameter  $\theta = \log(1 / t)$, kept at or below a largest scale.

    Give it to an objective, and its parameter to the optimiser::

        loss = info_nce.objective(temperature=LearnableTemperature(0.07, maximum_scale=100))
        optimiser = torch.optim.AdamW([*encoder.parameters(), *loss.parameters()])

    Args:
        initial: the temperature to start from, above zero.
        maximum_scale: the largest 1 / t: a parameter that a step has moved beyond it is set back to it at the next
            call in training mode, so that its gradient is never cut off. None for no limit.

    Raises:
        UsageError: an initial temperature that is not above zero, or below 1 / maximum_scale.

    FAQ:
        *Weight decay?* Leave theta out of it, as of every scale: it would pull the temperature to 1.
        *Several processes?* Every process holds the whole batch's gradient of theta, so that equal parameters stay
        equal, inside DistributedDataParallel or out; only with ``gradients="sum"`` it must be summed with the others.
    """

    def __init__(self, initial: float = 0.07, *, maximum_scale: float | None = 100.0) -> None:
        super().__init__()
        if not 0 < initial < math.inf:
            raise UsageError(f"initial: expected a temperature above zero, got {initial!r}")
        if maximum_scale is not None and not 1 / initial <= maximum_scale:
            raise UsageError(
                f"maximum_scale: 1 / initial is {1 / initial:g}, which is above {maximum_scale!r}; raise one of them"
            )
        self.maximum_scale = maximum_scale
        self.log_scale = torch.nn.Parameter(torch.tensor(-math.log(initial)))

    def forward(self) -> Tensor:
        """The temperature, a scalar with gradient."""
        if self.training and self.maximum_scale is not None:
            with torch.no_grad():
                self.log_scale.clamp_(max=math.log(self.maximum_scale))
        return torch.exp(-self.log_scale)

    def extra_repr(self) -> str:
        return f"maximum_scale={self.maximum_scale}"
