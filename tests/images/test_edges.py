"""Gradients equal scipy's convolutions, at every border, and flat images have a finite derivative."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from assay.errors import UsageError
from assay.images.edges import gradient_components, gradient_magnitude, root, squared_gradient

OPERATORS = {
    "prewitt": np.array([1, 1, 1]) / 3,
    "scharr": np.array([3, 10, 3]) / 16,
    "sobel": np.array([1, 2, 1]) / 4,
}
MODES = {"zero": "constant", "replicate": "nearest", "reflect": "mirror"}


@pytest.fixture
def image():
    return torch.rand(1, 1, 7, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("border", [*MODES, "none"])
@pytest.mark.parametrize("operator", OPERATORS)
def test_components_are_scipys_correlations(image, operator, border):
    kernel = OPERATORS[operator][:, None] * np.array([-1, 0, 1])
    across, down = gradient_components(image, operator, border)
    for found, weights in ((across, kernel), (down, kernel.T)):
        expected = ndimage.correlate(image[0, 0].numpy(), weights, mode=MODES.get(border, "constant"))
        expected = expected[1:-1, 1:-1] if border == "none" else expected
        assert torch.allclose(found[0, 0], torch.tensor(expected), atol=1e-14)


def test_a_ramp_has_its_slope_over_two_pixels():
    ramp = torch.arange(6.0).expand(1, 1, 5, 6)
    across, down = gradient_components(ramp, "scharr", "none")
    assert torch.allclose(across, torch.full_like(across, 2.0)) and not down.any()


def test_the_magnitude_is_the_length_of_the_gradient(image):
    across, down = gradient_components(image, "sobel")
    assert torch.allclose(gradient_magnitude(image, "sobel"), torch.hypot(across, down), atol=1e-12)
    assert torch.allclose(squared_gradient(image, "sobel"), across**2 + down**2)


@pytest.mark.parametrize("border", [*MODES, "none"])
def test_gradients_are_right(image, border):
    x = image.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: gradient_magnitude(z, "scharr", border), (x,))
    assert torch.autograd.gradgradcheck(lambda z: gradient_magnitude(z, "scharr", border), (x,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_flat_image_has_gradient_zero(dtype):
    flat = torch.full((1, 2, 5, 5), 0.5, dtype=dtype, requires_grad=True)
    magnitude = gradient_magnitude(flat, "prewitt", "replicate")
    (gradient,) = torch.autograd.grad(magnitude.sum(), flat)
    assert float(magnitude.detach().max()) <= 1e-12 and not gradient.any()


def test_the_root_is_the_root_above_its_floor():
    squares = torch.tensor([4.0, 1e-20, 0.0], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(root(squares).sum(), squares)
    assert root(squares).tolist() == pytest.approx([2.0, 1e-10, 1e-12], rel=1e-12)
    assert slope.tolist() == pytest.approx([0.25, 5e9, 0.0])


@pytest.mark.parametrize(
    "operator,border,side,message",
    [
        ("canny", "zero", 5, "operator: expected one of prewitt, scharr, sobel, got 'canny'"),
        ("sobel", "wrap", 5, "border: expected one of zero, replicate, reflect, none, got 'wrap'"),
        ("sobel", "none", 2, "x: images of 2 x 5 are too small .* needs 3 pixels a side"),
        ("sobel", "reflect", 1, "x: images of 1 x 5 are too small .* needs 2 pixels a side"),
    ],
)
def test_what_does_not_fit_is_refused(operator, border, side, message):
    with pytest.raises(UsageError, match=message):
        gradient_components(torch.rand(1, 1, side, 5), operator, border)
