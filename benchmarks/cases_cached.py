"""Cached backward: what a sample costs in time, and a batch in memory, against the plain step of one chunk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Contender = Callable[[], Any]

CHUNK = 64


def cached_backward(batch: int = 4096, side: int = 32) -> dict[str, Contender]:
    """One step of a convolutional encoder under InfoNCE of its two views, chunks of 64.

    "plain, one chunk" makes as many steps of 64 as the batch has, so that seconds compare as they are; its peak is that
    of one. To be run at batches of 64, 256, 1,024 and 4,096 (of memory), and with `plain, whole batch` at the smaller
    ones, whose gradient it must equal. Each returns the norm of the gradient.
    """
    from assay.embeddings import info_nce
    from assay.scale import cached_backward

    encoder = network()
    x = torch.randn(batch, 3, side, side, generator=torch.Generator().manual_seed(1))

    def loss(z: Tensor) -> Tensor:
        return info_nce(*z.chunk(2, dim=1))

    def norm() -> float:
        total = sum(float(p.grad.double().square().sum()) for p in encoder.parameters() if p.grad is not None)
        encoder.zero_grad()
        return total**0.5

    def ours() -> float:
        cached_backward(encoder, x, loss, CHUNK)
        return norm()

    def one_chunk() -> float:
        for part in x.split(CHUNK):
            loss(encoder(part)).backward()
        return norm()

    def whole() -> float:
        loss(encoder(x)).backward()
        return norm()

    return {"assay": ours, "plain, one chunk": one_chunk, "plain, whole batch": whole}


class Block(nn.Module):
    """Two convolutions around a shortcut, with statistics of one sample's groups."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.shortcut = nn.Conv2d(before, after, 1, stride, bias=False)
        self.first = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([nn.GroupNorm(8, after), nn.GroupNorm(8, after)])

    def forward(self, x: Tensor) -> Tensor:
        inner = self.norms[0](self.first(x)).relu()
        return (self.norms[1](self.second(inner)) + self.shortcut(x)).relu()


def network() -> nn.Sequential:
    """A small residual encoder, 3 x 32 x 32 to two views of 64."""
    torch.manual_seed(0)
    blocks = [Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2)]
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 128)
    )
