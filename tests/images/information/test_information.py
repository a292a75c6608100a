"""`iw_ssim` and `vif` equal their peers, and stay finite where there is nothing to learn."""

from __future__ import annotations

import pytest
import torch

from assay.errors import UsageError
from assay.images.information import iw_ssim, vif
from assay.images.information.laplacian_pyramid import split


@pytest.mark.parametrize("size,expected", [((163, 180), 0.991680231084023), ((200, 161), 0.9918314577298573)])
def test_iw_ssim_equals_piq(size, expected, formula_pair):
    # piq 0.8.0, information_weighted_ssim, float64; odd sides take the pyramid's other border
    x, y = formula_pair(*size)
    assert iw_ssim(x, y).item() == pytest.approx(expected, abs=1e-12)
    assert iw_ssim(x.float() * 255, y.float() * 255, data_range=255).item() == pytest.approx(
        expected, abs=1e-5
    )


def test_iw_ssim_of_images_that_are_all_but_equal_is_not_beyond_one():
    """Without a bound, the fifth of them is one rounding above 1."""
    y = torch.rand(6, 1, 161, 161, generator=torch.Generator().manual_seed(0)).double()
    x = y * (1 + 4 * torch.finfo(y.dtype).eps * torch.sign(y - 0.5))
    assert iw_ssim(x, y).max() <= 1.0


def test_vif_equals_its_peers(formula_pair):
    x, y = formula_pair(57, 70)
    # piq 0.8.0, vif_p, float64: it adds 1e-8 to the variances that it divides by
    assert vif(x, y).item() == pytest.approx(0.5430049338709632, abs=1e-9)
    # torchmetrics 1.9.0 on values of 0 to 255, and sewar 0.4.10: 1e-10 in the place of 1e-8
    assert vif(x, y, channels="each").item() == pytest.approx(0.5035326074067263, abs=1e-10)
    assert vif(x.float() * 255, y.float() * 255, data_range=255).item() == pytest.approx(
        0.54300493387, abs=1e-5
    )


def test_a_flat_image_has_one_coarse_image_and_no_detail():
    for size in ((8, 9), (7, 6)):
        coarse, detail = split(torch.full((1, *size), 3.0, dtype=torch.float64))
        assert coarse.shape[1:] == ((size[0] + 1) // 2, (size[1] + 1) // 2)
        assert (coarse - 6.0).abs().max() < 1e-12 and detail.abs().max() < 1e-12


def test_the_pyramid_is_a_convolution_of_the_mirrored_image():
    g = torch.Generator().manual_seed(0)
    taps = torch.tensor([1.0, 4, 6, 4, 1], dtype=torch.float64) / 16 * 2**0.5
    kernel = torch.outer(taps, taps)[None, None]
    for size in ((10, 13), (9, 8)):
        fine = torch.rand(1, *size, dtype=torch.float64, generator=g)
        mirrored = torch.nn.functional.pad(fine[None], (2, 2, 2, 2), mode="reflect")
        expected = torch.nn.functional.conv2d(mirrored, kernel, stride=2)[0]
        coarse, _ = split(fine)
        torch.testing.assert_close(coarse, expected)


def corners(size):
    g = torch.Generator().manual_seed(1)
    noise, one = torch.rand(1, 1, size, size, generator=g), torch.ones(1, 1, size, size)
    half = noise.clone()
    half[..., : size // 2] = 0.5
    return {
        "equal": (noise, noise.clone()),
        "black": (0 * one, 0 * one),
        "flat and equal": (0.3 * one, 0.3 * one),
        "flat": (0.3 * one, 0.7 * one),
        "flat image": (0.3 * one, noise),
        "flat target": (noise, 0.3 * one),
        "black target": (noise, 0 * one),
        "half flat": (half, noise),
        "half flat target": (noise, half),
        "negative": (1 - noise, noise),
    }


@pytest.mark.parametrize("measure,size", [(iw_ssim, 161), (vif, 48)])
def test_gradients_are_finite_everywhere(measure, size):
    for name, pair in corners(size).items():
        x, y = (z.clone().requires_grad_() for z in pair)
        value = measure(x, y)
        slopes = torch.autograd.grad(value.sum(), (x, y))
        assert value.isfinite().all(), name
        assert all(bool(s.isfinite().all()) and float(s.abs().max()) < 100 for s in slopes), name


def test_values_where_there_is_nothing_to_learn():
    pairs = corners(161)
    for name in ("black", "flat and equal"):
        assert iw_ssim(*pairs[name]).item() == pytest.approx(1.0, abs=1e-6)
        assert vif(*pairs[name]).item() == 1.0
    # both flat: the luminance term of ssim under the coarsest exponent
    luminance = (2 * 0.3 * 0.7 + 1e-4 / 256) / (0.09 + 0.49 + 1e-4 / 256)
    assert iw_ssim(*pairs["flat"]).item() == pytest.approx(luminance ** (0.1333 / 1.0001), abs=1e-4)
    assert vif(*pairs["flat target"]).item() == 1.0
    assert vif(*pairs["flat image"]).item() == pytest.approx(0.0, abs=1e-6)
    # an image's negative has negative means: no similarity, and not the absolute value's high one
    assert iw_ssim(*pairs["negative"]).item() == 0.0
    assert vif(*pairs["negative"]).item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("deviation", [1e-6, 1e-5, 1e-3])
def test_faint_targets_are_told_whole(dtype, deviation):
    """Their variances are near what counts as none; of half the contrast, a target tells a quarter of what it knows."""
    noise = torch.randn(1, 1, 48, 48, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = (0.5 + deviation * noise).to(dtype)
    assert vif(y, y.clone()).item() == pytest.approx(1.0, abs=1e-7)
    if deviation == 1e-5 and dtype == torch.float64:
        assert vif(0.25 + 0.5 * y, y).item() == pytest.approx(0.25, abs=1e-4)


@pytest.mark.parametrize("measure,size", [(iw_ssim, 161), (vif, 48)])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("side", [0, 1])
def test_a_pair_that_is_no_number_leaves_the_others_alone(measure, size, value, side):
    pairs = torch.rand(2, 2, 3, size, size, generator=torch.Generator().manual_seed(0))
    expected = measure(*pairs)[0]
    pairs[side, 1, 0, 20, 20] = value
    x = pairs[0].requires_grad_()
    found = measure(x, pairs[1])
    (slope,) = torch.autograd.grad(found[0], x)
    assert found[0].item() == pytest.approx(expected.item(), abs=1e-6) and found[1].isnan()
    assert slope[0].isfinite().all()


def test_more_contrast_is_more_than_all_the_information(formula_pair):
    _, y = formula_pair(60, 60)
    assert vif(0.5 + 1.2 * (y - 0.5), y).item() > 1.0 > vif(0.5 + 0.8 * (y - 0.5), y).item()


def test_what_is_refused():
    x = torch.rand(2, 3, 160, 170)
    with pytest.raises(UsageError, match="161 x 161"):
        iw_ssim(x, x)
    with pytest.raises(UsageError, match="41 x 41"):
        vif(x[..., :40, :], x[..., :40, :])
    with pytest.raises(UsageError, match="channels"):
        vif(x, x, channels="rgb")
    with pytest.raises(UsageError, match="channels"):
        vif(x[:, :2], x[:, :2])
    assert vif(x[:, :2], x[:, :2], channels="each").tolist() == pytest.approx([1.0, 1.0])
    with pytest.raises(UsageError, match="data_range"):
        iw_ssim.objective(data_range=0)(torch.rand(1, 1, 161, 161), torch.rand(1, 1, 161, 161))
