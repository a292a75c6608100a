"""Sinkhorn divergence against assignment, moments, a dense textbook iteration, and finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from assay import laws
from assay.errors import DataError, UsageError
from assay.sets.sinkhorn import sinkhorn_divergence
from assay.sets.sinkhorn_batched import sinkhorn_divergences
from assay.sets.sinkhorn_plan import sinkhorn_potentials
from assay.statistics import Samples

Draw = Callable[..., Tensor]


def textbook(x: Tensor, y: Tensor, a: Tensor, b: Tensor, epsilon: float, p: int, rho: float) -> float:
    """OT_eps by alternating updates in the log domain until they stand still; the dual objective, written out."""
    cost = torch.cdist(x, y) ** p / p
    damp = 1.0 if rho == math.inf else 1 / (1 + epsilon / rho)
    f, g = torch.zeros_like(a), torch.zeros_like(b)
    for _ in range(1500):
        before = f
        f = -damp * epsilon * torch.logsumexp((g[None] - cost) / epsilon + b.log()[None], 1)
        g = -damp * epsilon * torch.logsumexp((f[:, None] - cost) / epsilon + a.log()[:, None], 0)
        if float((f - before).abs().max()) < 1e-11:
            break
    phi = (lambda t: t) if rho == math.inf else (lambda t: -rho * ((-t / rho).exp() - 1))
    plan = a[:, None] * b[None] * ((f[:, None] + g[None] - cost) / epsilon).exp()
    return float(a @ phi(f) + b @ phi(g) - epsilon * (plan.sum() - 1))


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("reach", [None, 1.5])
def test_it_is_the_textbook_iteration_s_fixed_point(normal: Draw, p: int, reach: float | None) -> None:
    x, y = normal(20, 3), 1.2 * normal(15, 3) + 0.5
    counts = torch.arange(15, dtype=torch.float64) % 3 + 1
    a, b = torch.full((20,), 1 / 20, dtype=torch.float64), counts / counts.sum()
    blur, rho = 1.0, math.inf if reach is None else reach**p
    args = blur**p, p, rho
    expected = textbook(x, y, a, b, *args) - 0.5 * (textbook(x, x, a, a, *args) + textbook(y, y, b, b, *args))
    got = sinkhorn_divergence(x, y, weights_y=counts, blur=blur, p=p, reach=reach)
    assert float(got) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("p", [1, 2])
def test_without_blur_it_is_the_cheapest_assignment(normal: Draw, p: int) -> None:
    x, y = normal(24, 2), normal(24, 2) + 1
    cost = torch.cdist(x, y) ** p / p
    rows, columns = linear_sum_assignment(cost.numpy())
    got = sinkhorn_divergence(x, y, blur=0.003 if p == 1 else 0.05, p=p, tolerance=1e-3)
    assert float(got) == pytest.approx(float(cost[rows, columns].mean()), rel=2e-3)


def test_with_endless_blur_it_is_half_the_squared_distance_of_the_means(normal: Draw) -> None:
    x, y = normal(30, 3), normal(20, 3) + 0.5
    got = sinkhorn_divergence(x, y, blur=300.0)
    assert float(got) == pytest.approx(0.5 * float((x.mean(0) - y.mean(0)).square().sum()), rel=1e-3)


def test_with_endless_blur_and_plain_distance_it_is_half_the_energy_distance(normal: Draw) -> None:
    x, y = normal(30, 3), normal(20, 3) + 0.5
    energy = 2 * torch.cdist(x, y).mean() - torch.cdist(x, x).mean() - torch.cdist(y, y).mean()
    assert float(sinkhorn_divergence(x, y, blur=3e4, p=1)) == pytest.approx(0.5 * float(energy), rel=1e-3)


@pytest.mark.parametrize(
    ("options", "offset"),
    [({"p": 1, "blur": 0.5}, 1e4), ({"reach": 2.0, "blur": 0.8}, 0.0), ({"p": 1, "reach": 1.0}, 0.0)],
    ids=["distance", "unbalanced", "both"],
)
@pytest.mark.parametrize(
    "law",
    [
        laws.counts_are_copies,
        laws.float32_agrees,
        laws.gradient_is_right,
        laws.influences_sum_to_zero,
        laws.rotation_invariant,
        laws.stays_within_bounds,
    ],
    ids=lambda law: law.__name__,
)
def test_variants_keep_the_laws(law: Callable[..., None], options: dict[str, float], offset: float) -> None:
    m = sinkhorn_divergence.with_options(**options)
    law(m, laws.draw_inputs(m, n=8, m=6, d=3, offset=offset, scale=1.0, seed=3))


def test_with_a_given_blur_it_is_symmetric_and_by_default_the_real_side_is_the_ruler(normal: Draw) -> None:
    x, y = normal(20, 4), 3 * normal(15, 4)
    fixed = sinkhorn_divergence.with_options(blur=1.0)
    assert float(fixed(x, y)) == pytest.approx(float(fixed(y, x)), rel=1e-9)
    ruler = 0.2 * float((x - x.mean(0)).square().sum(1).mean().sqrt())
    assert float(sinkhorn_divergence(x, y)) == pytest.approx(
        float(sinkhorn_divergence(x, y, blur=ruler)), rel=1e-9
    )


def test_the_default_scales_with_the_data(normal: Draw) -> None:
    x, y = normal(20, 3), normal(20, 3) + 1
    once = float(sinkhorn_divergence(x, y))
    assert float(sinkhorn_divergence(100 * x, 100 * y)) == pytest.approx(1e4 * once, rel=1e-8)
    assert float(sinkhorn_divergence(100 * x, 100 * y, p=1)) == pytest.approx(
        100 * float(sinkhorn_divergence(x, y, p=1)), rel=1e-8
    )


def test_reach_leaves_an_outlier_where_it_is(normal: Draw) -> None:
    x, y = normal(40, 2), normal(40, 2)
    far = torch.cat([y, torch.full((1, 2), 50.0, dtype=torch.float64)])
    balanced = float(sinkhorn_divergence(x, far, blur=0.5)) - float(sinkhorn_divergence(x, y, blur=0.5))
    loose = [float(sinkhorn_divergence(x, s, blur=0.5, reach=1.0)) for s in (far, y)]
    assert balanced > 20
    assert abs(loose[0] - loose[1]) < 0.1


def test_duplicates_and_absent_samples_do_no_harm(normal: Draw) -> None:
    x = normal(6, 3).repeat(3, 1)
    y = torch.cat([x, x[:2] + 40])  # two that count for nothing, near one another and far from all others
    counts = torch.cat([torch.ones(18), torch.zeros(2)]).to(torch.float64).requires_grad_()
    value = sinkhorn_divergence(x.requires_grad_(), y, weights_y=counts, p=1, blur=0.05, tolerance=1e-3)
    assert float(value.detach()) == pytest.approx(0, abs=1e-4)
    value.backward()
    assert counts.grad is not None and bool(counts.grad.isfinite().all())
    assert float(counts.grad[18:].abs().max()) < 1e-6  # at equal sets the divergence is at its minimum
    assert bool(x.grad.isfinite().all())


def test_large_sets_by_tiles_give_what_small_ones_give_held(
    normal: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y, counts = normal(50, 3), normal(40, 3) + 0.3, torch.arange(40, dtype=torch.float64) % 3 + 1

    def found(p: int) -> list[Tensor]:
        a, b = x.clone().requires_grad_(), y.clone().requires_grad_()
        value = sinkhorn_divergence(a, b, weights_y=counts, p=p)
        return [value.detach(), *torch.autograd.grad(value, (a, b))]

    held = [found(p) for p in (1, 2)]
    monkeypatch.setattr("assay.scale.transport.cost.HELD", 1)
    monkeypatch.setattr("assay.scale.transport.entropic.HELD", 1)
    monkeypatch.setattr("assay.scale.transport.cost.SHAPE", (16, 24))
    for p in (1, 2):
        for tiled, whole in zip(found(p), held[p - 1], strict=True):
            torch.testing.assert_close(tiled, whole, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("held", [1, 2**22])
def test_potentials_far_from_the_solution_do_not_overflow(
    normal: Draw, monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    monkeypatch.setattr("assay.scale.transport.cost.HELD", held)
    monkeypatch.setattr("assay.scale.transport.entropic.HELD", held)
    x, y = normal(40, 2).float(), (normal(30, 2) + 3).float()
    # annealed in one leap: exponents of several hundred on the way
    got = sinkhorn_divergence(x, y, blur=0.2, scaling=1e-3, tolerance=1e-2)
    assert float(got) == pytest.approx(float(sinkhorn_divergence(x.double(), y.double(), blur=0.2)), rel=1e-3)


def test_the_plan_has_its_marginals_and_is_applied_without_being_formed(
    normal: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y, counts = normal(30, 3) + 100, normal(25, 3) + 101, torch.arange(25) % 2 + 1.0
    found = sinkhorn_potentials(x, y, weights_y=counts, blur=0.5)
    plan = found.plan()
    assert found.error < 1e-6
    torch.testing.assert_close(plan.sum(1), found.a, rtol=0, atol=1e-6)
    torch.testing.assert_close(plan.sum(0), counts.double() / counts.sum(), rtol=0, atol=1e-6)
    cost = 0.5 * torch.cdist(x, y) ** 2
    entropy = (plan * (plan / (found.a[:, None] * found.b)).log()).sum()
    torch.testing.assert_close(found.cost, (plan * cost).sum() + 0.25 * entropy, rtol=1e-6, atol=0)
    expected = plan @ y / plan.sum(1, keepdim=True), plan.T @ x / plan.sum(0)[:, None]
    for setting in (2**22, 1):
        monkeypatch.setattr("assay.scale.transport.cost.HELD", setting)
        monkeypatch.setattr("assay.scale.transport.entropic.HELD", setting)
        torch.testing.assert_close(found.to_x(y), expected[0])
        torch.testing.assert_close(found.to_y(x), expected[1])


def test_the_barycentric_map_of_a_shift_is_the_shift(normal: Draw) -> None:
    x = normal(40, 2)
    moved = sinkhorn_potentials(x, x + 5, blur=0.03, tolerance=1e-2)
    assert float((moved.to_x(x + 5) - (x + 5)).abs().max()) < 0.05


def test_a_batch_is_its_pairs_one_by_one(normal: Draw) -> None:
    x, y = normal(3, 12, 3), normal(3, 9, 3) * torch.logspace(-1, 1, 3).double()[:, None, None] + 0.5
    for options in ({}, {"p": 1, "blur": 0.6}, {"reach": 1.0}):
        each = torch.stack([sinkhorn_divergence(a, b, **options) for a, b in zip(x, y, strict=True)])
        torch.testing.assert_close(sinkhorn_divergences(x, y, **options), each, rtol=1e-8, atol=1e-9)


def test_a_reference_is_solved_with_itself_once(normal: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.sets.sinkhorn import TransportOptions

    solved = []
    plain = TransportOptions.cost
    monkeypatch.setattr(
        TransportOptions, "cost", lambda self, x, y, e: (solved.append(y is None), plain(self, x, y, e))[1]
    )
    reference = Samples.of(normal(20, 3))
    for _ in range(3):
        sinkhorn_divergence(reference, normal(10, 3))
    assert solved.count(True) == 4  # once the reference, three times a batch


def test_mass_that_must_cross_between_far_clusters_does_so_while_the_blur_is_large() -> None:
    drawn = torch.Generator().manual_seed(0)
    x, y = (torch.randn(60, 64, generator=drawn) for _ in "xy")
    x[:30] += 8
    y[:10] += 8  # a third of what x has there
    found = sinkhorn_potentials(x, y)
    assert found.passes < 100
    moved = found.plan()[:30, 10:].sum()
    assert float(moved) == pytest.approx(1 / 3, abs=1e-3)


def test_what_does_not_converge_is_said(normal: Draw) -> None:
    x, y = normal(30, 2), normal(30, 2) + 1
    with pytest.raises(
        DataError, match=r"not converged.*off by .* after \d+ passes.*tolerance is 0.001.*larger"
    ):
        sinkhorn_divergence(x, y, blur=0.01, iterations=3)
    rough = sinkhorn_divergence(x, y, blur=0.5, iterations=0, tolerance=math.inf)
    assert float(rough) == pytest.approx(float(sinkhorn_divergence(x, y, blur=0.5)), rel=0.1)
    with pytest.raises(DataError, match="NaN"):
        sinkhorn_divergence(x, torch.full_like(y, torch.nan), blur=0.5)


def test_bad_options_are_named(normal: Draw) -> None:
    x = normal(6, 2)
    bad = {"p": 3, "blur": 0.0, "reach": -1.0, "scaling": 1.0, "iterations": -1, "tolerance": 0}
    for name, value in bad.items():
        with pytest.raises(UsageError, match=f"^{name}: expected"):
            sinkhorn_divergence(x, x, **{name: value})
    with pytest.raises(UsageError, match="all equal"):
        sinkhorn_divergence(torch.ones(4, 2), x.float())
    with pytest.raises(UsageError, match=r"^x: expected .*\(B, n, d\)"):
        sinkhorn_divergences(x, x)
    with pytest.raises(UsageError, match="values: expected one row a sample of y"):
        sinkhorn_potentials(x, x).to_x(x[:2])
    with pytest.raises(UsageError, match="number of features"):
        sinkhorn_potentials(x, x[:, :1])
