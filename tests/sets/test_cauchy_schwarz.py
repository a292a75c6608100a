"""Cauchy-Schwarz divergence and its batch forms against dense kernels, closed forms and independence."""

from __future__ import annotations

import math

import pytest
import torch

from assay import UsageError
from assay.scale import rbf
from assay.scale.kernels import log_gaussian
from assay.scale.log_sums import row_logsumexp_within, weighted_logsumexp
from assay.sets.cauchy_schwarz import cauchy_schwarz
from assay.sets.conditional_cauchy_schwarz import (
    cauchy_schwarz_mutual_information,
    conditional_cauchy_schwarz,
)


def test_equals_the_dense_kernels_counts_included(normal):
    x, y = normal(13, 4), normal(9, 4) + 0.5
    u, v = torch.arange(13.0).double() % 3 + 1, torch.arange(9.0).double() % 4
    k = rbf(1.3)
    n, m = u.sum(), v.sum()
    expected = (
        (u @ k(x, x) @ u / n**2).log()
        + (v @ k(y, y) @ v / m**2).log()
        - 2 * (u @ k(x, y) @ v / (n * m)).log()
    )
    got = cauchy_schwarz(x, y, weights_x=u, weights_y=v, bandwidth=1.3)
    assert float(got) == pytest.approx(float(expected), rel=1e-10)
    swapped = cauchy_schwarz(y, x, weights_x=v, weights_y=u, bandwidth=1.3)
    assert float(swapped) == pytest.approx(float(got), rel=1e-10)


def test_the_default_bandwidth_is_of_the_real_side_alone(normal):
    x, y = normal(30, 3), normal(20, 3) * 2 + 1
    width = float((torch.cdist(x, x) ** 2).mean().sqrt())
    assert float(cauchy_schwarz(x, y)) == pytest.approx(
        float(cauchy_schwarz(x, y, bandwidth=width)), rel=1e-9
    )


def gaussian_divergence(d, s, v, shift):
    """Of N(0, 1) and N(shift, v), isotropic, both widened by s^2 / 2: integrals of products of normals."""

    def log_product(variance, gap):
        return -0.5 * d * math.log(2 * math.pi * variance) - gap**2 / (2 * variance)

    s2 = s * s
    return log_product(2 + s2, 0) + log_product(2 * v + s2, 0) - 2 * log_product(1 + v + s2, shift)


@pytest.mark.parametrize(("v", "shift"), [(1.0, 0.0), (1.5, 0.8)])
def test_intervals_cover_the_closed_form_of_gaussians(v, shift):
    d, s, runs, covered = 3, 1.5, 60, 0
    truth = gaussian_divergence(d, s, v, shift)
    for seed in range(runs):
        g = torch.Generator().manual_seed(seed)
        x, y = (torch.randn(150, d, dtype=torch.float64, generator=g) for _ in "xy")
        y = v**0.5 * y
        y[:, 0] += shift
        estimate = cauchy_schwarz.estimate(x, y, bandwidth=s)
        covered += estimate.low <= truth <= estimate.high
    assert covered >= 0.85 * runs


def test_far_apart_sets_have_a_value_and_a_gradient(normal):
    # every kernel value across is exp(-thousands), which is 0 in floating point
    x, y = normal(20, 2).float(), (normal(20, 2) + 100).float().requires_grad_()
    value = cauchy_schwarz(x, y, bandwidth=1.0)
    gap = (y.detach().mean(0) - x.mean(0)).square().sum()
    assert float(value.detach()) == pytest.approx(float(gap), rel=0.1)
    (slope,) = torch.autograd.grad(value, y)
    assert bool(slope.isfinite().all()) and float(slope.sum()) > 0


@pytest.mark.parametrize("place", ["far from all", "at a sample of the other side"])
def test_samples_counted_zero_times_have_no_part_in_any_gradient(normal, place):
    x, y = normal(12, 3), normal(10, 3) + 0.5
    if place == "at a sample of the other side":
        x[0] = 100.0  # as far from all of y that counts
    more = torch.cat([y, torch.full((1, 3), 100.0, dtype=torch.float64)])
    counts = torch.ones(11, dtype=torch.float64)
    counts[-1] = 0
    for dtype in (torch.float32, torch.float64):
        leaves = [t.to(dtype).requires_grad_() for t in (x, y, more)]
        slopes = torch.autograd.grad(cauchy_schwarz(leaves[0], leaves[1], bandwidth=1.0), leaves[:2])
        weighted = cauchy_schwarz(leaves[0], leaves[2], weights_y=counts, bandwidth=1.0)
        to_x, to_more = torch.autograd.grad(weighted, (leaves[0], leaves[2]))
        torch.testing.assert_close(to_more[:-1], slopes[1], rtol=2e-4, atol=1e-5)
        torch.testing.assert_close(to_x, slopes[0], rtol=2e-4, atol=1e-5)
        assert not bool(to_more[-1].any())


def test_samples_in_several_tiles(normal):
    x, w = normal(1500, 3), normal(1500).abs()  # a tile of a set against itself has 1024 rows
    dense = (-0.5 * torch.cdist(x, x) ** 2).requires_grad_()
    expected = (dense + w.log()).logsumexp(1)
    leaves = [x.clone().requires_grad_(), w.clone().requires_grad_()]
    got = row_logsumexp_within(leaves[0], log_gaussian(), leaves[1])
    assert torch.allclose(got, expected, rtol=1e-9, atol=1e-9)
    slope = normal(1500)
    other = [x.clone().requires_grad_(), w.clone().requires_grad_()]
    norms = other[0].square().sum(1)
    plain = (other[0] @ other[0].T - 0.5 * (norms[:, None] + norms[None]) + other[1].log()).logsumexp(1)
    for a, b in zip(
        torch.autograd.grad(got @ slope, leaves), torch.autograd.grad(plain @ slope, other), strict=True
    ):
        assert torch.allclose(a, b, rtol=1e-6, atol=1e-8)


def test_a_weight_of_zero_leaves_out_and_still_has_a_derivative(normal):
    values, weights = normal(6), torch.tensor([1.0, 0, 2, 0, 1, 1], dtype=torch.float64)
    values[1] = 900.0  # left out, and beyond what an exponential holds
    kept = weights > 0
    expected = (weights[kept] * values[kept].exp()).sum().log()
    assert float(weighted_logsumexp(values, weights)) == pytest.approx(float(expected))
    leaf = weights.clone().requires_grad_()
    assert bool(torch.autograd.grad(weighted_logsumexp(values, leaf), leaf)[0].isfinite().all())


def test_bad_bandwidths_are_refused(normal):
    x = normal(5, 2)
    for bad in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(UsageError, match="bandwidth: expected a number above zero"):
            cauchy_schwarz(x, x, bandwidth=bad)
    with pytest.raises(UsageError, match="all samples of x are equal"):
        cauchy_schwarz(torch.ones(5, 2), x)


# -- of paired rows ------------------------------------------------------------------------------------------------


def dense_conditional(x, y, made, s, r):
    k, target, own, across = rbf(s)(x, x), rbf(r)(y, y), rbf(r)(made, made), rbf(r)(made, y)
    rows = k.sum(1).square()
    of_y, of_made, both = (((k * other).sum(1) / rows).sum().log() for other in (target, own, across))
    return of_y + of_made - 2 * both


def test_conditional_equals_the_dense_kernels(normal):
    x, y = normal(40, 5), normal(40, 2)
    made = y + 0.3 * normal(40, 2)
    got = conditional_cauchy_schwarz(x, y, made, bandwidths=(1.2, 0.7))
    assert float(got) == pytest.approx(float(dense_conditional(x, y, made, 1.2, 0.7)), rel=1e-9)
    assert float(conditional_cauchy_schwarz(x, y, y)) == pytest.approx(0, abs=1e-12)


def test_conditional_gradients_and_float32(normal):
    leaves = [normal(8, 3).requires_grad_(), normal(8, 2).requires_grad_(), normal(8, 2).requires_grad_()]
    assert torch.autograd.gradcheck(lambda *rows: conditional_cauchy_schwarz(*rows), leaves)
    wide = [t.detach() for t in leaves]
    narrow = conditional_cauchy_schwarz(*(t.float() for t in wide))
    assert narrow.dtype == torch.float32
    assert float(narrow) == pytest.approx(float(conditional_cauchy_schwarz(*wide)), rel=1e-4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        again = conditional_cauchy_schwarz(*(t.float() for t in wide))
    assert float(again) == float(narrow)


def test_conditional_falls_as_a_prediction_is_learned():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(100, 1, generator=g)
    y = torch.sin(2 * x) + 0.1 * torch.randn(100, 1, generator=g)
    network = torch.nn.Sequential(torch.nn.Linear(1, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1))
    with torch.no_grad():
        for weights in network.parameters():
            weights.copy_(0.5 * torch.randn(weights.shape, generator=g))
    optimiser = torch.optim.Adam(network.parameters(), 0.03)
    losses, errors = [], []
    for _ in range(100):
        made = network(x)
        loss = conditional_cauchy_schwarz(x, y, made, bandwidths=(0.3, 0.5))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
        errors.append(float((made - y).detach().square().mean()))
    assert losses[-1] < 0.25 * losses[0] and errors[-1] < 0.25 * errors[0]


def test_mutual_information_equals_the_dense_kernels_and_is_symmetric(normal):
    x, t = normal(30, 4), normal(30, 2)
    k, q = rbf(1.2)(x, x), rbf(0.8)(t, t)
    expected = (k * q).mean().log() + (k.mean() * q.mean()).log() - 2 * (k.mean(1) * q.mean(1)).mean().log()
    got = cauchy_schwarz_mutual_information(x, t, bandwidths=(1.2, 0.8))
    assert float(got) == pytest.approx(float(expected), rel=1e-9)
    swapped = cauchy_schwarz_mutual_information(t, x, bandwidths=(0.8, 1.2))
    assert float(swapped) == pytest.approx(float(got), rel=1e-9)
    leaves = [normal(7, 2).requires_grad_(), normal(7, 3).requires_grad_()]
    assert torch.autograd.gradcheck(lambda a, b: cauchy_schwarz_mutual_information(a, b), leaves)


def test_mutual_information_tells_dependence_from_independence(normal):
    x, noise = normal(800, 1), normal(800, 1)
    none = float(cauchy_schwarz_mutual_information(x, noise))
    some = float(cauchy_schwarz_mutual_information(x, x + 0.3 * noise))
    assert 0 <= none < 0.02 < 0.1 < some
    assert float(cauchy_schwarz_mutual_information(x, torch.zeros(800, 2))) == pytest.approx(0, abs=1e-12)


def test_rows_that_do_not_fit_are_refused(normal):
    with pytest.raises(UsageError, match="y has 2 features and prediction 3"):
        conditional_cauchy_schwarz(normal(5, 4), normal(5, 2), normal(5, 3))
    with pytest.raises(UsageError, match="rows"):
        conditional_cauchy_schwarz(normal(4, 4), normal(5, 2), normal(5, 2))
    with pytest.raises(UsageError, match="bandwidths: expected two numbers above zero"):
        cauchy_schwarz_mutual_information(normal(5, 4), normal(5, 2), bandwidths=(1.0, 0.0))
    with pytest.raises(UsageError, match=r"t: expected shape \(B, d\)"):
        cauchy_schwarz_mutual_information(normal(5, 4), normal(5))
