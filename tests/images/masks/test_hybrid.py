"""The hybrid loss equals the published code's, its three terms by hand, and has a gradient everywhere."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d

from assay.errors import UsageError
from assay.images.masks import iou, segmentation_hybrid
from assay.images.structure import ssim


def members() -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities and a target in closed form."""
    rows, columns = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in (20, 26)), indexing="ij")
    maps = torch.stack([torch.sin(0.3 * rows + 0.2 * k * columns + k) for k in (1, 2)])[:, None]
    return torch.sigmoid(3 * maps), (maps + 0.5 * torch.cos(0.4 * columns - rows) > 0).double()


def by_hand(p: np.ndarray, t: np.ndarray, mode: str) -> float:
    pixels = -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean()
    taps = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.outer(taps, taps) / taps.sum() ** 2

    def mean(z: np.ndarray) -> np.ndarray:
        return convolve2d(z, window, mode=mode)

    a, b = mean(p), mean(t)
    c1, c2 = 0.01**2, 0.03**2
    contrast = (2 * (mean(p * t) - a * b) + c2) / (mean(p * p) - a * a + mean(t * t) - b * b + c2)
    structure = ((2 * a * b + c1) / (a * a + b * b + c1) * contrast).mean()
    region = (p * t).sum() / (p + t - p * t).sum()
    return pixels + (1 - structure) + (1 - region)


@pytest.mark.parametrize("border,mode", [("zeros", "same"), ("valid", "valid")])
def test_the_three_terms(border, mode):
    p, t = members()
    expected = [by_hand(p[k, 0].numpy(), t[k, 0].numpy(), mode) for k in range(2)]
    np.testing.assert_allclose(segmentation_hybrid(p, t, border=border).numpy(), expected, atol=1e-9)


def test_as_the_published_code():
    # bce_ssim_loss of BASNet's basnet_train.py, torch 2.13.0, float32, one pair at a time
    p, t = members()
    np.testing.assert_allclose(
        segmentation_hybrid(p.float(), t.float()).numpy(), [1.0962379, 0.9234371], atol=2e-6
    )


def test_right_wrong_and_empty():
    _, t = members()
    right, wrong = segmentation_hybrid(t, t), segmentation_hybrid(1 - t, t)
    torch.testing.assert_close(right, torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-9)
    expected = (
        100 + 1 + 1 - ssim(torch.nn.functional.pad(1 - t, (5,) * 4), torch.nn.functional.pad(t, (5,) * 4))
    )
    torch.testing.assert_close(wrong, expected)
    empty = torch.zeros_like(t)
    torch.testing.assert_close(
        segmentation_hybrid(empty, empty), torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-9
    )
    for p in (t, 1 - t, empty, torch.ones_like(t)):
        for target in (t, empty):
            p = p.clone().requires_grad_()
            assert bool(torch.autograd.grad(segmentation_hybrid(p, target).sum(), p)[0].isfinite().all())


def test_truth_values_are_masks():
    p, t = members()
    torch.testing.assert_close(segmentation_hybrid(p, t > 0.5), segmentation_hybrid(p, t))


def test_refused():
    p, t = members()
    with pytest.raises(UsageError, match="border: expected 'zeros' or 'valid', got 'same'"):
        segmentation_hybrid(p, t, border="same")
    with pytest.raises(UsageError, match="no 3-D form"):
        segmentation_hybrid(p[:, None], t[:, None])
    with pytest.raises(UsageError, match="window"):
        segmentation_hybrid(p[..., :8], t[..., :8], border="valid")


def test_nan_comes_out_as_nan_and_stops_no_device():
    p, t = members()
    p[0, 0, 3, 4] = float("nan")
    value = segmentation_hybrid(p, t)
    assert value[0].isnan() and value[1].isfinite()


def test_the_gradient_by_a_target_is_finite_too():
    """The logarithms' floor holds for it: at p = 0 and 1 it is 100 a place, of the first term."""
    p = torch.zeros(1, 1, 12, 12, dtype=torch.float64)
    p[..., :6] = 1.0
    t = p.flip(3).requires_grad_()
    (slope,) = torch.autograd.grad(segmentation_hybrid(p, t).sum(), t)
    assert slope.isfinite().all() and slope.abs().max() < 101 / 144 + 1
    inner, _ = members()
    u = (0.2 + 0.6 * inner.flip(3)).requires_grad_()
    (slope,) = torch.autograd.grad(segmentation_hybrid(inner, u).sum(), u)
    h = 1e-6 * torch.cos(torch.arange(u.numel(), dtype=u.dtype)).view_as(u)
    up, down = (segmentation_hybrid(inner, u.detach() + s * h).sum() for s in (1, -1))
    torch.testing.assert_close((slope * h).sum(), (up - down) / 2, rtol=1e-5, atol=1e-12)


def test_targets_beyond_or_nan_stop_no_device():
    """The kernel would: values of 255 go on along the term's own line, as the other terms do."""
    p, t = members()
    far = 3.0 * t
    pixels = -(far * p.log() + (1 - far) * (1 - p).log()).flatten(1).mean(1)
    inside = -(t * p.log() + (1 - t) * (1 - p).log()).flatten(1).mean(1)
    others = segmentation_hybrid(p, t) - inside
    torch.testing.assert_close(others, 2 - ssim_padded(p, t) - iou(p, t))
    torch.testing.assert_close(segmentation_hybrid(p, far) - pixels, 2 - ssim_padded(p, far) - iou(p, far))
    broken = t.clone()
    broken[0, 0, 0, 0] = math.nan
    assert segmentation_hybrid(p, broken).isnan().tolist() == [True, *[False] * (len(p) - 1)]


def ssim_padded(p, t):
    return ssim(torch.nn.functional.pad(p, (5,) * 4), torch.nn.functional.pad(t, (5,) * 4))
