"""Pictures of maps: colours where they belong, and maps of a comparison's rows beside their nearest real images."""

from __future__ import annotations

import io
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import assay
from assay.attribution import legend_png, maps_for, overlay_png, sample_influence
from assay.attribution.pictures import BETTER, WORSE
from assay.comparing.compared_sets import ComparedSet
from assay.comparison import Comparison
from assay.data import array_images
from assay.errors import UsageError
from assay.explanation import Explanation, Nearest
from assay.features.own_callable import extractor_of

PIL = pytest.importorskip("PIL.Image")


def opened(png):
    assert png.startswith(b"\x89PNG\r\n")
    return np.asarray(PIL.open(io.BytesIO(png)).convert("RGB")).astype(float)


def nearer(colour, one, other):
    return np.abs(colour - np.array(one)).sum() < np.abs(colour - np.array(other)).sum()


def test_orange_above_zero_blue_below_grey_at_zero():
    pixels = np.full((40, 60, 3), 128, np.uint8)
    picture = opened(overlay_png(pixels, np.array([[1.0, 0.0, -1.0]])))
    assert picture.shape == (171, 256, 3)
    assert nearer(picture[85, 4], WORSE, BETTER) and nearer(picture[85, 251], BETTER, WORSE)
    assert np.ptp(picture[85, 128]) < 24  # nearly grey
    half = opened(overlay_png(pixels, np.array([[1.0, 0.0, -1.0]]), limit=4.0))
    assert np.ptp(half[85, 4]) < np.ptp(picture[85, 4])
    legend = opened(legend_png(100, 8))
    assert legend.shape == (8, 100, 3)
    assert nearer(legend[4, 0], BETTER, WORSE) and nearer(legend[4, 99], WORSE, BETTER)


def test_the_map_lies_in_its_box_and_the_rest_is_faint():
    pixels = np.zeros((64, 64, 3), np.uint8)
    picture = opened(overlay_png(pixels, np.ones((2, 2)), box=(16, 16, 32, 32)))
    assert np.ptp(picture[10, 10]) == 0 and 120 < picture[10, 10, 0] < 160
    assert nearer(picture[128, 128], WORSE, BETTER)
    flat = opened(overlay_png(pixels, np.zeros((2, 2))))
    assert np.ptp(flat) == 0


@pytest.mark.parametrize(
    "change,words",
    [
        ({"pixels": np.zeros((4, 4), np.uint8)}, r"pixels: expected uint8 \(H, W, 3\)"),
        ({"values": np.array([[np.nan]])}, "values: expected finite numbers"),
        ({"limit": 0.0}, "limit: expected a number above zero"),
        ({"box": (0, 0, 5, 9)}, "box: expected .* within 8 x 8"),
    ],
)
def test_wrong_pictures_are_one_sentence(change, words):
    given = {"pixels": np.zeros((8, 8, 3), np.uint8), "values": np.zeros((2, 2)), **change}
    with pytest.raises(UsageError, match=words):
        overlay_png(given.pop("pixels"), given.pop("values"), **given)


def study(network, n=14, size=None, shape=(20, 20), of=(20, 20)):
    """A comparison with its sets, the images behind them, and the extractor."""
    rng = np.random.default_rng(0)
    sets = {
        "real": rng.integers(0, 256, (n, *shape, 3), dtype=np.uint8),
        "late": rng.integers(0, 200, (n, *of, 3), dtype=np.uint8),
    }
    extractor = extractor_of(network, name="small", size=size)
    kept, sources = [], {}
    for name, images in sets.items():
        sources[name] = array_images(images)
        x = torch.from_numpy(np.stack([extractor.transform(image) for image in images]))
        found = extractor.forward(x).features
        # the first image could not be read: row k is item k + 1
        kept.append(ComparedSet(name, name, found[1:], n, "images", positions=torch.arange(1, n)))
    settings = {"fingerprint": extractor.fingerprint, "features": "small"}
    found = Comparison((), (), (), (), (), settings, sets=tuple(kept))
    explanation = Explanation("fd[small]", "frechet_distance", "late", "lower is better", None, None, "")
    return SimpleNamespace(
        found=found, explanation=explanation, extractor=extractor, images=sources, kept=kept
    )


def test_maps_of_rows_are_of_their_images_and_nearest_real_ones(pooled):
    s = study(pooled)
    drawn = maps_for(s.found, s.explanation, [3, 0], s.extractor, s.images)
    assert list(drawn) == [("late", 3), ("late", 0)]
    real, late = s.kept
    phi = sample_influence(assay.frechet_distance, real.features, late.features)
    distance = torch.cdist(late.features, real.features)
    for (_, row), one in drawn.items():
        assert one.baseline == int(distance[row].argmin())
        expected = phi(torch.stack([late.features[row], real.features[one.baseline]]))
        assert one.influence == pytest.approx(float(expected[0]), rel=1e-4)
        assert one.of_baseline == pytest.approx(float(expected[1]), rel=1e-4)
        assert opened(one.png).shape == (256, 256, 3)
        assert f"{one.influence:+.3g}" in one.says and "nearest image of real" in one.says
    given = replace(
        s.explanation, nearest=Nearest(np.full(13, 5), np.zeros(13, np.float32), np.zeros(13, bool))
    )
    assert maps_for(s.found, given, [3], s.extractor, s.images)["late", 3].baseline == 5
    assert maps_for(s.found, s.explanation, [], s.extractor, s.images) == {}


def test_maps_of_real_rows_and_of_pixels(pooled):
    s = study(pooled)
    one = maps_for(s.found, s.explanation, [2], s.extractor, s.images, of="real")["real", 2]
    real, late = s.kept
    influence = assay.frechet_distance.influence(real.features, late.features, of="x")
    assert one.influence == pytest.approx(float(influence[2]), rel=1e-3)
    assert "nearest image of late" in one.says
    kernel = replace(s.explanation, name="kd[small]", measure="kernel_distance")
    by_pixels = maps_for(s.found, kernel, [4], s.extractor, s.images, kind="pixels")["late", 4]
    expected = assay.kernel_distance.influence(real.features.double(), late.features.double(), of="y")
    assert by_pixels.influence == pytest.approx(float(expected[4]), rel=1e-3)


def test_without_a_map_before_the_pool_pixels_are_taken_and_grey_where_proportions_differ(pooled):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(pooled, nn.Linear(6, 4)).eval()
    s = study(network, size=20, of=(24, 24))
    one = maps_for(s.found, s.explanation, [1], s.extractor, s.images)["late", 1]
    assert one.baseline is not None  # resized: the proportions are the same
    with pytest.raises(UsageError, match="small has no map that is averaged to its features"):
        maps_for(s.found, s.explanation, [1], s.extractor, s.images, kind="pooled")
    s = study(network, size=20, of=(20, 30))
    one = maps_for(s.found, s.explanation, [1], s.extractor, s.images)["late", 1]
    assert one.baseline is None and "a grey image" in one.says
    assert opened(one.png).shape == (171, 256, 3)


def test_wrong_use_is_one_sentence(pooled):
    s = study(pooled)
    with pytest.raises(UsageError, match="rows: late has rows 0 to 12, got 13"):
        maps_for(s.found, s.explanation, [13], s.extractor, s.images)
    with pytest.raises(UsageError, match="images: expected those of 'real', got 'late'"):
        maps_for(s.found, s.explanation, [1], s.extractor, {"late": s.images["late"]})
    optional = replace(s.explanation, name="kd(biased=True)[small]", measure="kernel_distance")
    with pytest.raises(
        UsageError, match=r"measure: kd\(biased=True\)\[small\] is not kernel_distance as it is by"
    ):
        maps_for(s.found, optional, [1], s.extractor, s.images)
    biased = assay.kernel_distance.with_options(biased=True)
    assert maps_for(s.found, optional, [1], s.extractor, s.images, measure=biased)
    with pytest.raises(UsageError, match="kept no sets"):
        maps_for(replace(s.found, sets=()), s.explanation, [1], s.extractor, s.images)
    with pytest.raises(UsageError, match="extractor: the comparison is by small"):
        maps_for(s.found, s.explanation, [1], replace(s.extractor, fingerprint="other"), s.images)
    bare = replace(s.kept[1], features=None)
    with pytest.raises(UsageError, match="late: maps need a set of images"):
        maps_for(replace(s.found, sets=(s.kept[0], bare)), s.explanation, [1], s.extractor, s.images)
    other = replace(s.explanation, name="fd[small:spatial]")
    with pytest.raises(UsageError, match="maps are of the extractor's own features"):
        maps_for(s.found, other, [1], s.extractor, s.images)
