"""Sliced Wasserstein, Chamfer and energy distances, each against what is commonly written for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Contender = Callable[[], Any]


def _two_sets(n: int, m: int, d: int) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    return torch.randn(n, d, generator=g), torch.randn(m, d, generator=g) + 0.1


def _with_gradient(value: Callable[[Tensor], Tensor], y: Tensor) -> Contender:
    """Forward and backward; the value."""

    def call() -> float:
        leaf = y.clone().requires_grad_()
        result = value(leaf)
        result.backward()  # type: ignore[no-untyped-call]
        return float(result.detach())

    return call


def sliced_wasserstein(n: int = 10_000, m: int = 10_000, d: int = 64) -> dict[str, Contender]:
    """256 directions, squared costs, forward and backward."""
    import ot  # type: ignore[import-untyped, import-not-found, unused-ignore]

    from assay.scale.transport.lines import random_directions
    from assay.sets.sliced_wasserstein import sliced_wasserstein as ours

    x, y = _two_sets(n, m, d)
    directions = random_directions(256, x, 0).T.contiguous()
    return {
        "assay": _with_gradient(lambda leaf: ours(x, leaf), y),
        "POT": _with_gradient(
            lambda leaf: ot.sliced_wasserstein_distance(x, leaf, projections=directions) ** 2, y
        ),
    }


def chamfer(n: int = 10_000, m: int = 10_000, d: int = 3) -> dict[str, Contender]:
    """Squared, forward and backward."""
    from assay.sets.chamfer import chamfer_distance

    x, y = _two_sets(n, m, d)

    def dense(leaf: Tensor) -> Tensor:
        squared = torch.cdist(x, leaf).square()
        return squared.amin(1).mean() + squared.amin(0).mean()

    return {
        "assay": _with_gradient(lambda leaf: chamfer_distance(x, leaf), y),
        "torch.cdist": _with_gradient(dense, y),
    }


def chamfer_batch(clouds: int = 64, points: int = 1024) -> dict[str, Contender]:
    """A batch of point clouds in three dimensions, squared, forward and backward."""
    from assay.sets.chamfer import chamfer_distances

    x, y = (side.reshape(clouds, points, 3) for side in _two_sets(clouds * points, clouds * points, 3))

    def dense(leaf: Tensor) -> Tensor:
        squared = torch.cdist(x, leaf).square()
        return (squared.amin(2).mean(1) + squared.amin(1).mean(1)).mean()

    return {
        "assay": _with_gradient(lambda leaf: chamfer_distances(x, leaf).mean(), y),
        "torch.cdist": _with_gradient(dense, y),
    }


def energy(n: int = 8_000, m: int = 8_000, d: int = 64) -> dict[str, Contender]:
    """Unbiased, forward and backward."""
    from assay.sets.energy import energy_distance

    x, y = _two_sets(n, m, d)

    def dense(leaf: Tensor) -> Tensor:
        within = torch.cdist(x, x).sum() / (n * (n - 1)) + torch.cdist(leaf, leaf).sum() / (m * (m - 1))
        return 2 * torch.cdist(x, leaf).mean() - within

    return {
        "assay": _with_gradient(lambda leaf: energy_distance(x, leaf), y),
        "torch.cdist": _with_gradient(dense, y),
    }
