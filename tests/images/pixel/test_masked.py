"""Errors within holes: plain sums over the mask, the overlap's band, confidence passed inwards."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_erosion, convolve1d
from scipy.stats import norm

from assay.errors import UsageError
from assay.images.pixel import confidence_weighted_l1, masked_reconstruction, mean_squared_error
from assay.images.pixel.confidence import hole_confidence

BOTH = [masked_reconstruction, confidence_weighted_l1]


@pytest.fixture
def hole():
    g = torch.Generator().manual_seed(2)
    x, y = torch.rand(2, 2, 3, 40, 44, dtype=torch.float64, generator=g)
    mask = torch.zeros(2, 1, 40, 44, dtype=torch.bool)
    mask[0, :, 8:30, 10:32] = True
    mask[1, :, 3:20, :25] = True
    return x, y, mask


def test_it_is_the_mean_over_the_hole(hole):
    x, y, mask = hole
    inside = mask.expand_as(x)
    for order in (1, 2):
        plain = [(a - b).abs()[m].pow(order).mean() for a, b, m in zip(x, y, inside, strict=True)]
        assert torch.allclose(masked_reconstruction(x, y, mask, order=order), torch.stack(plain), rtol=1e-12)
    full = torch.ones_like(mask)
    assert torch.allclose(masked_reconstruction(x, y, full), mean_squared_error(x, y), rtol=1e-12)
    assert torch.equal(masked_reconstruction(x, y, inside), masked_reconstruction(x, y, mask))


def test_an_error_that_is_alike_everywhere_depends_on_no_mask(hole):
    x, _, mask = hole
    assert torch.allclose(masked_reconstruction(x, x + 0.3, mask), torch.full((2,), 0.09).double(), rtol=1e-9)


def test_the_overlap_is_the_inner_rim_of_the_hole(hole):
    x, y, mask = hole
    expected = []
    for a, b, m in zip(x, y, mask[:, 0], strict=True):
        inner = binary_erosion(m.numpy(), np.ones((7, 7)), border_value=1)
        weight = np.where(inner, 1.0, 10.0) * m.numpy()
        expected.append((weight * ((a - b) ** 2).numpy()).sum() / (3 * m.sum().item()))
    assert np.allclose(masked_reconstruction(x, y, mask, overlap=3), expected, rtol=1e-12)


def test_context_encoders_square():
    # 128 x 128 with the middle 64 x 64 predicted and an overlap of 7: weight 10 but on the inner 50 x 50
    mask = torch.zeros(1, 1, 128, 128)
    mask[..., 32:96, 32:96] = 1
    x, y = torch.ones(1, 3, 128, 128), torch.zeros(1, 3, 128, 128)
    expected = (50**2 + 10 * (64**2 - 50**2)) / 64**2
    assert float(masked_reconstruction(x, y, mask, overlap=7)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("measure", BOTH)
def test_an_empty_mask_is_zero_and_nothing_outside_of_a_mask_is_touched(measure, hole):
    x, y, mask = hole
    mask = mask.clone()
    mask[0] = False
    x = x.clone().requires_grad_()
    value = measure(x, y, mask)
    (slope,) = torch.autograd.grad(value.sum(), x)
    first, second = value.detach().tolist()
    assert first == 0.0 < second
    assert bool((slope[~mask.expand_as(x)] == 0).all()) and bool(slope.isfinite().all())
    assert bool((slope[mask.expand_as(x)] != 0).all())


def slow_confidence(mask, window, deviation, passes):
    """The published recursion, each axis by scipy; "mirror" is a border that does not repeat its outermost pixel."""
    at = np.arange(window) - window // 2
    taps = np.exp(-(at**2) / (2 * deviation**2))
    taps /= taps.sum()
    known, found = 1 - mask, 0 * mask
    for _ in range(passes):
        blurred = convolve1d(
            convolve1d(known + found, taps, axis=0, mode="mirror"), taps, axis=1, mode="mirror"
        )
        found = blurred * mask
    return found


@pytest.mark.parametrize("window,deviation,passes", [(65, 40.0, 7), (9, 2.0, 3), (65, 5.0, 1)])
def test_confidence_is_the_published_recursion(hole, window, deviation, passes):
    x, y, mask = hole
    m = mask[:, 0].double().numpy()
    slow = np.stack([slow_confidence(one, window, deviation, passes) for one in m])
    fast = hole_confidence(mask.double(), window=window, deviation=deviation, passes=passes)
    assert np.allclose(fast[:, 0], slow, atol=1e-12)
    expected = (slow * (x - y).abs().numpy().sum(1)).sum((1, 2)) / (3 * m.sum((1, 2)))
    value = confidence_weighted_l1(x, y, mask, window=window, deviation=deviation, passes=passes)
    assert np.allclose(value, expected, rtol=1e-10)


def test_the_published_kernel_is_flat():
    # the kernel of the authors' code: square roots of a normal's mass in 65 bins within +-1/40 of its deviation
    bins = 0.025 + 1.05 / 65 / 2
    code = np.sqrt(np.diff(norm.cdf(np.linspace(-bins, bins, 66))))
    assert code.max() / code.min() - 1 < 3e-4
    mask = torch.zeros(1, 1, 80, 80, dtype=torch.float64)
    mask[..., 15:60, 20:70] = 1
    code /= code.sum()
    found = np.zeros((80, 80))
    m = mask[0, 0].numpy()
    for _ in range(7):
        found = m * convolve1d(
            convolve1d(1 - m + found, code, axis=0, mode="mirror"), code, axis=1, mode="mirror"
        )
    assert np.allclose(hole_confidence(mask, deviation=1e4)[0, 0], found, atol=1e-3)


def test_confidence_falls_towards_the_middle():
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 12:52, 12:52] = 1
    confidence = hole_confidence(mask, window=33, deviation=8.0)[0, 0]
    assert bool((confidence[mask[0, 0] == 0] == 0).all())
    assert bool((confidence[32, 12:32].diff() < 0).all())
    assert bool((confidence >= 0).all()) and bool((confidence <= 1).all())
    assert (
        float(confidence_weighted_l1(torch.ones(1, 3, 9, 9), torch.zeros(1, 3, 9, 9), torch.ones(1, 1, 9, 9)))
        == 0
    )


@pytest.mark.parametrize(
    "measure,options,said",
    [
        (masked_reconstruction, {"order": 3}, "order"),
        (masked_reconstruction, {"overlap": -1}, "overlap"),
        (masked_reconstruction, {"overlap": 1.5}, "overlap"),
        (masked_reconstruction, {"overlap_weight": -1.0}, "overlap_weight"),
        (masked_reconstruction, {"overlap_weight": True}, "overlap_weight: expected a number"),
        (confidence_weighted_l1, {"deviation": True}, "deviation: expected a number"),
        (confidence_weighted_l1, {"window": 64}, "window: expected an odd number"),
        (confidence_weighted_l1, {"passes": 0}, "passes"),
        (confidence_weighted_l1, {"deviation": 0.0}, "deviation"),
    ],
)
def test_wrong_options(hole, measure, options, said):
    with pytest.raises(UsageError, match=said):
        measure(*hole, **options)
