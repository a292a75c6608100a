"""Depth maps to try the laws on."""

from __future__ import annotations

import torch
from torch import Tensor


def draw_depths(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Predictions around the truth, which has holes: depths from 1 to 10, 0 where nothing was measured."""
    shape = (n, 1, 12, 16)
    truth = 1.0 + 9.0 * torch.rand(shape, dtype=torch.float64, generator=generator)
    noise = torch.randn(shape, dtype=torch.float64, generator=generator)
    prediction = truth * torch.exp(0.2 * noise)
    holes = torch.rand(shape, dtype=torch.float64, generator=generator) < 0.3
    return prediction, torch.where(holes, -1.0, truth)
