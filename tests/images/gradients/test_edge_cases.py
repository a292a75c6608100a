"""Equal, constant and black images have the stated values and finite gradients; what does not fit is refused."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.errors import DataError, UsageError
from assay.images.gradients import (
    fsim,
    fsim_c,
    gmsd,
    gradient_magnitude_similarity,
    haarpsi,
    mdsi,
    multi_scale_gmsd,
    vsi,
)
from assay.images.gradients.phase_congruency import phase_congruency
from assay.images.gradients.saliency import salience

ALL = {
    "gmsm": gradient_magnitude_similarity,
    "gmsd": gmsd,
    "ms-gmsd": multi_scale_gmsd,
    "ms-gmsdc": multi_scale_gmsd.with_options(chromatic=True),
    "fsim": fsim,
    "fsim_c": fsim_c,
    "haarpsi": haarpsi,
    "mdsi": mdsi,
    "mdsi, mult": mdsi.with_options(combination="mult"),
    "vsi": vsi,
}
KINDS = ["equal", "constant", "black", "black and white", "grey levels", "half black"]


def images(kind, dtype):
    g = torch.Generator().manual_seed(0)
    some = torch.rand(2, 3, 24, 26, generator=g, dtype=torch.float64).to(dtype)
    flat = torch.full_like(some, 0.3)
    half = some.clone()
    half[..., 12:] = 0
    return {
        "equal": (some, some),
        "constant": (flat, flat),
        "black": (0 * some, 0 * some),
        "black and white": (0 * some, 0 * some + 1),
        "grey levels": (some[:, :1].expand(-1, 3, -1, -1), some[:, 1:2].expand(-1, 3, -1, -1)),
        "half black": (half, half.flip(3)),
    }[kind]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ALL)
def test_values_and_gradients_are_finite(name, kind, dtype):
    x, y = (z.clone().requires_grad_() for z in images(kind, dtype))
    values = ALL[name](x, y)
    gradients = torch.autograd.grad(values.sum(), (x, y))
    assert values.isfinite().all() and all(g.isfinite().all() for g in gradients)
    if kind in ("equal", "constant", "black"):
        best = 1.0 if ALL[name].best == "max" else 0.0
        assert values.tolist() == pytest.approx([best] * 2, abs=1e-5 if dtype == torch.float32 else 1e-9)
        # a best value is a maximum or a minimum, or a corner whose gradient counts as 0; but for rounding
        assert max(float(g.abs().max()) for g in gradients) < (1e-2 if dtype == torch.float32 else 1e-6)


@pytest.mark.parametrize("name", ["fsim", "fsim_c", "vsi"])
def test_constant_images_of_different_brightness_are_not_equal(name):
    """Nothing in them has a weight; the plain mean still sees the border, where they meet the zeros outside."""
    dark, bright = torch.full((1, 3, 32, 32), 0.2), torch.full((1, 3, 32, 32), 0.9)
    assert 0.5 < float(ALL[name](dark, bright)) < 0.999


def test_a_constant_image_has_neither_phase_congruency_nor_saliency():
    flat = torch.full((1, 3, 40, 41), 0.37)
    assert float(phase_congruency(flat[:, :1], 1.0).abs().max()) < 1e-6
    assert float(salience(flat).abs().max()) < 1e-2


@pytest.mark.parametrize("name", ["fsim", "fsim_c", "haarpsi", "vsi"])
def test_gradients_equal_central_differences_of_small_steps(name):
    """Steps of 1e-8: larger ones cross kinks, and the thousandth of the colours by which saliency tells the coldest."""
    g = torch.Generator().manual_seed(4)
    y = torch.rand(1, 3, 24, 24, generator=g, dtype=torch.float64)
    x = (0.7 * y + 0.3 * torch.rand(y.shape, generator=g, dtype=torch.float64)).requires_grad_()
    (gradient,) = torch.autograd.grad(ALL[name](x, y).sum(), x)
    move = torch.randn(y.shape, generator=g, dtype=torch.float64)
    with torch.no_grad():
        up, down = (float(ALL[name](x + sign * 1e-8 * move, y)) for sign in (1, -1))
    slope = float((gradient * move).sum())
    assert (up - down) / 2e-8 == pytest.approx(slope, abs=1e-5 + 1e-5 * abs(slope))


@pytest.mark.parametrize("name", ["fsim", "fsim_c", "vsi"])
def test_a_second_derivative_is_refused(name):
    x, y = (z.clone().requires_grad_() for z in images("half black", torch.float64))
    (gradient,) = torch.autograd.grad(ALL[name](x, y).sum(), x, create_graph=True)
    with pytest.raises(UsageError, match="no second derivative"):
        torch.autograd.grad(gradient.square().sum(), x)


@pytest.mark.parametrize("name", ALL)
def test_the_range_is_only_a_unit(name):
    g = torch.Generator().manual_seed(1)
    x, y = torch.rand(2, 2, 3, 24, 26, generator=g, dtype=torch.float64)
    scaled = ALL[name](255 * x, 255 * y, data_range=255)
    assert torch.allclose(scaled, ALL[name](x, y), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["gmsm", "gmsd", "ms-gmsd", "fsim", "fsim_c", "haarpsi", "mdsi", "vsi"])
def test_grey_images_count_as_three_equal_channels(name):
    """But for HaarPSI, which has a third term for colours: a perfect one."""
    g = torch.Generator().manual_seed(2)
    x, y = torch.rand(2, 2, 1, 24, 26, generator=g, dtype=torch.float64)
    in_colour = ALL[name](x.expand(-1, 3, -1, -1), y.expand(-1, 3, -1, -1))
    if name == "haarpsi":
        assert (in_colour > ALL[name](x, y)).all()
    else:
        assert torch.allclose(in_colour, ALL[name](x, y), rtol=0, atol=2e-4)


@pytest.mark.parametrize("name", ALL)
def test_a_large_batch_is_worked_in_parts_with_the_same_gradient(name):
    """64 x 64 in double precision: ten pairs a part."""
    g = torch.Generator().manual_seed(3)
    x, y = torch.rand(2, 12, 3, 64, 64, generator=g, dtype=torch.float64)
    x.requires_grad_()
    values = ALL[name](x, y)
    (whole,) = torch.autograd.grad((values * torch.arange(1, 13)).sum(), x)
    (last,) = torch.autograd.grad(12 * ALL[name](x[11:], y[11:]).sum(), x)
    assert torch.allclose(whole[11], last[11], rtol=1e-9, atol=1e-12)


def test_more_damage_is_worse(photographs):
    _, whole = photographs(64, 64)
    noise = torch.randn(whole.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    steps = [(whole + size * noise).clamp(0, 1) for size in (0.02, 0.06, 0.15)]
    for measure in ALL.values():
        values = torch.stack([measure(step, whole) for step in steps]).diff(dim=0)
        assert ((values < 0) if measure.best == "max" else (values > 0)).all(), measure.name


def test_mdsi_tells_lost_edges_from_gained_ones():
    g = torch.Generator().manual_seed(6)
    x, y = torch.rand(2, 1, 3, 24, 24, generator=g, dtype=torch.float64)
    assert abs(float(mdsi(x, 0.5 * y) - mdsi(0.5 * y, x))) > 1e-3


def test_mdsi_of_nearly_equal_images_is_not_rounding():
    """A difference of 1e-6 in single precision, magnified by two fourth roots, is still that of double precision."""
    g = torch.Generator().manual_seed(7)
    y = torch.rand(1, 3, 32, 32, generator=g)
    x = y + 1e-4 * torch.rand(y.shape, generator=g)
    assert float(mdsi(x, y)) == pytest.approx(float(mdsi(x.double(), y.double())), rel=2e-3)


@settings(max_examples=10, deadline=None)
@given(st.integers(17, 40), st.integers(17, 40), st.integers(0, 2**31))
def test_turning_both_images_around_changes_little_and_swapping_nothing(height, width, seed):
    g = torch.Generator().manual_seed(seed)
    x, y = torch.rand(2, 1, 3, height, width, generator=g, dtype=torch.float64)
    for measure in (gradient_magnitude_similarity, gmsd, multi_scale_gmsd, haarpsi, fsim_c):
        assert torch.allclose(measure(x, y), measure(y, x), rtol=0, atol=1e-12)
    even = height - height % 2, width - width % 2
    x, y = (z[..., : even[0], : even[1]] for z in (x, y))
    assert torch.allclose(gmsd(x.flip(3), y.flip(3)), gmsd(x, y), rtol=0, atol=1e-12)
    assert torch.allclose(gmsd(x.mT, y.mT), gmsd(x, y), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_other_numbers_of_channels_are_refused_with_a_way_out(name):
    with pytest.raises(UsageError, match=r"x: expected images of .* got 4; .*"):
        ALL[name](torch.rand(1, 4, 32, 32), torch.rand(1, 4, 32, 32))


def test_colour_needs_three_channels():
    with pytest.raises(UsageError, match=r"3 channels \(RGB\), got 1; repeat a grey image"):
        multi_scale_gmsd(torch.rand(1, 1, 32, 32), torch.rand(1, 1, 32, 32), chromatic=True)


@pytest.mark.parametrize(
    "name,side",
    [("gmsm", 5), ("gmsd", 5), ("ms-gmsd", 17), ("fsim", 12), ("haarpsi", 16), ("mdsi", 3), ("vsi", 3)],
)
def test_images_that_are_too_small_are_refused(name, side):
    g = torch.Generator().manual_seed(8)
    fitting = torch.rand(2, 1, 3, side, 40, generator=g)
    assert ALL[name](*fitting).isfinite().all()
    with pytest.raises(
        UsageError, match=rf"x: images of {side - 1} x 40 are too small: .* {side} pixels a side"
    ):
        ALL[name](*fitting[..., 1:, :])
    with pytest.raises(UsageError, match="too small"):
        ALL[name].objective()(*fitting[..., 1:, :])


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("data_range", [0, -1.0, float("nan"), "255"])
def test_a_range_that_is_none_is_refused(name, data_range):
    with pytest.raises(UsageError, match="data_range"):
        ALL[name](torch.rand(1, 3, 24, 24), torch.rand(1, 3, 24, 24), data_range=data_range)


def test_values_outside_the_range_are_refused_in_an_estimate():
    with pytest.raises(DataError, match="data_range"):
        gmsd.estimate(torch.rand(4, 3, 24, 24) * 255, torch.rand(4, 3, 24, 24))


@pytest.mark.parametrize("weights", [(), (0.0, 0.0), (-1.0, 2.0), [0.5, 0.5], (float("nan"),)])
def test_scale_weights_that_are_none_are_refused(weights):
    with pytest.raises(UsageError, match="scale_weights"):
        multi_scale_gmsd(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32), scale_weights=weights)


def test_an_unknown_combination_is_refused():
    with pytest.raises(UsageError, match='combination: expected "sum" or "mult", got \'product\''):
        mdsi(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32), combination="product")
