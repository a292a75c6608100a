"""The universal quality index and the correlation of detail: slow references, packages' numbers, flat images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import correlate
from scipy.signal import convolve2d

from assay.errors import UsageError
from assay.images.many_band import scc, uqi

UQI_TORCHMETRICS = 0.8655649828953236
SCC_SEWAR = 0.5778331414351603


def waves():
    """Two images of two bands without random numbers, so that packages can be asked about the same ones."""
    i, j = np.mgrid[:24, :30].astype(float)
    x = np.stack((0.5 + 0.3 * np.sin(0.9 * i + 0.4 * j), 0.4 + 0.2 * np.cos(0.3 * i * j / 5)))
    y = 0.8 * x + 0.1 * np.stack((np.sin(1.7 * i - j), np.cos(2.1 * j + 0.3 * i))) + 0.1
    return torch.from_numpy(x)[None], torch.from_numpy(y)[None]


def noisy(seed=0):
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(2, 3, 21, 26, dtype=torch.float64, generator=g)
    return x, 0.6 * x + 0.4 * torch.rand(x.shape, dtype=torch.float64, generator=g)


def slow_uqi(a, b):
    """As in the paper: sample moments of each 8 x 8 window."""
    a, b = (sliding_window_view(z, (8, 8)).reshape(-1, 64) for z in (a, b))
    covariance = ((a - a.mean(1, keepdims=True)) * (b - b.mean(1, keepdims=True))).sum(1) / 63
    spread = a.var(1, ddof=1) + b.var(1, ddof=1)
    return np.mean(4 * covariance * a.mean(1) * b.mean(1) / (spread * (a.mean(1) ** 2 + b.mean(1) ** 2)))


def each_band(function, x, y):
    return [
        np.mean([function(p, q) for p, q in zip(a.numpy(), b.numpy(), strict=True)])
        for a, b in zip(x, y, strict=True)
    ]


@pytest.mark.parametrize("pair", [noisy(), waves()])
def test_uqi_is_the_papers(pair):
    assert np.allclose(uqi(*pair), each_band(slow_uqi, *pair), atol=1e-8)


def test_uqi_under_torchmetrics_window():
    # torchmetrics 1.9.0: universal_image_quality_index(x, y) of waves(), in float64
    assert float(uqi(*waves(), convention="torchmetrics")) == pytest.approx(UQI_TORCHMETRICS, abs=1e-8)
    assert uqi.map(*waves(), convention="torchmetrics").shape == (1, 14, 20)


@pytest.mark.parametrize("convention", ["wang2002", "torchmetrics"])
def test_windows_without_contrast_count_their_brightness(convention):
    # the authors' code: 2 a b / (a^2 + b^2) where both windows are flat, 1 where both are black
    for dtype in (torch.float32, torch.float64):
        x = torch.tensor([0.3, 0.0, 0.7, 0.0], dtype=dtype).reshape(4, 1, 1, 1).expand(4, 1, 12, 12)
        y = torch.tensor([0.6, 0.0, 0.7, 0.5], dtype=dtype).reshape(4, 1, 1, 1).expand(4, 1, 12, 12)
        x = x.clone().requires_grad_()
        value = uqi(x, y, convention=convention)
        (slope,) = torch.autograd.grad(value.sum(), x)
        expected = torch.tensor([2 * 0.3 * 0.6 / (0.09 + 0.36), 1.0, 1.0, 0.0], dtype=dtype)
        assert torch.allclose(value, expected, atol=1e-4)
        assert bool(slope.isfinite().all())


def test_one_step_of_one_8_bit_pixel_is_contrast():
    x = torch.ones(1, 1, 8, 8)
    y = x.clone()
    y[0, 0, 3, 3] = 254 / 255
    assert abs(float(uqi(x, y))) < 1e-3  # flat against contrast: no covariance
    assert float(uqi(y, y)) == 1.0


def laplacian(a):
    kernel = -np.ones((3, 3))
    kernel[1, 1] = 8
    return convolve2d(a, kernel, "valid").ravel()


def test_scc_is_the_correlation_of_laplacians():
    for x, y in (noisy(), waves()):
        slow = each_band(lambda a, b: np.corrcoef(laplacian(a), laplacian(b))[0, 1], x, y)
        assert np.allclose(scc(x, y), slow, atol=1e-12)


def slow_windows(a, b):
    """Windows of 8 x 8 over filtered images: mirrored before the filter, zeros around after it."""
    kernel = -np.ones((3, 3))
    kernel[1, 1] = 8
    f, h = (np.pad(correlate(z, kernel, mode="reflect"), ((4, 3), (4, 3))) for z in (a, b))
    f, h = (sliding_window_view(z, (8, 8)).reshape(-1, 64) for z in (f, h))
    return np.mean([np.corrcoef(p, q)[0, 1] for p, q in zip(f, h, strict=True)])


def test_scc_in_windows_is_torchmetrics_and_sewars():
    for x, y in (noisy(), waves()):
        found = scc(x, y, convention="torchmetrics")
        assert np.allclose(found, each_band(slow_windows, x, y), atol=1e-12)
    # sewar 0.4.10: scc of waves(), channels last; torchmetrics 1.9.0 says the same to single precision
    assert float(found[0]) == pytest.approx(SCC_SEWAR, abs=1e-10)


@pytest.mark.parametrize("convention", ["zhou1998", "torchmetrics"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_flat_images_and_ramps_have_no_detail(convention, dtype):
    y = noisy()[1].to(dtype)
    flat = torch.full_like(y, 0.7).requires_grad_()
    (slope,) = torch.autograd.grad(scc(flat, y, convention=convention).sum(), flat)
    assert bool((scc(flat, y, convention=convention) == 0).all()) and bool((slope == 0).all())
    assert bool((scc(flat, flat, convention=convention) == 0).all())
    ramp = (torch.arange(26, dtype=dtype) / 255).expand_as(y).contiguous()
    inside = scc.map(ramp, y, convention=convention)[:, 6:-6, 6:-6]
    assert float(inside.abs().max()) == 0.0


def test_scc_does_not_see_brightness_or_ramps():
    x, y = noisy()
    ramp = 0.3 + 0.01 * torch.arange(26, dtype=torch.float64)
    assert torch.allclose(scc(2 * x + ramp, y), scc(x, y), atol=1e-10)


@pytest.mark.parametrize("measure", [uqi, scc])
def test_bad_use(measure):
    x, y = noisy()
    with pytest.raises(UsageError, match="convention: expected"):
        measure(x, y, convention="matlab")
    with pytest.raises(UsageError, match=r"images of 7 x 26 .* 8"):
        measure(x[..., :7, :], y[..., :7, :], convention="wang2002" if measure is uqi else "torchmetrics")
    with pytest.raises(UsageError, match="3 pixels a side"):
        scc(x[..., :2], y[..., :2])
