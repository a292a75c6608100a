"""The distance is the published loss, its gradient the published one, and Parseval's theorem holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.fft
import torch
from torch import Tensor

from assay.errors import DataError, UsageError
from assay.images.frequency import frequency_distance
from assay.pair_laws import draw_pair_inputs, gradient_is_right, second_derivative_is_right_or_refused


def a_pair(*shape: int) -> tuple[Tensor, Tensor]:
    """Two textures in [0, 1] that anybody can make anew."""
    k = torch.arange(int(np.prod(shape)), dtype=torch.float64)
    return ((k * 37) % 101 / 100).reshape(shape), ((k * k * 7 + k * 3) % 89 / 88).reshape(shape)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 0.07054741578789854),
        ({"alpha": 2.0}, 0.04934644083040895),
        ({"alpha": 0.5, "patch_factor": 4}, 0.14281247128169544),
        ({"log_matrix": True}, 0.08851818737715446),
        ({"alpha": 0.0}, 0.1759014000803489),
    ],
)
def test_it_is_the_published_loss(options: dict[str, Any], expected: float) -> None:
    """`FocalFrequencyLoss(**options)(x, y)` of focal-frequency-loss 0.3.0 on these images in float64."""
    value = frequency_distance(*a_pair(2, 3, 20, 24), **options).mean()
    assert float(value) == pytest.approx(expected, rel=1e-13)


def reference(x: Any, y: Any, alpha: float, log_matrix: bool, patches: int) -> tuple[float, Any]:
    """Value and gradient of one image by the whole plane, a channel and a patch at a time."""
    c, h, w = x.shape
    values, slopes = [], np.zeros_like(x)
    for channel in range(c):
        for rows in np.split(np.arange(h), patches):
            for columns in np.split(np.arange(w), patches):
                at = np.ix_([channel], rows, columns)
                d = np.fft.fft2((x - y)[at][0], norm="ortho")
                weight = np.abs(d) ** alpha
                weight = np.log(1 + weight) if log_matrix else weight
                weight /= weight.max()
                values.append((weight * np.abs(d) ** 2).mean())
                slopes[at] = np.fft.ifft2(2 * weight * d, norm="ortho").real / d.size
    return float(np.mean(values)), slopes / len(values)


@pytest.mark.parametrize("size", [(15, 21), (12, 9), (9, 12), (6, 18)])
@pytest.mark.parametrize(
    ("alpha", "log_matrix", "patches"), [(1.0, False, 3), (0.7, True, 1), (2.5, False, 1)]
)
def test_value_and_published_gradient(
    size: tuple[int, int], alpha: float, log_matrix: bool, patches: int
) -> None:
    x, y = a_pair(1, 2, *size)
    leaf = x.clone().requires_grad_()
    value = frequency_distance(leaf, y, alpha=alpha, log_matrix=log_matrix, patch_factor=patches)
    value.sum().backward()
    expected, slope = reference(x[0].numpy(), y[0].numpy(), alpha, log_matrix, patches)
    assert float(value.detach()) == pytest.approx(expected, rel=1e-12)
    assert leaf.grad is not None
    np.testing.assert_allclose(leaf.grad[0].numpy(), slope, rtol=0, atol=1e-14)


@pytest.mark.parametrize("transform", ["fourier", "cosine"])
@pytest.mark.parametrize("size", [(16, 16), (11, 16), (16, 11), (7, 9)])
def test_without_focus_it_is_the_mean_squared_error(transform: Any, size: tuple[int, int]) -> None:
    x, y = a_pair(2, 3, *size)
    value = frequency_distance(x, y, alpha=0.0, transform=transform)
    torch.testing.assert_close(value, (x - y).square().mean((1, 2, 3)), rtol=1e-12, atol=0)
    assert bool((frequency_distance(x, y, transform=transform) < value).all())


@pytest.mark.parametrize("size", [(10, 16), (16, 11)])
def test_l1_counts_every_coefficient_of_the_plane_once(size: tuple[int, int]) -> None:
    x, y = a_pair(2, 3, *size)
    d = np.fft.fft2((x - y).numpy(), norm="ortho")
    expected = (np.abs(d.real) + np.abs(d.imag)).mean((1, 2, 3)) / 2
    np.testing.assert_allclose(frequency_distance(x, y, kind="l1").numpy(), expected, rtol=1e-12)
    cosines = scipy.fft.dctn((x - y).numpy(), axes=(-2, -1), norm="ortho")
    got = frequency_distance(x, y, kind="l1", transform="cosine")
    np.testing.assert_allclose(got.numpy(), np.abs(cosines).mean((1, 2, 3)), rtol=1e-12)


def test_focal_cosines_by_scipy() -> None:
    x, y = a_pair(1, 1, 12, 10)
    d = scipy.fft.dctn((x - y)[0, 0].numpy(), norm="ortho")
    expected = (np.abs(d) / np.abs(d).max() * d**2).mean()
    assert float(frequency_distance(x, y, transform="cosine")) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "options", [{"kind": "l1"}, {"alpha": 0.0}, {"kind": "l1", "transform": "cosine"}], ids=str
)
def test_where_no_weight_is_held_fixed_the_gradient_is_the_values_own(options: dict[str, Any]) -> None:
    measure = frequency_distance.with_options(**options)
    inputs = draw_pair_inputs(measure, n=8, size=24, seed=3)
    gradient_is_right(measure, inputs)
    if options.get("kind") != "l1":  # whose slope jumps
        second_derivative_is_right_or_refused(measure, inputs)


@pytest.mark.parametrize("transform", ["fourier", "cosine"])
@pytest.mark.parametrize(
    "options", [{}, {"alpha": 0.3}, {"alpha": 0.0}, {"log_matrix": True}, {"kind": "l1"}], ids=str
)
def test_equal_and_black_images(transform: Any, options: dict[str, Any]) -> None:
    black = torch.zeros(1, 1, 8, 8)
    for image in (black, a_pair(1, 1, 8, 8)[0].float()):
        leaf = image.clone().requires_grad_()
        value = frequency_distance(leaf, image, transform=transform, **options)
        value.sum().backward()
        assert float(value.detach()) == 0.0 and leaf.grad is not None and not bool(leaf.grad.any())
    leaf = black.clone().requires_grad_()
    frequency_distance(leaf, black + 1e-20, transform=transform, **options).sum().backward()
    assert leaf.grad is not None and bool(leaf.grad.isfinite().all())


def test_values_of_another_range() -> None:
    x, y = a_pair(2, 1, 16, 16)
    for options in ({}, {"kind": "l1"}, {"log_matrix": True}):
        value = frequency_distance(255 * x, 255 * y, data_range=255, **options)
        torch.testing.assert_close(value, frequency_distance(x, y, **options))


def test_bad_options() -> None:
    x, y = a_pair(2, 1, 15, 16)
    for options, message in (
        ({"kind": "l2"}, "kind: expected one of focal, l1"),
        ({"transform": "wavelet"}, "transform: expected one of fourier, cosine"),
        ({"alpha": -1.0}, "alpha: expected a number from 0"),
        ({"alpha": float("nan")}, "alpha"),
        ({"patch_factor": 2}, "divides both sides of 15 x 16"),
        ({"patch_factor": 0}, "patch_factor"),
        ({"kind": "l1", "alpha": 2.0}, "belong to kind='focal'"),
        ({"data_range": 0.0}, "data_range"),
    ):
        with pytest.raises(UsageError, match=message):
            frequency_distance(x, y, **options)
    with pytest.raises(DataError, match="x"):
        frequency_distance.estimate(255 * x, y)


def test_a_large_power_of_the_logarithm_matrix_stays_finite() -> None:
    """log(1 + D^a) is a log D for a large a, long after D^a has left single precision."""
    x, y = 255 * torch.rand(2, 1, 1, 9, 11, generator=torch.Generator().manual_seed(0))
    power = np.abs(np.fft.fft2((x - y).double().numpy(), norm="ortho"))
    logarithms = np.logaddexp(0, 50 * np.log(power))
    expected = (logarithms / logarithms.max() * power**2).mean()
    assert float(frequency_distance(x, y, alpha=50.0, log_matrix=True)) == pytest.approx(expected, rel=1e-5)
