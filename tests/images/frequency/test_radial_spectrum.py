"""Rings are round, none is empty, no power is lost, and the error is the published one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from assay.errors import UsageError
from assay.images.frequency import radial_spectrum, radial_spectrum_error, ring_sizes

SIZES = [(16, 16), (15, 15), (12, 30), (31, 8), (9, 14), (1, 9), (2, 2), (1, 1)]


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def slow_spectrum(image: Any) -> tuple[Any, Any]:
    """By the whole plane, a ring at a time."""
    h, w = image.shape
    power = np.abs(np.fft.fft2(image, norm="ortho")) ** 2
    cycles = np.hypot(*np.meshgrid(np.fft.fftfreq(h), np.fft.fftfreq(w), indexing="ij"))
    # a cycle count in the middle of two rings, such as 1.5, must not be rounded off its place before it is rounded
    ring = np.round(np.round(min(h, w) * cycles, 12)).astype(int)
    members = [power[ring == r] for r in range(ring.max() + 1)]
    return np.array([m.mean() for m in members]), np.array([m.size for m in members])


@pytest.mark.parametrize("size", SIZES)
def test_rings_by_the_whole_plane(size: tuple[int, int]) -> None:
    x = images(2, 1, *size)
    for image, got in zip(x, radial_spectrum(x), strict=True):
        mean, count = slow_spectrum(image[0].numpy())
        np.testing.assert_allclose(got[0].numpy(), mean, rtol=1e-10)
        np.testing.assert_array_equal(ring_sizes(*size).numpy(), count)


@pytest.mark.parametrize("size", SIZES)
def test_no_power_is_lost(size: tuple[int, int]) -> None:
    x = images(3, 2, *size)
    total = (radial_spectrum(x) * ring_sizes(*size, like=x)).sum(-1)
    torch.testing.assert_close(total, x.square().sum((-2, -1)), rtol=1e-12, atol=0)


def test_no_ring_is_empty() -> None:
    for height in range(1, 24):
        for width in (*range(1, 24), 57, 100):
            sizes = ring_sizes(height, width)
            assert float(sizes.min()) >= 1 and float(sizes.sum()) == height * width


def test_white_noise_is_flat_and_a_wave_is_in_its_ring() -> None:
    noise = 0.1 * torch.randn(64, 1, 32, 48, generator=torch.Generator().manual_seed(1))
    # the outermost ring holds the corner alone
    np.testing.assert_allclose(radial_spectrum(noise).mean((0, 1))[1:-1].numpy(), 0.01, rtol=0.1)
    # 6 cycles over 48 columns are an eighth of a cycle a pixel: ring 32 / 8
    wave = torch.cos(2 * torch.pi * 6 * torch.arange(48) / 48).expand(1, 1, 32, 48)
    powers = (radial_spectrum(wave) * ring_sizes(32, 48))[0, 0]
    assert int(powers.argmax()) == 4 and float(powers[4]) == pytest.approx(32 * 48 / 2, rel=1e-5)


def test_the_error_by_its_formula() -> None:
    x, y = images(2, 3, 20, 32), images(2, 3, 20, 32, seed=1) ** 2
    expected, linear = np.zeros(2), np.zeros(2)
    for i in range(2):
        for c in range(3):
            (p, n), (q, _) = slow_spectrum(x[i, c].numpy()), slow_spectrum(y[i, c].numpy())
            expected[i] += np.sqrt(np.mean((10 * np.log10((p + 1e-6) / (q + 1e-6))) ** 2)) / 3
            linear[i] += (n * np.abs(p - q)).sum() / (3 * 20 * 32)
    np.testing.assert_allclose(radial_spectrum_error(x, y).numpy(), expected, rtol=1e-10)
    got = radial_spectrum_error(x, y, scale="linear")
    np.testing.assert_allclose(got.numpy(), linear, rtol=1e-10)
    assert bool((got <= (x.square() + y.square()).mean((1, 2, 3))).all())
    torch.testing.assert_close(
        radial_spectrum_error(255 * x, 255 * y, data_range=255), radial_spectrum_error(x, y)
    )


def test_a_gain_is_so_many_decibels_in_every_ring() -> None:
    x = images(2, 1, 24, 24)
    torch.testing.assert_close(
        radial_spectrum_error(x, x / 10, floor=1e-30), torch.full((2,), 20.0, dtype=torch.float64)
    )


def test_phases_do_not_count_and_blur_does() -> None:
    x = images(2, 3, 24, 30)
    for other in (x.roll((5, 7), (2, 3)), x.flip(3), x.flip(2)):
        assert float(radial_spectrum_error(x, other).max()) < 1e-10
    little, much = (x + x.roll(1, 3)) / 2, (x + x.roll(1, 3) + x.roll(2, 3) + x.roll(3, 3)) / 4
    assert bool((radial_spectrum_error(x, much) > radial_spectrum_error(x, little)).all())
    assert bool((radial_spectrum_error(x, little) > 1).all())


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_equal_constant_and_black_images(scale: Any) -> None:
    x = images(1, 1, 12, 12).float()
    for image in (x, torch.zeros_like(x), torch.full_like(x, 0.5)):
        leaf = image.clone().requires_grad_()
        value = radial_spectrum_error(leaf, image, scale=scale)
        value.sum().backward()
        assert float(value.detach()) == 0.0 and leaf.grad is not None and not bool(leaf.grad.any())
        leaf = image.clone().requires_grad_()
        radial_spectrum_error(leaf, x.flip(0) ** 2, scale=scale).sum().backward()
        assert leaf.grad is not None and bool(leaf.grad.isfinite().all())


def test_bad_input() -> None:
    x = images(2, 1, 8, 8)
    with pytest.raises(UsageError, match="scale: expected one of log, linear"):
        radial_spectrum_error(x, x, scale="decibel")
    with pytest.raises(UsageError, match="floor: expected a power above 0"):
        radial_spectrum_error(x, x, floor=0.0)
    with pytest.raises(UsageError, match="images: expected floating-point"):
        radial_spectrum(torch.ones(8, 8, dtype=torch.int64))
    with pytest.raises(UsageError, match="images: expected floating-point"):
        radial_spectrum(torch.ones(8))
    for wrong in (torch.ones(3, 0), torch.ones(0, 3), np.ones((4, 4)), None):
        with pytest.raises(UsageError, match="images: expected floating-point"):
            radial_spectrum(wrong)
    for sides in ((0, 3), (3, -1), (2.5, 3), (True, 3), ("3", 3)):
        with pytest.raises(UsageError, match=r"^(height|width): expected a whole number of pixels"):
            ring_sizes(*sides)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_narrow_images_are_widened(dtype: torch.dtype) -> None:
    x = images(2, 1, 9, 8).to(dtype)
    torch.testing.assert_close(radial_spectrum(x), radial_spectrum(x.float()))
