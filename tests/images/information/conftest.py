"""Images by formula, so that a value can be had again in any package and with any generator."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

Pair = tuple[Tensor, Tensor]


@pytest.fixture
def formula_pair() -> Callable[..., Pair]:
    return pair


def pair(height: int, width: int, channels: int = 3) -> Pair:
    """A distorted image and its target, float64 within [0, 1]."""
    i = torch.arange(height, dtype=torch.float64)[:, None]
    j = torch.arange(width, dtype=torch.float64)
    k = torch.arange(1, channels + 1, dtype=torch.float64)[:, None, None]
    y = 0.5 + 0.2 * torch.sin(0.13 * k * i + 0.05 * j) + 0.2 * torch.cos(0.021 * i * j / k)
    x = 0.9 * y + 0.04 + 0.05 * torch.sin(1.7 * i + 2.3 * k * j)
    return x[None], y[None]
