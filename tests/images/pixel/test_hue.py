"""Differences in the HSV cone: scikit-image's conversion, the hue's circle, greys."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.color import hsv2rgb, rgb2hsv

from assay.errors import UsageError
from assay.images.pixel import hsv_distance


def cone(rgb):
    h, s, v = np.moveaxis(rgb2hsv(rgb), -1, 0)
    return np.stack((s * v * np.cos(2 * np.pi * h), s * v * np.sin(2 * np.pi * h), v))


def of_colour(h, s, v):
    return torch.from_numpy(hsv2rgb(np.array([[[h, s, v]]]))).permute(2, 0, 1)[None]


def test_it_is_the_difference_of_scikit_images_coordinates():
    x, y = torch.rand(2, 3, 3, 15, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = [
        ((cone(a.permute(1, 2, 0).numpy()) - cone(b.permute(1, 2, 0).numpy())) ** 2).mean()
        for a, b in zip(x, y, strict=True)
    ]
    assert np.allclose(hsv_distance(x, y), expected, rtol=1e-12)
    assert torch.allclose(hsv_distance(255 * x, 255 * y, data_range=255), hsv_distance(x, y), rtol=1e-12)


def test_the_hue_is_a_circle():
    near = float(hsv_distance(of_colour(359 / 360, 0.8, 0.7), of_colour(1 / 360, 0.8, 0.7)))
    far = float(hsv_distance(of_colour(0.5, 0.8, 0.7), of_colour(1 / 360, 0.8, 0.7)))
    chord = 2 * 0.8 * 0.7 * np.sin(np.pi / 180)
    assert near == pytest.approx(chord**2 / 3, rel=1e-9) and far > 0.4


def test_red_and_cyan_are_as_far_as_it_gets():
    red, cyan = torch.eye(3)[:1, :, None, None], 1 - torch.eye(3)[:1, :, None, None]
    assert float(hsv_distance(red, cyan)) == pytest.approx(4 / 3)


@pytest.mark.parametrize("grey", [0.0, 0.5, 1.0])
def test_the_gradient_is_finite_at_grey(grey):
    x = torch.full((1, 3, 4, 4), grey, requires_grad=True)
    y = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    for target in (y, torch.full_like(y, grey)):
        (slope,) = torch.autograd.grad(hsv_distance(x, target).sum(), x)
        assert bool(slope.isfinite().all())


def test_colours_only():
    with pytest.raises(UsageError, match="3 channels"):
        hsv_distance(torch.rand(2, 1, 4, 4), torch.rand(2, 1, 4, 4))
    with pytest.raises(UsageError, match="data_range"):
        hsv_distance(torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4), data_range=0)
