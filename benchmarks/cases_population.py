"""A training step on the Fréchet distance with a population, beside one symmetric eigendecomposition of its size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

Contender = Callable[[], Any]


def frechet_step(
    d: int = 2048, population: int = 50_000, batch: int = 256, steps: int = 16
) -> dict[str, Contender]:
    """Forward and backward to the batch's features; each contender takes `steps` steps, one of them a refresh.

    The eigendecomposition is solved `steps` times too, so that the ratios are those of a step. One step
    was taken before, so that the last one, whose loss is given, is the one that refreshes.
    """
    import assay
    from assay.sets.bounded_frechet import bounded_frechet_objective

    g = torch.Generator().manual_seed(0)
    spread = torch.logspace(0, -1.25, d)
    mix = torch.linalg.qr(torch.randn(d, d, generator=g))[0]

    def features(n: int, scale: float) -> torch.Tensor:
        return (torch.randn(n, d, generator=g) * spread * scale) @ mix + 0.4

    reference = assay.Moments.of(features(3 * d, 1.0))
    earlier = features(population, 1.05)
    batches = [features(batch, 1.05) for _ in range(steps)]
    covariance = reference.covariance()
    objectives = {
        "assay": assay.frechet_distance.objective(reference=reference, population=population),
        "assay, ema": assay.frechet_distance.objective(
            reference=reference, population=population, memory="ema"
        ),
        "assay, bounded error": bounded_frechet_objective(reference, population=population, refresh=steps),
    }
    for objective in objectives.values():
        objective.warm_up([earlier], quiet=True)
        objective(batches[-1])  # what is made once is made before the clock runs

    def train(name: str) -> Contender:
        def call() -> float:
            last = 0.0
            for one in batches:
                leaf = one.clone().requires_grad_()
                loss = objectives[name](leaf)
                loss.backward()
                last = float(loss.detach())
            return last

        return call

    def eigh() -> float:
        for _ in range(steps):
            values = torch.linalg.eigh(covariance)[0]
        return float(values.sum())

    return {f"{steps} eigendecompositions": eigh, **{name: train(name) for name in objectives}}
