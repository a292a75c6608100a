"""Conditional transport against the dense formula, its limits, and the population value of normal samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from assay import laws
from assay.errors import UsageError
from assay.sets.conditional_transport import conditional_transport

Draw = Callable[..., Tensor]


def dense(cost: Tensor, distance: Tensor, a: Tensor, b: Tensor, rho: float) -> Tensor:
    """The definition, over the whole matrix."""
    forward = (torch.softmax(-distance + b.log(), 1) * cost).sum(1) @ a
    backward = (torch.softmax(-distance + a.log()[:, None], 0) * cost).sum(0) @ b
    return rho * forward + (1 - rho) * backward


@pytest.mark.parametrize("cost", ["sqeuclidean", "cosine"])
@pytest.mark.parametrize("rho", [0.0, 0.3, 1.0])
def test_it_is_the_dense_formula_and_its_gradient(
    normal: Draw, monkeypatch: pytest.MonkeyPatch, cost: str, rho: float
) -> None:
    monkeypatch.setattr("assay.scale.tiles.ROWS", 7)
    monkeypatch.setattr("assay.scale.tiles.COLUMNS", 5)
    x, y = normal(20, 3).requires_grad_(), (normal(17, 3) + 0.5).requires_grad_()
    counts = (torch.arange(17) % 3 + 1).double().requires_grad_()
    got = conditional_transport(x, y, weights_y=counts, rho=rho, cost=cost, temperature=0.7)
    a, b = torch.full((20,), 0.05, dtype=torch.float64), counts / counts.sum()
    squared = (x[:, None] - y[None]).square().sum(2)
    matrix = squared if cost == "sqeuclidean" else 1 - torch.cosine_similarity(x[:, None], y[None], dim=2)
    expected = dense(matrix, matrix / 0.7, a, b, rho)
    torch.testing.assert_close(got, expected)
    for mine, theirs in zip(
        torch.autograd.grad(got, (x, y, counts)), torch.autograd.grad(expected, (x, y, counts)), strict=True
    ):
        torch.testing.assert_close(mine, theirs)


def test_a_navigator_decides_where_samples_go_and_is_trained(normal: Draw) -> None:
    x, y = normal(15, 4), normal(12, 4)
    net = torch.nn.Linear(4, 2).double()
    value = conditional_transport(x, y, navigator=net, temperature=1.0)
    near = (net(x)[:, None] - net(y)[None]).square().sum(2)
    even = [torch.full((n,), 1 / n, dtype=torch.float64) for n in (15, 12)]
    expected = dense((x[:, None] - y[None]).square().sum(2), near, *even, 0.5)
    torch.testing.assert_close(value, expected)
    parameters = list(net.parameters())[:1]
    mine, theirs = (torch.autograd.grad(v, parameters)[0] for v in (value, expected))
    torch.testing.assert_close(mine, theirs)
    with pytest.raises(UsageError, match="navigator: expected one row"):
        conditional_transport(x, y, navigator=lambda s: s[:3])


def test_cold_it_is_a_chamfer_distance_and_hot_the_mean_of_all_pairs(normal: Draw) -> None:
    x, y = normal(20, 3), normal(30, 3)
    squared = torch.cdist(x, y).square()
    chamfer = 0.5 * (squared.amin(1).mean() + squared.amin(0).mean())
    torch.testing.assert_close(conditional_transport(x, y, temperature=1e-4), chamfer)
    torch.testing.assert_close(
        conditional_transport(x, y, temperature=1e9), squared.mean(), rtol=1e-6, atol=0
    )


def test_between_normal_populations_it_is_the_quadrature(normal: Draw) -> None:
    mean, temperature = 0.8, 0.5
    grid = torch.linspace(-9, 9, 3001, dtype=torch.float64)
    step = grid[1] - grid[0]
    p, q = (torch.exp(-0.5 * (grid - m) ** 2) / (2 * torch.pi) ** 0.5 * step for m in (0.0, mean))
    squared = (grid[:, None] - grid[None]).square()
    population = float(dense(squared, squared / temperature, p, q, 0.5))
    x, y = normal(1500, 1), normal(1500, 1) + mean
    assert float(conditional_transport(x, y, temperature=temperature)) == pytest.approx(population, rel=0.06)


def test_the_forward_part_covers_and_the_backward_part_seeks(normal: Draw) -> None:
    modes = 10 * torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]], dtype=torch.float64)
    real = modes.repeat_interleave(25, 0) + 0.1 * normal(100, 2)
    covers = modes.repeat_interleave(25, 0) + 2.0 * normal(100, 2)  # every mode, without care
    seeks = modes[:1].repeat(100, 1) + 0.1 * normal(100, 2)  # one mode, exactly
    forward, backward = (conditional_transport.with_options(rho=r, temperature=1.0) for r in (1.0, 0.0))
    assert float(forward(real, covers)) < float(forward(real, seeks))
    assert float(backward(real, seeks)) < float(backward(real, covers))


def test_equal_sets_are_not_at_zero_and_more_samples_come_closer(normal: Draw) -> None:
    x = normal(400, 2)
    values = [float(conditional_transport(x[:n], x[-n:], temperature=0.05)) for n in (20, 200)]
    assert float(conditional_transport(x, x)) > 0.01
    assert values[0] > values[1] > 0


@pytest.mark.parametrize("law", laws.UNIVERSAL[:-1], ids=lambda law: law.__name__)
def test_cosine_keeps_the_laws(law: Callable[..., None]) -> None:
    m = replace(conditional_transport.with_options(cost="cosine", rho=0.2), laws=())
    law(m, laws.draw_inputs(m, n=14, m=10, d=3, offset=0.3, scale=1.0, seed=3))


def test_bad_options_are_named(normal: Draw) -> None:
    x = normal(6, 2)
    for name, value in [("rho", 1.2), ("cost", "manhattan"), ("temperature", 0.0)]:
        with pytest.raises(UsageError, match=f"^{name}: expected"):
            conditional_transport(x, x, **{name: value})
