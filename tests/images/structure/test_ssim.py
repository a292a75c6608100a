"""Structural similarity is its packages' under each convention's name, and safe where their gradients are not."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch
from scipy import signal
from torch.nn import functional

from assay.errors import DataError, UsageError
from assay.images.structure import ms_ssim, ssim
from assay.images.structure.local_similarity import local_terms
from assay.images.structure.ssim_conventions import SCALES, window_of


def photographs(height=189, width=203, channels=3, seed=0):
    """Smooth random images and noisy copies, float64 in [0, 1]."""
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(2, channels, height, width, dtype=torch.float64, generator=g)
    x = functional.avg_pool2d(x, 5, 1, 2)
    noise = torch.randn(x.shape, dtype=torch.float64, generator=g)
    return x, (x + 0.1 * noise).clamp(0, 1)


@pytest.mark.parametrize("convention", ["wang2004", "skimage"])
def test_equals_scikit_image(convention):
    metrics = pytest.importorskip("skimage.metrics")
    x, y = photographs()
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    expected = [
        metrics.structural_similarity(
            a.numpy(),
            b.numpy(),
            channel_axis=0,
            data_range=1.0,
            **(options if convention == "wang2004" else {}),
        )
        for a, b in zip(x, y, strict=True)
    ]
    assert ssim(x, y, convention=convention).tolist() == pytest.approx(expected, abs=1e-12)


def test_equals_torchmetrics():
    image = pytest.importorskip("torchmetrics.functional.image")
    x, y = photographs()
    expected = image.structural_similarity_index_measure(x, y, data_range=1.0, reduction="none")
    torch.testing.assert_close(ssim(x, y, convention="torchmetrics"), expected, rtol=0, atol=1e-12)
    betas = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
    expected = image.multiscale_structural_similarity_index_measure(
        x, y, data_range=1.0, reduction="none", betas=betas
    )
    torch.testing.assert_close(ms_ssim(x, y, convention="torchmetrics"), expected, rtol=0, atol=1e-8)


def several_scales(x, y, exponents, data_range, repeat_last):
    """Five scales, channel by channel, from windows that fit; of odd sides the last is repeated or left out."""
    taps = np.exp(-((np.arange(11) - 5) ** 2) / 4.5)
    window = np.outer(taps, taps) / taps.sum() ** 2
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    products = []
    for a, b in zip(x, y, strict=True):
        product = 1.0
        for level, exponent in enumerate(exponents):
            if level:
                if repeat_last:
                    a, b = (np.pad(z, [(0, side % 2) for side in z.shape], mode="symmetric") for z in (a, b))
                a, b = (
                    z[: len(z) // 2 * 2, : z.shape[1] // 2 * 2]
                    .reshape(len(z) // 2, 2, z.shape[1] // 2, 2)
                    .mean((1, 3))
                    for z in (a, b)
                )
            p, q, pp, qq, pq = (signal.correlate2d(z, window, "valid") for z in (a, b, a * a, b * b, a * b))
            alike = (2 * (pq - p * q) + c2) / (pp - p * p + qq - q * q + c2)
            if level == len(exponents) - 1:
                alike = alike * (2 * p * q + c1) / (p * p + q * q + c1)
            product *= alike.mean() ** exponent
        products.append(product)
    return np.mean(products)


@pytest.mark.parametrize("convention", ["wang2003", "tensorflow"])
@pytest.mark.parametrize("channels,data_range", [(1, 1.0), (3, 255.0), (5, 1.0)])
def test_several_scales_are_wang_s_on_odd_sides(channels, data_range, convention):
    """The sides 181, 91 and 46 by 199, 100 and 50: odd ones beside even ones, too."""
    x, y = (data_range * z for z in photographs(181, 199, channels))
    exponents = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
    expected = [
        several_scales(a.numpy(), b.numpy(), exponents, data_range, convention == "tensorflow")
        for a, b in zip(x, y, strict=True)
    ]
    assert ms_ssim(x, y, data_range=data_range, convention=convention).tolist() == pytest.approx(
        expected, abs=1e-12
    )


# piq 0.8.0 and pytorch-msssim 1.0.0 in float64 on photographs(520, 613, 1): the first image. The latter keeps its
# window in float32, which moves the sixth digit.
GOLDEN = {"piq": (0.665964600227, 0.796986210594), "pytorch-msssim": (0.315491074990, 0.797931619341)}


@pytest.mark.parametrize("package", sorted(GOLDEN))
def test_equals_the_package(package):
    x, y = photographs(520, 613, 1)
    single, several = GOLDEN[package]
    tolerance = 1e-9 if package == "piq" else 5e-6
    convention = "piq" if package == "piq" else "wang2004"
    assert float(ssim(x[:1], y[:1], convention=convention)) == pytest.approx(single, abs=tolerance)
    assert float(ms_ssim(x[:1], y[:1], convention=package)) == pytest.approx(several, abs=tolerance)


@pytest.mark.parametrize("convention", ["wang2004", "torchmetrics", "piq", "skimage"])
def test_the_gradient_by_either_image_is_that_of_plain_operations(convention):
    """The gradient is written out; the map is not: both must say the same, for one image and for both."""
    x, y = (z[..., :40, :37] for z in photographs())
    for wanted in ((True, True), (True, False), (False, True)):
        pair = [z.clone().requires_grad_(w) for z, w in zip((x, y), wanted, strict=True)]
        inputs = [z for z in pair if z.requires_grad]
        found = torch.autograd.grad(ssim(*pair, convention=convention)[1], inputs)
        expected = torch.autograd.grad(ssim.map(*pair, convention=convention)[1].mean(), inputs)
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("convention", sorted(SCALES))
def test_the_gradient_of_several_scales_is_that_of_plain_operations(convention, monkeypatch):
    x, y = (z[:1, :, :25, :22].clone().requires_grad_() for z in photographs())

    def slopes():
        value = ms_ssim(x, y, exponents=(0.4, 0.6), convention=convention)
        return torch.autograd.grad(value.sum(), (x, y))

    def plain(x, y, window, data_range, *, luminance):
        bright, contrast = local_terms(x, y, window, data_range)
        return (bright * contrast if luminance else contrast).mean((2, 3))

    found = slopes()
    monkeypatch.setattr(importlib.import_module("assay.images.structure.ms_ssim"), "mean_similarity", plain)
    for a, b in zip(found, slopes(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_anticorrelated_images_score_zero_and_have_a_finite_gradient():
    """A negative contrast term under a fractional power is NaN where it is not looked after."""
    x, _ = photographs(176, 176, 1)
    x = x.requires_grad_()
    value = ms_ssim(x, 1 - x.detach())
    value.sum().backward()
    assert value.tolist() == [0.0, 0.0] and bool(x.grad.isfinite().all())


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_flat_images(level):
    """Two flat images differ by their luminance alone: (2ab + c) / (a^2 + b^2 + c) = 1 - (a - b)^2 / (...)."""
    flat = torch.full((1, 3, 176, 176), level, requires_grad=True)
    assert ssim(flat, flat.detach()).item() == ms_ssim(flat, flat.detach()).item() == 1.0
    other = torch.full_like(flat, 0.25).detach()
    expected = (2 * 0.25 * level + 1e-4) / (level**2 + 0.25**2 + 1e-4)
    value = ssim(flat, other)
    assert value.item() == pytest.approx(expected, abs=1e-5)
    value.backward()
    assert bool(flat.grad.isfinite().all())


def test_single_precision_is_right_on_a_bright_flat_image():
    """Moments about the middle of the range: E[x^2] - E[x]^2 about zero loses what little variance there is."""
    g = torch.Generator().manual_seed(1)
    x = 0.9 + 0.003 * torch.randn(1, 1, 32, 32, dtype=torch.float64, generator=g)
    y = x + 0.003 * torch.randn(1, 1, 32, 32, dtype=torch.float64, generator=g)
    assert ssim(x.float(), y.float()).item() == pytest.approx(ssim(x, y).item(), abs=1e-5)


def test_the_range_scales_with_the_images():
    x, y = photographs(176, 180, 1)
    for measure in (ssim, ms_ssim):
        torch.testing.assert_close(
            measure(255 * x, 255 * y, data_range=255), measure(x, y), rtol=0, atol=1e-12
        )


def test_an_image_of_many_chunks_is_one_of_few(monkeypatch):
    from assay.scale import each_pair

    x, y = photographs(40, 44)
    x = x.requires_grad_()
    whole = torch.autograd.grad(ssim(x, y).sum(), x)[0]
    monkeypatch.setattr(each_pair, "CHUNK_BYTES", {"cpu": 1})
    torch.testing.assert_close(torch.autograd.grad(ssim(x, y).sum(), x)[0], whole, rtol=0, atol=1e-15)


def test_the_map_is_where_it_is_wrong():
    x, _ = photographs(64, 64)
    y = x.clone()
    y[..., 40:48, 10:18] = 0.0
    found = ssim.map(x, y)
    assert found.shape == (2, 54, 54)
    row, column = divmod(int(found[0].argmin()), 54)
    assert 36 <= row + 5 <= 52 and 6 <= column + 5 <= 22 and float(found[0, 0, 50]) == pytest.approx(1.0)


def test_the_parts_are_wang_and_bovik_s():
    """On one window: the means, variances and the covariance by hand."""
    x, y = (z[:1, :1, :11, :11] for z in photographs())
    window = window_of("wang2004", 11, 11)
    taps = np.asarray(window.taps)
    w = torch.from_numpy(np.outer(taps, taps))
    a, b = (w * x[0, 0]).sum(), (w * y[0, 0]).sum()
    va, vb = (w * (x[0, 0] - a) ** 2).sum(), (w * (y[0, 0] - b) ** 2).sum()
    vab = (w * (x[0, 0] - a) * (y[0, 0] - b)).sum()
    luminance, contrast = local_terms(x, y, window, 1.0)
    assert float(luminance) == pytest.approx(float((2 * a * b + 1e-4) / (a**2 + b**2 + 1e-4)))
    assert float(contrast) == pytest.approx(float((2 * vab + 9e-4) / (va + vb + 9e-4)))


@pytest.mark.parametrize(
    "call,words",
    [
        (lambda x, y: ssim(x[..., :10, :], y[..., :10, :]), "no room for the window of 11 x 11"),
        (lambda x, y: ssim(x[..., :5, :], y[..., :5, :], convention="torchmetrics"), "at least 6 pixels"),
        (lambda x, y: ssim(x, y, convention="matlab"), "'wang2004', 'torchmetrics', 'piq', 'skimage'"),
        (lambda x, y: ssim(x, y, data_range=0), "data_range"),
        (lambda x, y: ms_ssim(x[..., :175, :], y[..., :175, :]), "need 176 pixels a side"),
        (lambda x, y: ms_ssim(x[..., :160, :], y[..., :160, :], convention="piq"), "need 161 pixels"),
        (lambda x, y: ms_ssim(x, y, exponents=()), "exponents"),
        (lambda x, y: ms_ssim(x, y, convention="wang2004"), "'wang2003'"),
        (lambda x, y: ssim((255 * x).byte(), y), "x: expected floating-point images"),
        (lambda x, y: ssim(x, y[..., 1:]), "resize one to the other"),
    ],
)
def test_bad_input_is_one_clear_error(call, words):
    x, y = photographs()
    with pytest.raises(UsageError, match=words):
        call(x, y)


def test_values_are_checked_in_the_estimate_alone():
    x, y = photographs(32, 32)
    with pytest.raises(DataError, match=r"y: values from 0 to 255, expected \[0, 1\].*data_range=255"):
        ssim.estimate(x, (255 * (y - y.min()) / (y.max() - y.min())))
    with pytest.raises(DataError, match=r"x: values from -.*\(x \+ 1\) / 2"):
        ssim.estimate(2 * x - 1, y)
    assert ssim.objective()(2 * x - 1, y).isfinite()
