"""Names as people spell them, and as other packages call things, lead to the measure that is meant."""

from __future__ import annotations

import pytest

import assay
from assay.checks import nearest_name
from assay.errors import UsageError
from assay.measure_by_name import ELSEWHERE, measures_by_name, usual_name


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("SSIM", "ssim"),
        ("MS-SSIM", "ms_ssim"),
        ("MsSsim", "ms_ssim"),
        ("ssimm", "ssim"),
        ("HaarPSI", "haarpsi"),
    ],
)
def test_a_spelling_finds_the_name(said, meant):
    assert nearest_name(said, assay.images.__all__) == f" (did you mean {meant!r}?)"


def test_names_with_little_in_common_are_no_suggestion():
    # half of the letters is not a spelling mistake: psnr is not sinkhorn, lpips not is
    for name in ("psnr", "lpips", "dice"):
        assert nearest_name(name, ["fd", "is", "vendi_score", "sinkhorn"]) == ""


def test_the_first_of_two_names_that_are_spelled_alike_is_meant():
    assert nearest_name("F-D", ["fd", "FD"]) == " (did you mean 'fd'?)"


def test_every_name_from_elsewhere_is_one_of_a_measure_here():
    for plain, name in ELSEWHERE.items():
        found = getattr(assay.images, name, None) or getattr(assay.sets, name)
        assert found.name == name, plain
    assert usual_name("StructuralSimilarityIndexMeasure") == "ssim"
    assert usual_name("learned_perceptual_image_patch_similarity") == "lpips"
    assert usual_name("haarpsi") == "haarpsi"


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ("FID", "did you mean 'frechet_distance'"),
        ("kernel_inception_distance", "did you mean 'kernel_distance'"),
        ("SSIM", r"ssim gives each image a value .* assay\.images\.ssim\(x, y\) or the command assay score"),
        ("PeakSignalNoiseRatio", r"use assay\.images\.psnr\(x, y\)"),
        ("dice", r"use assay\.images\.dice\(prediction, target\); known are"),
    ],
)
def test_a_measure_of_pairs_asked_of_sets_says_where_it_is(said, match):
    with pytest.raises(UsageError, match=match):
        measures_by_name(said)
