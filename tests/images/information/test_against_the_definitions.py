"""Information measures and `dss` equal their authors' definitions, written out in numpy, on photographs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.fft import dctn
from scipy.signal import correlate2d
from skimage import data

from assay.images.information import iw_ssim, vif
from assay.images.subbands import dss


def gaussian(size, sigma):
    taps = np.exp(-((np.arange(size) - (size - 1) / 2) ** 2) / (2 * sigma**2))
    return np.outer(taps, taps) / taps.sum() ** 2


def moments(x, y, window):
    """Means, variances and covariance under a window, wherever it fits."""

    def mean(z):
        return correlate2d(z, window, "valid")

    a, b = mean(x), mean(y)
    return a, b, np.maximum(mean(x * x) - a * a, 0), np.maximum(mean(y * y) - b * b, 0), mean(x * y) - a * b


def by_vifp(x, y):
    learnt = known = 0.0
    for scale in range(1, 5):
        size = 2 ** (5 - scale) + 1
        window = gaussian(size, size / 5)
        if scale > 1:
            x, y = (correlate2d(z, window, "valid")[::2, ::2] for z in (x, y))
        _, _, var_x, var_y, covariance = moments(x, y, window)
        gain = np.where((var_x < 1e-10) | (var_y < 1e-10), 0, covariance / (var_y + 1e-10))
        noise = np.where(var_x < 1e-10, 0, var_x - gain * covariance)
        noise = np.maximum(np.where(gain < 0, var_x, noise), 1e-10)
        gain = np.maximum(gain, 0)
        learnt += np.log10(1 + gain**2 * var_y / (noise + 2)).sum()
        known += np.log10(1 + np.where(var_y < 1e-10, 0, var_y) / 2).sum()
    return learnt / known


def by_dss(x, y):
    down, across = x.shape[0] // 8, x.shape[1] // 8
    a, b = (
        dctn(
            z[: 8 * down, : 8 * across].reshape(down, 8, across, 8).transpose(0, 2, 1, 3),
            axes=(2, 3),
            norm="ortho",
        )
        for z in (x, y)
    )

    def worst(z):
        return np.sort(z, None)[: max(1, round(0.05 * z.size))].mean()

    total = weights = 0.0
    for u in range(8):
        for v in range(8):
            weight = math.exp(-((u + 0.5) ** 2 + (v + 0.5) ** 2) / (2 * 1.55**2))
            if weight < 0.01:
                continue
            p, q = (np.pad(z[:, :, u, v], 1) for z in (a, b))
            _, _, var_p, var_q, covariance = moments(p, q, gaussian(3, 1.5))
            constant = 1000 if u == v == 0 else 300
            root = np.sqrt(var_p * var_q)
            alike = worst((2 * root + constant) / (var_p + var_q + constant))
            if u == v == 0:
                alike *= worst((covariance + constant) / (root + constant))
            total, weights = total + weight * alike, weights + weight
    return total / weights


def smoothed(z):
    taps = np.array([1, 4, 6, 4, 1]) / 16 * math.sqrt(2)
    return ndimage.correlate1d(ndimage.correlate1d(z, taps, 0, mode="mirror"), taps, 1, mode="mirror")


def split(fine):
    """The coarse image and the band; an odd side is interpolated as if it were one longer."""
    coarse = smoothed(fine)[::2, ::2]
    apart = np.zeros([side + side % 2 for side in fine.shape])
    apart[::2, ::2] = coarse
    return coarse, fine - smoothed(apart)[: fine.shape[0], : fine.shape[1]]


def enlarged(band):
    """At quarter steps, extrapolated by one step at each end, every second value."""
    for axis in (0, 1):
        moved = np.moveaxis(band, axis, 0)
        count = len(moved)
        size = 4 * count - 3
        at = np.clip((np.arange(size) + 0.5) * count / size - 0.5, 0, count - 1)
        low = np.minimum(at.astype(int), count - 2)
        inner = moved[low] + (at - low)[:, None] * (moved[low + 1] - moved[low])
        whole = np.concatenate([2 * inner[:1] - inner[1:2], inner, 2 * inner[-1:] - inner[-2:-1]])
        band = np.moveaxis(whole[::2], 0, axis)
    return band


def bits(x, y, parent):
    _, _, var_x, var_y, covariance = moments(x, y, np.full((3, 3), 1 / 9))
    known, related = var_y >= 1e-15, (var_x >= 1e-15) & (var_y >= 1e-15)
    gain = np.where(related, covariance / np.where(known, var_y, 1), 0)
    noise = np.where(known, np.maximum(var_x - gain * covariance, 0), var_x)
    height, width = var_y.shape
    around = [y[i : i + height, j : j + width] for i in range(3) for j in range(3)]
    if parent is not None:
        around.append(enlarged(parent)[: height + 2, : width + 2][1:-1, 1:-1])
    u = np.stack([z.ravel() for z in around])
    spread = u @ u.T / u.shape[1]
    size = (u * np.linalg.solve(spread, u)).mean(0).reshape(height, width)
    return sum(
        np.log2(1 + ((noise + (1 + gain**2) * 0.4) * size * value + 0.4 * noise) / 0.16)
        for value in np.maximum(np.linalg.eigvalsh(spread), 0)
    )


def by_iw_ssim(x, y):
    bands, value = [], 1.0
    for _ in range(4):
        (x, band_x), (y, band_y) = split(x), split(y)
        bands.append((band_x, band_y))
    bands.append((x, y))
    for level, (a, b) in enumerate(bands):
        mean_x, mean_y, var_x, var_y, covariance = moments(a, b, gaussian(11, 1.5))
        alike = (2 * covariance + 7.65**2) / (var_x + var_y + 7.65**2)
        if level == 4:
            mean = (alike * (2 * mean_x * mean_y + 2.55**2) / (mean_x**2 + mean_y**2 + 2.55**2)).mean()
        else:
            weights = bits(a, b, bands[level + 1][1] if level < 3 else None)[4:-4, 4:-4]
            mean = (weights * alike).sum() / weights.sum()
        value *= mean ** ((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)[level] / 1.0001)
    return value


def photographs(height, width, clipped=False):
    """A damaged crop in colour and the crop, (3, H, W) in [0, 1]; `clipped` turns a third of it black or white."""
    target = data.astronaut()[20 : 20 + height, 150 : 150 + width].transpose(2, 0, 1) / 255
    if clipped:
        target = np.clip(2 * target - 0.5, 0, 1)
    noise = np.random.default_rng(0).standard_normal(target.shape)
    blurred = 0.05 + 0.9 * ndimage.gaussian_filter(target, (0, 0.8, 0.8))
    return np.clip(blurred + 0.06 * noise, 0, 1), target


def grey(z):
    return 255 * (0.299 * z[0] + 0.587 * z[1] + 0.114 * z[2])


@pytest.mark.parametrize(
    "measure,definition,size,tolerance",
    [
        (vif, by_vifp, (97, 131), 1e-11),
        (dss, by_dss, (97, 131), 1e-12),
        (dss, by_dss, (160, 88), 1e-12),
        (iw_ssim, by_iw_ssim, (176, 192), 1e-10),
        (iw_ssim, by_iw_ssim, (163, 181), 1e-10),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_it_is_the_authors_on_colour_photographs(measure, definition, size, tolerance):
    x, y = photographs(*size)
    expected = definition(grey(x), grey(y))
    a, b = (torch.from_numpy(z)[None] for z in (x, y))
    assert measure(a, b).item() == pytest.approx(expected, abs=tolerance)
    assert measure(255 * a, 255 * b, data_range=255).item() == pytest.approx(expected, abs=tolerance)


def test_clipped_photographs_have_the_authors_iw_ssim_in_either_precision():
    """Beside what is clipped, a band falls below single precision's rounding of the image, and still has a weight."""
    x, y = photographs(200, 221, clipped=True)
    expected = by_iw_ssim(grey(x), grey(y))
    for dtype, tolerance in ((torch.float64, 1e-7), (torch.float32, 2e-6)):
        a, b = (torch.from_numpy(z)[None].to(dtype) for z in (x, y))
        assert iw_ssim(a, b).item() == pytest.approx(expected, abs=tolerance)
