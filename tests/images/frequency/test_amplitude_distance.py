"""The distance is that of the whole plane's amplitudes, and blind to where things are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.signal
import torch
from torch import Tensor

from assay.errors import UsageError
from assay.images.frequency import amplitude_distance


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [(12, 16), (9, 13), (16, 9), (1, 5)])
@pytest.mark.parametrize("window", ["hann", "none"])
def test_by_the_whole_plane(size: tuple[int, int], window: Any) -> None:
    x, y = images(2, 3, *size), images(2, 3, *size, seed=1)
    down, across = (scipy.signal.get_window(window, n) if window == "hann" else np.ones(n) for n in size)
    first, second = (np.abs(np.fft.fft2(v.numpy() * down[:, None] * across, norm="ortho")) for v in (x, y))
    expected = np.abs(first - second).mean((1, 2, 3))
    np.testing.assert_allclose(
        amplitude_distance(x, y, window=window).numpy(), expected, rtol=1e-11, atol=1e-15
    )
    scaled = amplitude_distance(255 * x, 255 * y, window=window, data_range=255)
    np.testing.assert_allclose(scaled.numpy(), expected, rtol=1e-11, atol=1e-15)


def test_shifts_and_turns_do_not_count() -> None:
    x = images(2, 1, 12, 15)
    for other in (x.roll((4, 7), (2, 3)), x.flip((2, 3))):
        assert float(amplitude_distance(x, other, window="none").max()) < 1e-14
    assert float(amplitude_distance(x, x.roll(4, 2)).min()) > 1e-3


@pytest.mark.parametrize("window", ["hann", "none"])
def test_equal_and_black_images(window: Any) -> None:
    x = images(1, 2, 8, 8).float()
    for image, other in ((x, x), (torch.zeros_like(x), torch.zeros_like(x)), (torch.zeros_like(x), x)):
        leaf = image.clone().requires_grad_()
        value = amplitude_distance(leaf, other, window=window)
        value.sum().backward()
        assert leaf.grad is not None and not bool(leaf.grad.any())
        assert bool(value.detach() == 0) == (other is not x or image is x)


def test_bad_options() -> None:
    x = images(2, 1, 8, 8)
    with pytest.raises(UsageError, match="window: expected one of hann, none"):
        amplitude_distance(x, x, window="hamming")
