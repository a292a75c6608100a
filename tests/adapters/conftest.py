"""A generator small enough to be trained in a test, and images to hold against it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

SIDE = 6


class TinyGenerator(nn.Module):
    """Dropout, which draws random numbers in training, and batch statistics, which evaluation must leave alone."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 16)
        self.norm = nn.BatchNorm1d(16)
        self.dropout = nn.Dropout(0.3)
        self.last = nn.Linear(16, SIDE * SIDE)

    def forward(self, noise: Tensor) -> Tensor:
        hidden = self.dropout(torch.relu(self.norm(self.first(noise))))
        return torch.tanh(self.last(hidden)).view(-1, 1, SIDE, SIDE)


def sample(model: nn.Module, k: int) -> Tensor:
    return model(torch.randn(k, 4))


@pytest.fixture
def generator_and_sample():
    torch.manual_seed(3)
    return TinyGenerator(), sample


@pytest.fixture(scope="session")
def real_images() -> Tensor:
    g = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (40, 3, SIDE, SIDE), dtype=torch.uint8, generator=g)
