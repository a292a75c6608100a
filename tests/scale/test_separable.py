"""Sliding windows equal convolutions, and what is kept of one call takes part in any later one."""

from __future__ import annotations

import torch
from torch.nn import functional

from assay.scale.separable import gaussian_taps, uniform_taps, window_spread, windowed


def test_it_is_a_convolution():
    images = torch.rand(2, 3, 45, 71, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for taps in (gaussian_taps(11, 1.5), uniform_taps(8)):
        kernel = torch.tensor(taps, dtype=torch.float64)
        expected = functional.conv2d(images.flatten(0, 1)[:, None], torch.outer(kernel, kernel)[None, None])
        torch.testing.assert_close(windowed(images, taps), expected.reshape(2, 3, *expected.shape[2:]))


def test_the_spread_is_its_transpose():
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(1, 20, 23, dtype=torch.float64, generator=generator)
    taps = (0.1, 0.2, 0.3, 0.4)
    maps = torch.rand(1, 17, 20, dtype=torch.float64, generator=generator)
    torch.testing.assert_close(
        (windowed(images, taps) * maps).sum(), (images * window_spread(maps, taps)).sum()
    )


def test_a_first_call_under_inference_mode_leaves_a_later_gradient_alone():
    taps = (0.25, 0.5, 0.25, 0.0)  # of no other test, so that the first call makes the table
    with torch.inference_mode():
        windowed(torch.rand(1, 9, 9), taps)
    image = torch.rand(1, 9, 9, requires_grad=True)
    windowed(image, taps).sum().backward()
    assert bool(image.grad.isfinite().all())
