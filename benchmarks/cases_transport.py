"""Transport between sets: what is timed, and beside whom."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

Contender = Callable[[], Any]


def _clouds(n: int, d: int) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    return torch.rand(n, d, generator=g), 0.9 * torch.rand(n, d, generator=g) + 0.1


def _with_gradient(value_of: Callable[[torch.Tensor], torch.Tensor], y: torch.Tensor) -> float:
    moving = y.clone().requires_grad_()
    value = value_of(moving)
    value.backward()  # type: ignore[no-untyped-call]
    return float(value.detach())


def sinkhorn(n: int = 10_000, d: int = 3, blur: float = 0.05) -> dict[str, Contender]:
    """Sinkhorn divergence and its gradient in the unit cube: converged, and annealed alone as the peer is."""
    from assay.sets.sinkhorn import sinkhorn_divergence

    x, y = _clouds(n, d)
    contenders: dict[str, Contender] = {
        "assay": lambda: _with_gradient(lambda s: sinkhorn_divergence(x, s, blur=blur), y),
        "assay, annealing alone": lambda: _with_gradient(
            lambda s: sinkhorn_divergence(x, s, blur=blur, tolerance=math.inf), y
        ),
    }
    if n <= 10_000:  # the peer holds four (n, n) matrices, and several more while it works
        from geomloss import SamplesLoss  # type: ignore[import-not-found]

        theirs = SamplesLoss("sinkhorn", p=2, blur=blur, scaling=0.5, backend="tensorized")
        contenders["geomloss, tensorised"] = lambda: _with_gradient(lambda s: theirs(x, s), y)
    return contenders


def sinkhorn_batch(batch: int = 64, n: int = 256, d: int = 3, blur: float = 0.2) -> dict[str, Contender]:
    """A batch of small point clouds."""
    from geomloss import SamplesLoss

    from assay.sets.sinkhorn_batched import sinkhorn_divergences

    g = torch.Generator().manual_seed(0)
    x, y = torch.rand(batch, n, d, generator=g), 0.9 * torch.rand(batch, n, d, generator=g) + 0.1
    theirs = SamplesLoss("sinkhorn", p=2, blur=blur, scaling=0.5, backend="tensorized")
    return {
        "assay": lambda: _with_gradient(lambda s: sinkhorn_divergences(x, s, blur=blur).mean(), y),
        "geomloss, tensorised": lambda: _with_gradient(lambda s: theirs(x, s).mean(), y),
    }


CASES: dict[str, Callable[..., dict[str, Contender]]] = {
    "sinkhorn": sinkhorn,
    "sinkhorn_batch": sinkhorn_batch,
}
