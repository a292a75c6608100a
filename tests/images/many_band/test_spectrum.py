"""Spectral angle and ERGAS: the formulas in numpy, small angles, black pixels and bands."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.errors import UsageError
from assay.images.many_band import ergas, spectral_angle


def bands(seed, dtype=torch.float64, shape=(3, 5, 9, 11)):
    g = torch.Generator().manual_seed(seed)
    x = 0.05 + 0.9 * torch.rand(shape, dtype=dtype, generator=g)
    return x, 0.7 * x + 0.3 * torch.rand(shape, dtype=dtype, generator=g)


def test_it_is_the_arc_cosine():
    x, y = bands(0)
    a, b = x.numpy(), y.numpy()
    cosine = (a * b).sum(1) / np.sqrt((a**2).sum(1) * (b**2).sum(1))
    assert np.allclose(spectral_angle.map(x, y), np.arccos(cosine), atol=1e-12)
    assert np.allclose(spectral_angle(x, y), np.arccos(cosine).mean((1, 2)), atol=1e-12)


@settings(max_examples=10)
@given(st.integers(0, 2**16))
def test_brightness_does_not_count(seed):
    x, y = bands(seed)
    shade = 0.1 + torch.rand(3, 1, 9, 11, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    assert torch.allclose(spectral_angle(shade * x, y), spectral_angle(x, y), atol=1e-12)


def test_small_angles_in_single_precision():
    angle = 1e-5
    y = torch.tensor([1.0, 0.0]).reshape(1, 2, 1, 1)
    x = torch.tensor([math.cos(angle), math.sin(angle)]).reshape(1, 2, 1, 1)
    assert float(spectral_angle(x, y)) == pytest.approx(angle, rel=1e-4)
    cosine = torch.clamp((x * y).sum(1) / (x.norm(dim=1) * y.norm(dim=1)), -1, 1)
    assert float(cosine.acos()) == 0.0  # what the arc cosine makes of it


def test_black_pixels():
    x, y = bands(1, torch.float32)
    plain = spectral_angle.map(x, y)
    x, y = x.clone(), y.clone()
    x[0, :, 0, 0] = 0  # of the image alone: a right angle
    y[1, :, :, 0] = 0  # of the target: left out
    y[2] = 0  # everywhere: nothing to compare
    x.requires_grad_()
    value = spectral_angle(x, y)
    (slope,) = torch.autograd.grad(value.sum(), x)
    plain[0, 0, 0] = math.pi / 2
    expected = torch.stack((plain[0].mean(), plain[1, :, 1:].mean(), torch.tensor(0.0)))
    assert torch.allclose(value, expected, atol=1e-5)
    assert (
        bool(slope.isfinite().all()) and bool((slope[0, :, 0, 0] == 0).all()) and bool((slope[2] == 0).all())
    )


def test_equal_and_opposite_spectra_have_a_finite_gradient():
    x = bands(2, torch.float32)[0].requires_grad_()
    for other, angle in ((x.detach(), 0.0), (-x.detach(), math.pi)):
        value = spectral_angle(x, other)
        (slope,) = torch.autograd.grad(value.sum(), x)
        assert torch.allclose(value, torch.full((3,), angle), atol=1e-5) and bool(slope.isfinite().all())


def test_one_band_has_no_angle():
    with pytest.raises(UsageError, match="one band"):
        spectral_angle(torch.rand(2, 1, 4, 4), torch.rand(2, 1, 4, 4))


def test_ergas_is_its_formula():
    x, y = bands(3)
    a, b = x.numpy(), y.numpy()
    relative = ((a - b) ** 2).mean((2, 3)) / b.mean((2, 3)) ** 2
    assert np.allclose(ergas(x, y), 25 * np.sqrt(relative.mean(1)), rtol=1e-12)
    assert torch.allclose(ergas(x, y, ratio=2), 2 * ergas(x, y), rtol=1e-12)
    assert torch.allclose(ergas(1e4 * x, 1e4 * y), ergas(x, y), rtol=1e-12)


def test_ergas_of_an_even_relative_error():
    # 10% too bright in every band, which are of different brightness: 100 / 4 * 0.1
    y = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64).reshape(1, 3, 1, 1).expand(1, 3, 6, 6)
    assert float(ergas(1.1 * y, y)) == pytest.approx(2.5)


def test_a_black_band_and_equal_images_are_finite():
    x, y = bands(4, torch.float32)
    y = y.clone()
    y[0, 2] = 0
    x.requires_grad_()
    for target in (y, x.detach(), torch.zeros_like(y)):
        value = ergas(x, target)
        (slope,) = torch.autograd.grad(value.sum(), x)
        assert bool(value.isfinite().all()) and bool(slope.isfinite().all())
    assert float(ergas(x.detach(), y)[0]) > 1e6
    assert float(ergas(y, y)[0]) < 1e-9


@pytest.mark.parametrize(
    "options", [{"ratio": 0}, {"ratio": math.inf}, {"smallest_mean": 0.0}, {"ratio": "4"}]
)
def test_wrong_numbers(options):
    with pytest.raises(UsageError, match=f"{next(iter(options))}: expected a number above 0"):
        ergas(*bands(0), **options)


def test_only_the_targets_black_pixels_are_left_out():
    y = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    x = y.clone()
    x[:, :, 0] = 0
    assert float(spectral_angle(x, y)) == pytest.approx(torch.pi / 2 / 8)
    assert float(spectral_angle(y, x)) == pytest.approx(0.0, abs=1e-6)
