"""Pearson's correlation: scipy's values, its invariances, and what a constant image gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr

from assay.errors import UsageError
from assay.images.pixel import pearson


def images(seed, n=3):
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(n, 3, 12, 17, dtype=torch.float64, generator=g)
    return x, 0.6 * x + 0.4 * torch.rand(x.shape, dtype=torch.float64, generator=g)


def test_it_is_scipys():
    x, y = images(0)
    whole = [pearsonr(a.flatten(), b.flatten())[0] for a, b in zip(x, y, strict=True)]
    assert np.allclose(pearson(x, y), whole, atol=1e-14)
    each = [
        np.mean([pearsonr(a[c].flatten(), b[c].flatten())[0] for c in range(3)])
        for a, b in zip(x, y, strict=True)
    ]
    assert np.allclose(pearson(x, y, over="channel"), each, atol=1e-14)


@settings(max_examples=10)
@given(st.integers(0, 2**16), st.floats(0.1, 3), st.floats(-2, 2), st.sampled_from(("image", "channel")))
def test_brightness_and_contrast_do_not_count(seed, contrast, brightness, over):
    x, y = images(seed)
    assert torch.allclose(
        pearson(contrast * x + brightness, y, over=over), pearson(x, y, over=over), atol=1e-10
    )
    assert torch.allclose(pearson(-contrast * x, y, over=over), -pearson(x, y, over=over), atol=1e-10)


def test_the_gradient_is_level_and_across_the_image():
    x, y = images(3)
    x.requires_grad_()
    (slope,) = torch.autograd.grad(pearson(x, y).sum(), x)
    assert float(slope.sum((1, 2, 3)).abs().max()) < 1e-12
    centred = x - x.mean((1, 2, 3), keepdim=True)
    assert float((slope * centred.detach()).sum((1, 2, 3)).abs().max()) < 1e-12


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("over", ["image", "channel"])
@pytest.mark.parametrize("grey", [0.0, 0.1, 1 / 3, 0.7, 1.0])
def test_a_constant_image_correlates_with_nothing(dtype, over, grey):
    y = images(1, 1)[1].repeat(1, 1, 9, 7).to(dtype)
    x = torch.full_like(y, grey).requires_grad_()
    value = pearson(x, y, over=over)
    (slope,) = torch.autograd.grad(value.sum(), x)
    assert value.detach().tolist() == [0.0] and bool((slope == 0).all())
    assert pearson(x, x, over=over).detach().tolist() == [0.0]


def test_one_pixel_of_an_8_bit_image_is_not_rounding():
    x = torch.full((1, 3, 128, 128), 1.0)
    x[0, 1, 5, 5] = 254 / 255
    assert float(pearson(x, x)) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_rounding_never_takes_it_beyond_one(dtype):
    """Without a bound, a third of these are some roundings above 1."""
    x = torch.rand(200, 3, 9, 9, generator=torch.Generator().manual_seed(0)).to(dtype)
    assert pearson(x, x).max() <= 1 and pearson(x, -x).min() >= -1


def test_a_wrong_word():
    with pytest.raises(UsageError, match='over: expected "image" or "channel"'):
        pearson(*images(0), over="batch")
