"""Absolute, squared and Charbonnier's differences, PSNR: by their formulas in numpy, and at their edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from assay.errors import DataError, UsageError
from assay.images.pixel import charbonnier, mean_absolute_error, mean_squared_error, psnr


@pytest.fixture
def pair():
    g = torch.Generator().manual_seed(1)
    x = torch.rand(4, 3, 20, 26, dtype=torch.float64, generator=g)
    return x, (0.8 * x + 0.2 * torch.rand(x.shape, dtype=torch.float64, generator=g))


def test_means_of_differences(pair):
    x, y = pair
    d = (x - y).numpy()
    assert np.allclose(mean_absolute_error(x, y), np.abs(d).mean((1, 2, 3)), rtol=1e-14)
    assert np.allclose(mean_squared_error(x, y), (d**2).mean((1, 2, 3)), rtol=1e-14)
    assert np.allclose(charbonnier(x, y), np.sqrt(d**2 + 1e-6).mean((1, 2, 3)), rtol=1e-14)
    assert np.allclose(charbonnier(x, y, epsilon=1.0), np.sqrt(d**2 + 1).mean((1, 2, 3)), rtol=1e-14)


def test_charbonnier_goes_to_the_absolute_difference_and_to_the_square(pair):
    x, y = pair
    assert torch.allclose(charbonnier(x, y, epsilon=1e-9), mean_absolute_error(x, y), rtol=1e-9)
    bowl = 2 * 50 * (charbonnier(x, y, epsilon=50.0) - 50)
    assert torch.allclose(bowl, mean_squared_error(x, y), rtol=1e-4)


@pytest.mark.parametrize("measure", [mean_absolute_error, mean_squared_error, charbonnier, psnr])
def test_equal_images_have_no_gradient(measure, pair):
    x = pair[0].float().requires_grad_()
    measure(x, x.detach().clone()).sum().backward()
    assert x.grad is not None and bool((x.grad == 0).all())


@pytest.mark.parametrize("data_range", [1.0, 255])
def test_psnr_is_scikit_images(pair, data_range):
    x, y = (z * data_range for z in pair)
    theirs = [
        peak_signal_noise_ratio(b.numpy(), a.numpy(), data_range=data_range)
        for a, b in zip(x, y, strict=True)
    ]
    assert np.allclose(psnr(x, y, data_range=data_range), theirs, atol=1e-12)


def test_psnr_of_one_step_in_one_value_of_an_8_bit_image():
    x = torch.zeros(1, 3, 64, 64, dtype=torch.float64)
    y = x.clone()
    y[0, 0, 3, 3] = 1.0
    expected = 20 * math.log10(255) + 10 * math.log10(x.numel())
    assert float(psnr(x, y, data_range=255)) == pytest.approx(expected, abs=1e-10)
    assert expected == pytest.approx(48.13 + 40.9, abs=0.01)


def test_the_ceiling_is_the_error_it_says_and_leaves_what_is_below_alone(pair):
    x, y = pair
    assert torch.equal(psnr(x, y, ceiling=60.0), psnr(x, y, ceiling=math.inf))
    level = 10 ** (-60 / 20)
    near = torch.tensor([0.5, 2.0], dtype=torch.float64).reshape(2, 1, 1, 1) * level
    base = torch.zeros(2, 1, 4, 4, dtype=torch.float64)
    values = psnr(base + near, base, ceiling=60.0)
    assert float(values[0]) == 60.0 and float(values[1]) == pytest.approx(60 - 20 * math.log10(2))


def test_equal_pairs_are_finite_in_the_mean_unless_asked_otherwise(pair):
    x, y = pair
    y = torch.cat((x[:1], y[1:]))
    assert psnr.estimate(x, y).value == pytest.approx(float(psnr(x, y).mean()))
    assert float(psnr(x, y)[0]) == 100.0
    with pytest.raises(DataError, match=r"psnr.*infinity \(rows 0\)"):
        psnr.estimate(x, y, ceiling=math.inf)


def test_no_ceiling_no_nan_in_the_gradient(pair):
    x = pair[0].clone().requires_grad_()
    psnr(x, pair[0], ceiling=math.inf).sum().backward()
    assert x.grad is not None and bool(x.grad.isfinite().all())


def test_mean_of_pairs_is_not_the_pooled_value():
    x = torch.zeros(2, 1, 4, 4, dtype=torch.float64)
    y = torch.tensor([0.1, 0.01], dtype=torch.float64).reshape(2, 1, 1, 1).expand_as(x)
    assert float(psnr(x, y).mean()) == pytest.approx(30.0)
    assert float(-10 * mean_squared_error(x, y).mean().log10()) == pytest.approx(22.967, abs=1e-3)


@pytest.mark.parametrize("epsilon", [0, -1e-3, math.inf, math.nan, True, "1e-3"])
def test_epsilon(pair, epsilon):
    with pytest.raises(UsageError, match="epsilon: expected a number above 0"):
        charbonnier(*pair, epsilon=epsilon)
    with pytest.raises(UsageError, match="epsilon: expected a number above 0"):
        charbonnier.map(*pair, epsilon=epsilon)


@pytest.mark.parametrize("ceiling", [0, -1.0, math.nan, True, None])
def test_ceiling(pair, ceiling):
    with pytest.raises(UsageError, match="ceiling: expected the largest value in dB"):
        psnr.objective(ceiling=ceiling)(*pair)


def test_values_out_of_range_are_refused_where_the_range_matters(pair):
    x, y = pair
    with pytest.raises(DataError, match="data_range=255"):
        psnr.estimate(255 * x, 255 * y)
    assert mean_absolute_error.estimate(255 * x, 255 * y).value > 1
