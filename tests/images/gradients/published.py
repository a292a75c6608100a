"""The measures of edges as their authors' programs compute them, image by image in numpy, for comparison.

Written from the definitions: convolutions "same" with zeros outside, Fourier transforms of every filter, medians over
sorted values. Grey images (H, W) or RGB (H, W, 3), from 0 to 255.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.signal import convolve2d

PREWITT = np.array([[1, 0, -1]] * 3) / 3
SCHARR = np.array([[3, 0, -3], [10, 0, -10], [3, 0, -3]]) / 16
YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
LMN = np.array([[0.06, 0.63, 0.27], [0.30, 0.04, -0.35], [0.34, -0.60, 0.17]])


def colours(image, matrix):
    return [image @ row for row in matrix] if image.ndim == 3 else [image]


def same(plane, kernel):
    """The middle of the whole convolution, of its two middles the later one where the kernel's side is even."""
    start, (height, width) = len(kernel) // 2, plane.shape
    return convolve2d(plane, kernel, "full")[start : start + height, start : start + width]


def averaged(plane, factor):
    return same(plane, np.full((factor, factor), 1 / factor**2))[::factor, ::factor]


def factor(image):
    return max(1, math.floor(min(image.shape[:2]) / 256 + 0.5))


def magnitude(plane, operator):
    return np.hypot(same(plane, operator), same(plane, operator.T))


def alike(a, b, constant, masking=0.0):
    return ((2 - masking) * a * b + constant) / (a**2 + b**2 - masking * a * b + constant)


def gms(x, y):
    steep = [magnitude(averaged(colours(z, YIQ)[0], 2), PREWITT) for z in (x, y)]
    return alike(*steep, 170.0)


def multi_scale_gmsd(x, y, weights=(0.096, 0.596, 0.289, 0.019), chromatic=False):
    four = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
    a, b = colours(x, four), colours(y, four)
    total = 0.0
    for scale, weight in enumerate(weights):
        if scale:
            a, b = [averaged(z, 2) for z in a], [averaged(z, 2) for z in b]
        total += weight * np.var(alike(magnitude(a[0], PREWITT), magnitude(b[0], PREWITT), 170.0, 0.5))
    value = math.sqrt(total)
    if not chromatic:
        return value
    size = math.sqrt(sum(np.mean((p - q) ** 2) for p, q in zip(a[1:], b[1:], strict=True)))
    share = 2 / (1 + 0.32 * math.exp(-15 * value)) - 1
    return share * value + (1 - share) * 0.01 * size


def log_gabor(height, width):
    """16 filters, [orientation][scale], with frequency 0 in the corner."""

    def axis(n):
        return (np.arange(-(n - 1) / 2, n / 2) / (n - 1)) if n % 2 else np.arange(-n / 2, n / 2) / n

    across, down = np.meshgrid(axis(width), axis(height))
    radius = np.fft.ifftshift(np.sqrt(across**2 + down**2))
    angle = np.fft.ifftshift(np.arctan2(-down, across))
    low = 1 / (1 + (radius / 0.45) ** 30)
    radius[0, 0] = 1
    filters = []
    for k in range(4):
        turn = k * math.pi / 4
        apart = np.abs(
            np.arctan2(
                np.sin(angle) * math.cos(turn) - np.cos(angle) * math.sin(turn),
                np.cos(angle) * math.cos(turn) + np.sin(angle) * math.sin(turn),
            )
        )
        row = []
        for s in range(4):
            ring = np.exp(-(np.log(radius * 6 * 2**s) ** 2) / (2 * math.log(0.55) ** 2)) * low
            ring[0, 0] = 0
            row.append(ring * np.exp(-(apart**2) / (2 * (math.pi / 4 / 1.2) ** 2)))
        filters.append(row)
    return filters


def phase_congruency(plane):
    waves, (height, width) = np.fft.fft2(plane), plane.shape
    energies, amplitudes = np.zeros(plane.shape), np.zeros(plane.shape)
    for row in log_gabor(height, width):
        responses = [np.fft.ifft2(waves * f) for f in row]
        total = sum(responses)
        direction = total / (np.abs(total) + 1e-4)
        energy = sum(
            r.real * direction.real
            + r.imag * direction.imag
            - np.abs(r.real * direction.imag - r.imag * direction.real)
            for r in responses
        )
        noise = -np.median(np.abs(responses[0]) ** 2) / math.log(0.5) / np.sum(row[0] ** 2)
        shapes = [np.fft.ifft2(f).real * math.sqrt(height * width) for f in row]
        own = sum(np.sum(f**2) for f in shapes)
        mixed = sum(np.sum(shapes[i] * shapes[j]) for i in range(4) for j in range(i + 1, 4))
        rayleigh = math.sqrt((2 * noise * own + 4 * noise * mixed) / 2)
        threshold = rayleigh * math.sqrt(math.pi / 2) + 2 * math.sqrt((2 - math.pi / 2) * rayleigh**2)
        energies += np.maximum(energy - threshold / 1.7, 0)
        amplitudes += sum(np.abs(r) for r in responses)
    return energies / amplitudes


def fsim(x, y, colour=False):
    f = factor(x)
    a, b = ([averaged(z, f) for z in colours(image, YIQ)] for image in (x, y))
    phases = phase_congruency(a[0]), phase_congruency(b[0])
    local = alike(*phases, 0.85) * alike(magnitude(a[0], SCHARR), magnitude(b[0], SCHARR), 160.0)
    if colour:
        product = alike(a[1], b[1], 200.0) * alike(a[2], b[2], 200.0)
        local = local * (product.astype(complex) ** 0.03).real
    weights = np.maximum(*phases)
    return np.sum(local * weights) / np.sum(weights)


def mdsi(x, y, combination="sum"):
    f = factor(x)
    matrix = np.array([[0.2989, 0.5870, 0.1140], *LMN[1:]])
    a, b = ([averaged(z, f) for z in colours(image, matrix)] for image in (x, y))
    ours, target, fused = (magnitude(z, PREWITT) for z in (a[0], b[0], (a[0] + b[0]) / 2))
    steep = alike(ours, target, 140.0) + alike(ours, fused, 55.0) - alike(target, fused, 55.0)
    colour = (2 * (a[1] * b[1] + a[2] * b[2]) + 550) / (a[1] ** 2 + b[1] ** 2 + a[2] ** 2 + b[2] ** 2 + 550)
    if combination == "sum":
        whole = (0.6 * steep + 0.4 * colour).astype(complex)
    else:
        whole = steep.astype(complex) ** 0.2 * colour.astype(complex) ** 0.1
    root = whole**0.25
    return np.mean(np.abs(root - np.mean(root))) ** 0.25


def haarpsi(x, y, subsample=True):
    a, b = (colours(image, YIQ) for image in (x, y))
    if subsample:
        a, b = [averaged(z, 2) for z in a], [averaged(z, 2) for z in b]

    def coefficient(plane, k, axis):
        kernel = np.full((2**k, 2**k), 2.0**-k)
        kernel[: 2 ** (k - 1)] *= -1
        return np.abs(same(plane, kernel if axis == 0 else kernel.T))

    local, weights = [], []
    for axis in (0, 1):
        local.append(
            sum(alike(coefficient(a[0], k, axis), coefficient(b[0], k, axis), 30.0) for k in (1, 2)) / 2
        )
        weights.append(np.maximum(coefficient(a[0], 3, axis), coefficient(b[0], 3, axis)))
    if len(a) == 3:
        box = np.full((2, 2), 0.25)
        local.append(
            sum(
                alike(np.abs(same(p, box)), np.abs(same(q, box)), 30.0)
                for p, q in zip(a[1:], b[1:], strict=True)
            )
            / 2
        )
        weights.append((weights[0] + weights[1]) / 2)
    mean = np.sum(np.array(weights) / (1 + np.exp(-4.2 * np.array(local)))) / np.sum(weights)
    return (math.log(mean / (1 - mean)) / 4.2) ** 2


def resized(plane, height, width):
    """Linear interpolation of every row and column, with a wider triangle where it shrinks and a mirrored border."""
    for axis, outputs in ((0, height), (1, width)):
        moved = np.moveaxis(plane, axis, 0)
        scale = outputs / len(moved)
        reach = max(1, 1 / scale)
        rows = []
        for k in range(outputs):
            centre = (k + 0.5) / scale - 0.5
            places = np.arange(math.floor(centre - reach), math.ceil(centre + reach) + 1)
            share = np.maximum(1 - np.abs(places - centre) / reach, 0)
            mirrored = np.where(places < 0, -1 - places, places)
            mirrored = np.where(mirrored >= len(moved), 2 * len(moved) - 1 - mirrored, mirrored)
            rows.append(share @ moved[mirrored] / share.sum())
        plane = np.moveaxis(np.array(rows), 0, axis)
    return plane


def lab(image):
    """CIE L*a*b* under D50 from sRGB of 0 to 255, with the rounded constants of the authors' program."""
    linear = image / 255
    linear = np.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4)
    xyz = linear @ np.array(
        [
            [0.4124564, 0.2126729, 0.0193339],
            [0.3575761, 0.7151522, 0.1191920],
            [0.1804375, 0.0721750, 0.9503041],
        ]
    )
    relative = xyz / np.array([0.9642, 1.0, 0.8251])
    f = np.where(relative > 0.008856, np.cbrt(relative), (903.3 * relative + 16) / 116)
    return [116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])]


def salience(image):
    small = np.stack([resized(image[..., c], 256, 256) for c in range(3)], -1)
    planes = lab(small)
    step = (np.arange(256) - 128) / 256
    square = step[:, None] ** 2 + step**2
    with np.errstate(divide="ignore"):
        band = np.exp(-(np.log(np.sqrt(np.where(square > 0.25, 0, square)) / 0.021) ** 2) / (2 * 1.34**2))
    band = np.fft.ifftshift(band)
    out = np.sqrt(sum(np.fft.ifft2(np.fft.fft2(p) * band).real ** 2 for p in planes))
    away = (np.arange(1, 257) - 128.0) ** 2
    warm = sum(((p - p.min()) / (p.max() - p.min())) ** 2 for p in planes[1:])
    seen = out * np.exp(-(away[:, None] + away) / 145.0**2) * (1 - np.exp(-warm / 0.001**2))
    seen = resized(seen, *image.shape[:2])
    return (seen - seen.min()) / (seen.max() - seen.min())


def vsi(x, y):
    f = factor(x)
    seen = [averaged(salience(image), f) for image in (x, y)]
    a, b = ([averaged(z, f) for z in colours(image, LMN)] for image in (x, y))
    product = alike(a[1], b[1], 130.0) * alike(a[2], b[2], 130.0)
    local = alike(*seen, 1.27) * alike(magnitude(a[0], SCHARR), magnitude(b[0], SCHARR), 386.0) ** 0.4
    weights = np.maximum(*seen)
    return np.sum(local * (product.astype(complex) ** 0.02).real * weights) / np.sum(weights)
