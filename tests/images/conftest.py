from __future__ import annotations

import pytest
import torch


@pytest.fixture
def pair():
    """Two images in [0, 1], with a gradient, and noisy copies."""
    g = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, 24, 24, generator=g)
    return x.requires_grad_(), (x.detach() + 0.1 * torch.randn(x.shape, generator=g)).clamp(0, 1)
