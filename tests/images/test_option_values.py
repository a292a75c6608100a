"""An option of the wrong kind is refused by its name, whatever was given instead."""

from __future__ import annotations

import math

import pytest
import torch

from assay.errors import DataError, UsageError
from assay.images.frequency import frequency_distance, radial_spectrum_error, sobolev_distance
from assay.images.gradients import haarpsi, multi_scale_gmsd
from assay.images.pixel import hsv_distance, psnr
from assay.images.prediction import linear_prediction_distance
from assay.images.rays import s3im
from assay.images.structure import ms_ssim, ssim

IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("value", ["no", None, (1.0,), [], {}, True, math.nan, -1.5], ids=repr)
@pytest.mark.parametrize(
    "measure,option",
    [
        (frequency_distance, "alpha"),
        (frequency_distance, "patch_factor"),
        (radial_spectrum_error, "floor"),
        (linear_prediction_distance, "decay"),
        (linear_prediction_distance, "ridge"),
        (linear_prediction_distance, "neighbours"),
        (psnr, "ceiling"),
        (psnr, "data_range"),
    ],
    ids=lambda each: each if isinstance(each, str) else each.name,
)
def test_a_number_is_asked_for(measure, option, value):
    with pytest.raises(UsageError, match=f"^{option}: expected"):
        measure(IMAGES, IMAGES, **{option: value})


@pytest.mark.parametrize("value", ["no", None, True, math.nan, math.inf], ids=repr)
def test_an_order_is_a_number(value):
    with pytest.raises(UsageError, match=r"^order: expected"):
        sobolev_distance(IMAGES, IMAGES, order=value)


@pytest.mark.parametrize("value", [2.5, "ab", (1.0,), (1.0, "b"), (1.0, True), (1.0, -2.0)], ids=repr)
def test_lengths_are_two_numbers(value):
    with pytest.raises(UsageError, match=r"^lengths: expected"):
        sobolev_distance(IMAGES, IMAGES, lengths=value)


@pytest.mark.parametrize("value", [0.5, "x", ("a",), (math.inf,), (math.nan,), (True,), ()], ids=repr)
def test_exponents_are_finite_numbers(value):
    with pytest.raises(UsageError, match=r"^exponents: expected"):
        ms_ssim(IMAGES, IMAGES, exponents=value)


@pytest.mark.parametrize("value", ["no", None, 1, 0.5], ids=repr)
def test_a_word_is_neither_true_nor_false(value):
    for measure, option in (
        (haarpsi, "subsample"),
        (multi_scale_gmsd, "chromatic"),
        (frequency_distance, "log_matrix"),
        (sobolev_distance, "homogeneous"),
    ):
        with pytest.raises(UsageError, match=f"^{option}: expected True or False"):
            measure(IMAGES, IMAGES, **{option: value})


@pytest.mark.parametrize("value", ["wang", None, [1], {}], ids=repr)
def test_a_convention_is_one_of_the_list(value):
    for measure in (ssim, ms_ssim):
        with pytest.raises(UsageError, match=r"^convention: expected one of"):
            measure(IMAGES, IMAGES, convention=value)


@pytest.mark.parametrize("value", [-1.0, 0.0, math.nan, True, "1"], ids=repr)
def test_an_estimate_blames_the_range_and_not_the_images(value):
    with pytest.raises(UsageError, match=r"^data_range: expected"):
        psnr.estimate(IMAGES, IMAGES, data_range=value)


def test_images_above_the_range_are_told_of_a_range_that_holds_them():
    with pytest.raises(DataError, match="data_range=255 for 8-bit"):
        psnr.estimate(IMAGES * 200, IMAGES)
    with pytest.raises(DataError, match="data_range=65535 for 16-bit"):
        psnr.estimate(IMAGES * 60000, IMAGES, data_range=255)


def test_only_a_grey_image_is_told_to_be_repeated():
    with pytest.raises(UsageError, match="got 1; repeat"):
        hsv_distance(IMAGES[:, :1], IMAGES[:, :1])
    five = torch.rand(1, 5, 8, 8)
    with pytest.raises(UsageError, match="got 5; choose three"):
        hsv_distance(five, five)


@pytest.mark.parametrize("option", ["kernel", "stride", "repeats", "patch_height"])
@pytest.mark.parametrize("value", [0, -1, 2.5, True, "4"], ids=repr)
def test_sizes_of_the_layout_are_whole_numbers(option, value):
    rays = torch.rand(64, 3)
    with pytest.raises(UsageError, match=f"^{option}: expected a whole number"):
        s3im(rays, rays, **{option: value})
