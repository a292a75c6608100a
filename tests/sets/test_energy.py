"""The energy distance against scipy in one dimension, double loops, a closed form and its own null distribution."""

from __future__ import annotations

import math

import pytest
import torch

from assay import UsageError
from assay.scale.kernels import negative_distance
from assay.sets.energy import energy_distance


@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.7, 2.0])
@pytest.mark.parametrize("biased", [False, True])
def test_equals_the_dense_sums(normal, exponent, biased):
    x, y = normal(13, 4), normal(9, 4) + 0.5
    xx, yy, xy = (torch.cdist(a, b) ** exponent for a, b in ((x, x), (y, y), (x, y)))
    n, m = (169, 81) if biased else (13 * 12, 9 * 8)
    expected = 2 * xy.mean() - xx.sum() / n - yy.sum() / m
    got = energy_distance(x, y, exponent=exponent, biased=biased)
    assert float(got) == pytest.approx(float(expected), rel=1e-9, abs=1e-10)


def test_equals_scipy_in_one_dimension_weights_included(normal):
    scipy = pytest.importorskip("scipy.stats")
    x, y = normal(30, 1), 1.5 * normal(22, 1) + 0.4
    u, v = torch.arange(30.0) % 3 + 1, torch.arange(22.0) % 4
    expected = scipy.energy_distance(x[:, 0], y[:, 0], u, v)
    got = energy_distance(x, y, weights_x=u, weights_y=v, biased=True)
    assert float(got.sqrt()) == pytest.approx(expected, rel=1e-7)


def test_exponent_two_sees_the_means_only(normal):
    x, y = normal(20, 3), normal(25, 3) + 1
    gap = (x.mean(0) - y.mean(0)).square().sum()
    assert float(energy_distance(x, y, exponent=2.0, biased=True)) == pytest.approx(float(2 * gap))


def test_intervals_cover_the_closed_form_of_two_normals():
    # |N(0, s^2)| has mean s sqrt(2 / pi); of N(c, 2) it is the folded normal's
    c, covered, runs = 0.6, 0, 50
    across = math.sqrt(2) * math.sqrt(2 / math.pi) * math.exp(-(c**2) / 4) + c * math.erf(c / 2)
    truth = 2 * across - 2 * 2 / math.sqrt(math.pi)
    for seed in range(runs):
        g = torch.Generator().manual_seed(seed)
        x, y = (torch.randn(120, 1, dtype=torch.float64, generator=g) for _ in "xy")
        estimate = energy_distance.estimate(x, y + c)
        assert estimate.value == estimate.corrected
        covered += estimate.low <= truth <= estimate.high
    assert covered >= 0.86 * runs


def test_copies_are_at_distance_zero_in_float32_and_have_no_gradient(normal):
    far = (normal(40, 16) + 5).float()
    kernel = negative_distance()
    centred = far - far.mean(0)
    assert bool((kernel(centred, centred).diagonal() == 0).all())
    y = far.clone().requires_grad_()
    value = energy_distance(far, y, biased=True)
    assert abs(float(value.detach())) < 1e-6
    (gradient,) = torch.autograd.grad(value, y)
    assert bool(gradient.isfinite().all()) and float(gradient.abs().max()) < 1e-4


def test_gradients_by_samples_and_weights(normal):
    leaves = [normal(7, 3), normal(6, 3), normal(7).abs() + 1, normal(6).abs() + 1]
    leaves = [t.requires_grad_() for t in leaves]
    assert torch.autograd.gradcheck(
        lambda a, b, u, v: energy_distance(a, b, weights_x=u, weights_y=v, exponent=1.3), leaves
    )


@pytest.mark.parametrize("biased", [False, True])
def test_permutation_values_are_measures(normal, biased):
    x, y = normal(25, 3), normal(18, 3) + 0.2
    test = energy_distance.permutation_test(
        x, y, permutations=3, biased=biased, generator=torch.Generator().manual_seed(4)
    )
    assert test.value == pytest.approx(float(energy_distance(x, y, biased=biased)), rel=1e-8)
    pooled, g = torch.cat([x, y]), torch.Generator().manual_seed(4)
    for value in test.relabelled:
        order = torch.randperm(len(pooled), generator=g)
        again = energy_distance(pooled[order[:25]], pooled[order[25:]], biased=biased)
        assert float(value) == pytest.approx(float(again), rel=1e-7)


@pytest.mark.parametrize("exponent", [0.0, -1.0, 2.1, float("nan")])
def test_an_exponent_outside_its_range_is_refused(normal, exponent):
    with pytest.raises(UsageError, match="exponent: expected a number above 0 and at most 2"):
        energy_distance(normal(5, 2), normal(5, 2), exponent=exponent)


def test_nan_is_no_copy(normal):
    y = normal(9, 3)
    y[4, 1] = math.nan
    assert math.isnan(float(energy_distance(normal(8, 3), y)))
    assert math.isnan(float(energy_distance(y, normal(8, 3), exponent=1.5)))
