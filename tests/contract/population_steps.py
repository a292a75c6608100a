"""Samples, an objective of any measure, and one step of it: its value and its gradient."""

from __future__ import annotations

import torch

from assay import frechet_distance


def drawn(n, seed=0, d=4, m=frechet_distance):
    z = 2 * torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return z if m.domain == "features" else z.softmax(1)


def made(m, x, **options):
    return m.objective(reference=x, **options) if len(m.sides) == 2 else m.objective(**options)


def value_of(m, x, samples):
    value = m(x, samples) if len(m.sides) == 2 else m(samples)
    return value if m.best == "min" else -value


def slope(value, leaf):
    return torch.autograd.grad(value, leaf)[0]


def stepped(objective, batch):
    leaf = batch.clone().requires_grad_()
    loss = objective(leaf)
    return loss.detach(), slope(loss, leaf)
