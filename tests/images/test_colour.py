"""Colour spaces equal scikit-image's and the standard library's, and have gradients at grey and black."""

from __future__ import annotations

import colorsys
import math

import pytest
import skimage.color
import torch

from assay.errors import UsageError
from assay.images.colour import (
    D50,
    D65,
    YIQ,
    YIQ_THREE_DIGITS,
    hsv_cone,
    luma,
    rgb_to_lab,
    rgb_to_lmn,
    rgb_to_yiq,
)


@pytest.fixture
def images():
    """Random colours; a black, a grey and a white pixel; and the three primary colours."""
    x = torch.rand(2, 3, 8, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x[0, :, 0, 0], x[0, :, 0, 1], x[0, :, 0, 2] = 0, 0.5, 1
    x[1, :, :3, 0] = torch.eye(3, dtype=torch.float64)
    return x


def last(x):
    return x.permute(0, 2, 3, 1)


def test_yiq_is_scikit_images_to_four_digits(images):
    expected = torch.tensor(skimage.color.rgb2yiq(last(images).numpy()))
    assert torch.allclose(last(rgb_to_yiq(images)), expected, atol=5e-5)
    assert torch.allclose(luma(images), rgb_to_yiq(images)[:, :1], atol=1e-14)
    assert torch.equal(luma(images[:, 1:2]), images[:, 1:2])


def test_colour_differences_of_grey_are_zero():
    for matrix in (YIQ, YIQ_THREE_DIGITS):
        assert sum(matrix[0]) == pytest.approx(1)
        assert sum(matrix[1]) == pytest.approx(0) and sum(matrix[2]) == pytest.approx(0)


@pytest.mark.parametrize("name,white", [("D50", D50), ("D65", D65)])
def test_lab_is_scikit_images(images, name, white):
    """To 0.02 of 100: XYZ's coefficients and the whites are rounded differently."""
    expected = torch.tensor(skimage.color.rgb2lab(last(images).numpy(), illuminant=name))
    assert torch.allclose(last(rgb_to_lab(images, white)), expected, atol=0.02)


def test_hsv_cone_is_the_standard_librarys_hsv(images):
    cone = last(hsv_cone(images)).reshape(-1, 3)
    for pixel, found in zip(last(images).reshape(-1, 3).tolist(), cone.tolist(), strict=True):
        h, s, v = colorsys.rgb_to_hsv(*pixel)
        angle = 2 * math.pi * h
        assert found == pytest.approx([s * v * math.cos(angle), s * v * math.sin(angle), v], abs=1e-12)


def test_dark_colours_keep_their_hue(images):
    assert torch.allclose(hsv_cone(1e-14 * images), 1e-14 * hsv_cone(images), rtol=1e-6, atol=1e-20)


def test_nearly_the_same_red_on_both_sides_of_the_seam_is_near():
    a, b = (torch.tensor([1.0, g, b]).view(1, 3, 1, 1) for g, b in ((1e-3, 0.0), (0.0, 1e-3)))
    assert float((hsv_cone(a) - hsv_cone(b)).abs().max()) < 3e-3


@pytest.mark.parametrize("convert", [rgb_to_yiq, rgb_to_lmn, rgb_to_lab, hsv_cone])
def test_gradients_are_right_and_finite_at_grey(convert):
    x = torch.rand(
        1, 3, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    ).requires_grad_()
    assert torch.autograd.gradcheck(convert, (x,))
    for dtype in (torch.float32, torch.float64):
        for level in (0.0, 1e-30, 0.04045, 0.5, 1.0):
            grey = torch.full((1, 3, 1, 1), level, dtype=dtype, requires_grad=True)
            (gradient,) = torch.autograd.grad(convert(grey).square().sum(), grey)
            assert gradient.isfinite().all()


def test_matrices_kept_from_inference_mode_take_part_in_a_backward_pass():
    x = torch.rand(1, 3, 2, 2, dtype=torch.float16)
    with torch.inference_mode():
        rgb_to_lmn(x)
    rgb_to_lmn(x.requires_grad_()).sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize("convert", [rgb_to_yiq, rgb_to_lmn, rgb_to_lab, hsv_cone])
def test_other_numbers_of_channels_are_refused(convert):
    with pytest.raises(UsageError, match=r"x: expected images of 3 channels \(RGB\), got 1; repeat"):
        convert(torch.rand(1, 1, 4, 4))


def test_luma_takes_one_or_three():
    with pytest.raises(UsageError, match=r"x: expected images of 1 .* or 3 .* channels, got 2; choose"):
        luma(torch.rand(1, 2, 4, 4))
