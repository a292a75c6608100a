"""Each measure equals the definition of its authors' program, and piq where piq follows it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

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

MEASURES = {
    "gmsm": (gradient_magnitude_similarity, lambda p, x, y: np.mean(p.gms(x, y))),
    "gmsd": (gmsd, lambda p, x, y: np.std(p.gms(x, y))),
    "ms-gmsd": (multi_scale_gmsd, lambda p, x, y: p.multi_scale_gmsd(x, y)),
    "fsim": (fsim, lambda p, x, y: p.fsim(x, y)),
    "haarpsi": (haarpsi, lambda p, x, y: p.haarpsi(x, y)),
    "haarpsi, full size": (haarpsi.with_options(subsample=False), lambda p, x, y: p.haarpsi(x, y, False)),
}
IN_COLOUR = {
    **MEASURES,
    "ms-gmsdc": (
        multi_scale_gmsd.with_options(chromatic=True),
        lambda p, x, y: p.multi_scale_gmsd(x, y, chromatic=True),
    ),
    "ms-gmsd, three scales": (
        multi_scale_gmsd.with_options(scale_weights=(0.5, 0.25, 0.25)),
        lambda p, x, y: p.multi_scale_gmsd(x, y, (0.5, 0.25, 0.25)),
    ),
    "fsim_c": (fsim_c, lambda p, x, y: p.fsim(x, y, colour=True)),
    "mdsi": (mdsi, lambda p, x, y: p.mdsi(x, y)),
    "mdsi, mult": (mdsi.with_options(combination="mult"), lambda p, x, y: p.mdsi(x, y, "mult")),
    "vsi": (vsi, lambda p, x, y: p.vsi(x, y)),
}


def in_255(images):
    return (images.permute(0, 2, 3, 1) * 255).numpy()


@pytest.mark.parametrize(
    "name,size",
    [(name, size) for name in IN_COLOUR for size in ((40, 51), (97, 64))]
    + [(name, (390, 384)) for name in ("fsim_c", "mdsi", "vsi")],
)
def test_it_equals_the_authors_definition(published, photographs, name, size):
    """Even and odd sides, and a size that three of them halve first. 1e-8 for flat places and roots next to zero; 1e-6
    for vsi, where the authors' program rounds the constants of L*a*b*."""
    measure, definition = IN_COLOUR[name]
    x, y = photographs(*size)
    expected = [definition(published, *pair) for pair in zip(in_255(x), in_255(y), strict=True)]
    assert measure(x, y).tolist() == pytest.approx(expected, abs=1e-6 if name == "vsi" else 1e-8)


@pytest.mark.parametrize("name", MEASURES)
def test_grey_images_are_taken_as_they_are(published, photographs, name):
    measure, definition = MEASURES[name]
    x, y = (images[:, :1] for images in photographs(33, 40))
    expected = [
        definition(published, *pair) for pair in zip(in_255(x)[..., 0], in_255(y)[..., 0], strict=True)
    ]
    assert measure(x, y).tolist() == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("factor", [3, 4, 5])
def test_larger_images_are_averaged_from_the_pixel_that_the_authors_begin_with(published, factor):
    from assay.images.gradients.shrink import shrunk

    image = torch.rand(1, 1, 23, 31, dtype=torch.float64, generator=torch.Generator().manual_seed(factor))
    expected = torch.tensor(published.averaged(image[0, 0].numpy(), factor))
    assert torch.allclose(shrunk(image, factor)[0, 0], expected, atol=1e-12)


def test_half_way_between_two_factors_the_larger_one_counts():
    from assay.images.gradients.shrink import factor_to_256

    sides = {10: 1, 128: 1, 383: 1, 384: 2, 639: 2, 640: 3, 896: 4}
    assert {side: factor_to_256(torch.empty(1, 1, side, 2000)) for side in sides} == sides


def test_saliency_rises_within_a_thousandth_of_the_coldest_colour(published):
    """Anywhere else warmth counts wholly, whatever the thousandth is."""
    from assay.images.gradients.saliency import salience

    warmth = 0.5 + 0.5 * torch.rand(256, 256, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    warmth[100, 100], warmth[120, 130] = 0.0, 7e-4
    cold, warm = (
        torch.tensor(c, dtype=torch.float64)[:, None, None] for c in ([0.4, 0.6, 0.7], [0.8, 0.5, 0.5])
    )
    image = cold + warmth * (warm - cold)
    found, expected = salience(image[None])[0, 0], published.salience(255 * image.permute(1, 2, 0).numpy())
    assert expected[120, 130] > 0.05 and np.abs(found.numpy() - expected).max() < 1e-5


def test_a_hundredth_of_a_lab_unit_is_seen_as_in_the_definition(published):
    from assay.images.gradients.lab import lab_under_d50
    from assay.images.gradients.saliency import salience

    at = torch.arange(256, dtype=torch.float64)
    waves = [torch.sin(at[:, None] / (6 + k)) * torch.cos(at / (8 - k)) for k in range(3)]
    image = 0.5 + 1e-4 * torch.stack(waves)
    a, b = lab_under_d50(image[None])[0, 1:].flatten(1)
    assert 0.01 < a.max() - a.min() < 0.1 and 0.01 < b.max() - b.min() < 0.1
    found, expected = salience(image[None])[0, 0], published.salience(255 * image.permute(1, 2, 0).numpy())
    assert np.abs(found.numpy() - expected).max() < 1e-5


# piq 0.8.0 in float64, reduction="none", on the images of `checked`: side, values, tolerance
PIQ = {
    "gmsd": (48, [0.0028182608662021625, 0.007675624370588048], 1e-09),
    "ms-gmsd": (48, [0.027761795358057496, 0.05324779533615557], 1e-09),
    "ms-gmsdc": (48, [0.01934463006619041, 0.040743663963858444], 1e-09),
    "fsim": (48, [0.9161634145189278, 0.7335209922336967], 1e-04),
    "fsim_c": (48, [0.9075904006875735, 0.7167267870347901], 8e-05),
    "haarpsi": (48, [0.9458478178232742, 0.8844699288157014], 1e-05),
    "haarpsi, full size": (48, [0.7679786750082915, 0.5680415546924141], 1e-04),
    "mdsi": (48, [0.3068384061715909, 0.38842097591886904], 1e-09),
    "mdsi, mult": (48, [0.23813576335291986, 0.3018396902477171], 1e-09),
    "vsi": (256, [0.9667831930941295, 0.8759840334396792], 2e-07),
}


def checked(side):
    """Two pairs from a formula, so that anybody has the same: waves, and a ramp, with ripples over them."""
    at = torch.arange(side, dtype=torch.float64)
    down, across = at[:, None], at[None, :]
    phase = torch.tensor([0.0, 0.7, 1.9], dtype=torch.float64)[:, None, None]
    waves = 0.5 + 0.4 * torch.sin(0.35 * down + phase) * torch.cos(0.22 * across - phase)
    ramp = (down + 2 * across) / (3 * side) * (0.6 + 0.15 * torch.cos(phase + 0 * down))
    y = torch.stack([waves, ramp])
    ripples = 0.08 * torch.sin(1.3 * down + 0.9 * across + 2 * phase)
    return (y + ripples).clamp(0, 1), y


@pytest.mark.parametrize("name", PIQ)
def test_it_equals_piq(name):
    """To 1e-9, or to what the smaller differences described in the documentation make of these images."""
    measure = IN_COLOUR[name][0]
    side, expected, tolerance = PIQ[name]
    assert measure(*checked(side)).tolist() == pytest.approx(expected, abs=tolerance)
