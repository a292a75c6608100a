"""The Monge gap against the exact assignment, for maps that are optimal and maps that are not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from assay import batch_laws
from assay.batch_law_inputs import draw_batch_inputs
from assay.errors import UsageError
from assay.sets.monge_gap import monge_gap, monge_gap_per_sample

Draw = Callable[..., Tensor]


def exact(x: Tensor, mapped: Tensor, power: int) -> float:
    cost = torch.cdist(x, mapped) ** power
    return float(cost.diagonal().mean() - cost[linear_sum_assignment(cost.numpy())].mean())


def symmetric(normal: Draw) -> Tensor:
    a = normal(3, 3)
    return a @ a.T / 3 + 0.5 * torch.eye(3, dtype=torch.float64)


def test_the_gradient_of_a_convex_function_has_none(normal: Draw) -> None:
    x = normal(30, 3)
    mapped = x @ symmetric(normal) + 2
    gaps = [float(monge_gap(x, mapped, epsilon=e, tolerance=1e-3)) for e in (1.0, 0.3, 0.1)]
    assert exact(x, mapped, 2) == pytest.approx(0, abs=1e-12)
    assert gaps[0] > gaps[1] > gaps[2] >= 0
    assert gaps[2] < 0.05


@pytest.mark.parametrize(("cost", "power"), [("sqeuclidean", 2), ("euclidean", 1)])
def test_a_rotation_has_the_exact_gap_from_above(normal: Draw, cost: str, power: int) -> None:
    x = normal(40, 3)
    mapped = x @ torch.linalg.qr(normal(3, 3))[0]
    truth = exact(x, mapped, power)
    assert truth > 0.1
    fine = float(monge_gap(x, mapped, cost=cost, epsilon=0.02, tolerance=1e-3))
    assert truth - 1e-4 < fine < truth + 0.02
    assert float(monge_gap(x, mapped, cost=cost)) > truth


def test_it_is_the_published_gap_less_epsilon_log_n(normal: Draw) -> None:
    x, mapped, epsilon, n = normal(20, 2), normal(20, 2), 0.5, 20
    cost = torch.cdist(x, mapped) ** 2
    f, g = torch.zeros(n, dtype=torch.float64), torch.zeros(n, dtype=torch.float64)
    for _ in range(1000):
        f = -epsilon * torch.logsumexp((g[None] - cost) / epsilon, 1) - epsilon * torch.log(torch.tensor(n))
        g = -epsilon * torch.logsumexp((f[:, None] - cost) / epsilon, 0) - epsilon * torch.log(
            torch.tensor(n)
        )
    plan = ((f[:, None] + g[None] - cost) / epsilon).exp()
    entropy = -(plan * plan.log()).sum()
    published = cost.diagonal().mean() - ((plan * cost).sum() - epsilon * entropy)
    got = monge_gap(x, mapped, epsilon=epsilon)
    assert float(got) == pytest.approx(float(published - epsilon * torch.log(torch.tensor(20.0))), rel=1e-6)


def test_each_sample_s_share_is_its_chance_to_go_to_its_own_image(normal: Draw) -> None:
    x = normal(30, 2)
    mapped = x.clone()
    mapped[[3, 17]] = x[[17, 3]]  # two samples exchanged
    each = monge_gap_per_sample(x, mapped)
    assert float(each.min()) > -1e-6
    assert set(each.topk(2).indices.tolist()) == {3, 17}
    assert float(each.mean()) == pytest.approx(float(monge_gap(x, mapped)), rel=1e-5)


def test_following_its_gradient_makes_a_map_optimal(normal: Draw) -> None:
    x = normal(30, 2)
    mapped = (x @ torch.linalg.qr(normal(2, 2))[0]).requires_grad_()
    start = exact(x, mapped.detach(), 2)
    for _ in range(12):
        (slope,) = torch.autograd.grad(30 * monge_gap(x, mapped), mapped)
        mapped = (mapped - 0.2 * slope).detach().requires_grad_()
    assert start > 0.1
    assert exact(x, mapped.detach(), 2) < 0.1 * start


@pytest.mark.parametrize("law", batch_laws.laws_of_batches(monge_gap), ids=lambda law: law.__name__)
@pytest.mark.parametrize("cost", ["sqeuclidean", "euclidean"])
def test_it_keeps_the_laws(law: Callable[..., None], cost: str) -> None:
    m = monge_gap.with_options(cost=cost)
    law(m, draw_batch_inputs(m, n=12, d=4, classes=3, seed=1))


def test_bad_options_are_named(normal: Draw) -> None:
    x = normal(6, 2)
    with pytest.raises(UsageError, match="cost: expected"):
        monge_gap(x, x, cost="manhattan")
    with pytest.raises(UsageError, match="epsilon: expected"):
        monge_gap(x, x, epsilon=0)
    with pytest.raises(UsageError, match="mapped"):
        monge_gap_per_sample(x, x[:, :1])
