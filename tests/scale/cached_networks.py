"""Small encoders and losses in float64, and the comparison of their gradients."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def network(*layers: nn.Module, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 8), *layers, nn.Tanh(), nn.Linear(8, 4)).double()


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def info_nce(a: Tensor, b: Tensor) -> Tensor:
    similar = F.normalize(a, dim=1) @ F.normalize(b, dim=1).T / 0.1
    return F.cross_entropy(similar, torch.arange(len(a)))


def spread(z: Tensor) -> Tensor:
    """Every row with every other."""
    return (z @ z.T).logsumexp(1).mean() - z.pow(3).mean()


def taken(*models: nn.Module) -> list[Tensor | None]:
    """The gradients, and none are left."""
    found = [None if p.grad is None else p.grad.clone() for m in models for p in m.parameters()]
    for model in models:
        model.zero_grad()
    return found


def same(got: list[Tensor | None], wanted: list[Tensor | None], tolerance: float = 1e-12) -> None:
    assert len(got) == len(wanted) > 0
    for a, b in zip(got, wanted, strict=True):
        if a is None or b is None:
            assert a is b
        else:
            torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


class Temperature(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(1.0, dtype=torch.float64))
        self.critic = nn.Linear(4, 4).double()

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        value = info_nce(self.critic(z) * self.log_scale.exp(), z + self.log_scale)
        return value if labels is None else value + z[labels == 1].pow(2).mean()


def bn(**options) -> nn.Module:
    return network(nn.Sequential(nn.BatchNorm1d(8, **options), nn.BatchNorm1d(8)))
