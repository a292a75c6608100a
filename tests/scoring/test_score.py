"""`assay.score` gives the measures' own values of the right pairs, and classical intervals around their means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

import assay
from assay import DataError, UsageError
from assay.data import ImageSource
from assay.images.pixel import psnr
from assay.images.structure import ssim
from assay.score import score

SIZES = [(40, 48)] * 3 + [(56, 40)] * 2 + [(40, 48)]


def decibels(y: np.ndarray[Any, Any], x: np.ndarray[Any, Any], top: float = 255) -> float:
    return float(10 * np.log10(top**2 / np.mean((y.astype(float) - x.astype(float)) ** 2)))


def test_values_are_those_of_the_definitions(write: Any) -> None:
    from skimage.metrics import structural_similarity

    target, restored = write("hr", SIZES), write("sr", SIZES, noise=8)
    found = score("sr", "hr", measures=["psnr", "ssim"])
    assert found.names == tuple(f"{k:03}.png" for k in range(6))
    assert found.restored == {"sr": found.names}
    expected = [decibels(y, x) for y, x in zip(restored, target, strict=True)]
    np.testing.assert_allclose(found.values["sr"]["psnr"], expected, rtol=1e-5)
    peer = [
        structural_similarity(
            y, x, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        for y, x in zip(restored, target, strict=True)
    ]
    np.testing.assert_allclose(found.values["sr"]["ssim"], peer, atol=1e-5)


def test_intervals_are_students(write: Any) -> None:
    write("hr", SIZES)
    write("a", SIZES, noise=8)
    write("b", SIZES, noise=10)
    found = score(["a", "b"], "hr", measures="psnr", level=0.9)
    a, b = (found.values[name]["psnr"] for name in "ab")
    own = found.estimates["a"]["psnr"]
    # `student_reach` is a series, right to 2e-3 at so few degrees of freedom
    mean = stats.ttest_1samp(a, 0).confidence_interval(0.9)
    assert own.value == pytest.approx(a.mean())
    assert (own.low, own.high) == pytest.approx((mean.low, mean.high), rel=2e-3)
    (difference,) = found.differences
    paired = stats.ttest_rel(b, a).confidence_interval(0.9)
    assert (difference.estimate.low, difference.estimate.high) == pytest.approx(
        (paired.low, paired.high), rel=2e-3
    )
    assert (difference.a, difference.b, difference.better) == ("a", "b", "a")
    assert found["b", "psnr"] == found.estimates["b"]["psnr"]


def test_an_interval_ends_where_the_measure_does() -> None:
    """Of an equal pair and a negative, Student's interval is wider than what values can be."""
    x = torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    found = score({"sr": torch.stack([x[0], 1 - x[1]])}, x, measures="ssim")["sr", "ssim"]
    assert (found.low, found.high) == (ssim.lower, ssim.upper) == (-1.0, 1.0)


def test_a_pair_that_both_have_without_an_error_is_a_difference_of_zero() -> None:
    """Where `psnr` has no ceiling, the values of such a pair are both infinite."""
    x, noise = torch.rand(2, 3, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    part = torch.tensor([0.0, 1.0, 1.0])[:, None, None, None]
    sets = {name: x.lerp(noise, share * part) for name, share in (("a", 0.1), ("b", 0.2))}
    found = score(sets, x, measures=psnr.with_options(ceiling=float("inf")))
    (a,), (b,) = (own.values() for own in found.values.values())
    assert a[0] == b[0] == np.inf
    assert found.differences[0].estimate.value == pytest.approx(np.sum(b[1:] - a[1:]) / 3)
    assert np.isfinite(found.differences[0].estimate.low)


def test_differences_are_to_the_first(write: Any) -> None:
    write("hr", SIZES)
    for k, name in enumerate("abc"):
        write(name, SIZES, noise=4 + k)
    found = score(["b", "a", "c"], "hr", measures=["psnr", "ssim"])
    assert [(d.a, d.b, d.name) for d in found.differences] == [
        ("b", "a", "psnr"), ("b", "a", "ssim"), ("b", "c", "psnr"), ("b", "c", "ssim"),
    ]  # fmt: skip


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_batches_and_sizes_do_not_matter(write: Any, batch_size: int) -> None:
    sizes = [(40, 48), (56, 40), (40, 48), (44, 44), (56, 40), (40, 48)]
    write("hr", sizes)
    write("sr", sizes, noise=8)
    found = score("sr", "hr", measures=["ssim"], batch_size=batch_size, workers=2)
    alone = [score(f"sr/{k:03}.png", f"hr/{k:03}.png", measures="ssim") for k in range(6)]
    one_by_one = [each.rows[0].estimate.value for each in alone]
    np.testing.assert_allclose(found.values["sr"]["ssim"], one_by_one, atol=1e-6)


def test_luma_is_bt601_in_studio_swing_and_the_border_is_left_out(write: Any) -> None:
    target, restored = write("hr", SIZES), write("sr", SIZES, noise=8)
    found = score("sr", "hr", measures=["psnr", "ssim"], luma=True, crop_border=4)

    def luma(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        rgb = pixels[4:-4, 4:-4].astype(float) / 255
        return 65.481 * rgb[..., 0] + 128.553 * rgb[..., 1] + 24.966 * rgb[..., 2] + 16

    expected = [decibels(luma(y), luma(x)) for y, x in zip(restored, target, strict=True)]
    np.testing.assert_allclose(found.values["sr"]["psnr"], expected, rtol=1e-5)
    # black is 16, which a difference does not show
    alike = [
        float(ssim(*(torch.from_numpy(luma(z) / 255)[None, None] for z in pair)))
        for pair in zip(restored, target, strict=True)
    ]
    np.testing.assert_allclose(found.values["sr"]["ssim"], alike, rtol=1e-5)
    assert "luma alone (Y of BT.601, studio swing" in str(found) and "4 pixels left out" in str(found)
    assert found.settings["luma"] is True and found.settings["crop_border"] == 4


def test_sixteen_bit_grey_keeps_its_levels(home: Path) -> None:
    from PIL import Image

    draws = np.random.default_rng(0)
    x = draws.integers(0, 65_000, (2, 32, 32)).astype(np.uint16)
    y = x + draws.integers(0, 40, x.shape).astype(np.uint16)  # nothing of which is left in eight bits
    for name, pictures in (("hr", x), ("sr", y)):
        (home / name).mkdir()
        for k, picture in enumerate(pictures):
            Image.fromarray(picture).save(home / name / f"{k}.png")
    found = score("sr", "hr", measures="psnr").values["sr"]["psnr"]
    np.testing.assert_allclose(found, [decibels(b, a, 65_535) for b, a in zip(y, x, strict=True)], rtol=1e-4)


def test_grey_against_colour_is_said(write: Any, home: Path) -> None:
    from PIL import Image

    write("hr", [(32, 32)] * 2)
    write("sr", [(32, 32)] * 2, noise=3)
    Image.open(home / "sr/001.png").convert("L").save(home / "sr/001.png")
    found = score("sr", "hr", measures="psnr")
    (note,) = [note for note in found.notes if note.kind == "grey and colour"]
    assert note.numbers == {"pairs": 1} and note.sets == ("sr",)


def test_clusters_widen_the_interval_as_the_measures_own(write: Any, home: Path) -> None:
    target, restored = write("hr", SIZES[:1] * 6), write("sr", SIZES[:1] * 6, noise=8)
    labels = [0, 0, 0, 1, 1, 2]
    x, y = (torch.from_numpy(np.stack(p)).permute(0, 3, 1, 2) / 255 for p in (target, restored))
    expected = psnr.estimate(y, x, clusters=labels)
    found = score("sr", "hr", measures="psnr", clusters=labels)
    assert (found["sr", "psnr"].low, found["sr", "psnr"].high) == pytest.approx(
        (expected.low, expected.high), rel=1e-5
    )
    rows = "".join(f"{k:03}.png,photo {label}\n" for k, label in enumerate(labels))
    (home / "groups.csv").write_text(f"name,group\n{rows}")
    again = score("sr", "hr", measures="psnr", clusters="groups.csv")
    assert again["sr", "psnr"].std_error == pytest.approx(found["sr", "psnr"].std_error)
    assert "3 clusters" in str(again)
    with pytest.raises(UsageError, match=r"clusters: expected one label a pair"):
        score("sr", "hr", measures="psnr", clusters=[0, 1])
    with pytest.raises(DataError, match=r"^clusters: .* no label in .*; give sub-folders, or a CSV"):
        score("sr", "hr", measures="psnr", clusters="folders")


def test_arrays_and_tensors(write: Any) -> None:
    target, restored = (np.stack(write(n, SIZES[:1] * 3, noise=k)) for n, k in (("hr", 0), ("sr", 8)))
    files = score("sr", "hr", measures="psnr").values["sr"]["psnr"]
    for made in (
        score(restored, target, measures="psnr"),
        score(torch.from_numpy(restored).permute(0, 3, 1, 2) / 255, target, measures="psnr", match="order"),
        score({"restored": restored}, target.transpose(0, 3, 1, 2), measures=psnr),
    ):
        np.testing.assert_allclose(made.values["restored"]["psnr"], files, rtol=1e-5)
    many = torch.rand(2, 5, 24, 24, generator=torch.Generator().manual_seed(0))
    assert score(many, many.flip(0), measures=["psnr", "ssim"])["restored", "psnr"].n_x == 2
    with pytest.raises(DataError, match=r"restored: floating-point images must lie in \[0, 1\], and image 1"):
        score(torch.stack([many[0], 255 * many[1]]), many)
    with pytest.raises(UsageError, match=r"target: expected images .* got torch.int64"):
        score(many, torch.zeros(2, 3, 8, 8, dtype=torch.int64))
    np.save("made.npy", np.zeros((4, 8), np.float32))
    with pytest.raises(UsageError, match="restored: expected images, got features"):
        score("made.npy", many)


def test_equal_and_single_pairs_have_values_and_are_told(write: Any) -> None:
    write("hr", SIZES[:2])
    found = score("hr/000.png", "hr/001.png", measures="psnr")
    assert len(found) == 1 and np.isnan(found.rows[0].estimate.low) and "one pair" in str(found)
    equal = score("hr", "hr", measures=["psnr", "ssim"])
    assert list(equal.values) == ["hr"] and equal.settings["real"]["name"] == "hr (target)"
    assert equal["hr", "ssim"].value == pytest.approx(1, abs=1e-6)
    assert equal.notes[0].kind == "equal pairs"
    equal.to_json("equal.json")  # JSON has no infinity


def test_the_worst_come_first(write: Any) -> None:
    write("hr", SIZES)
    write("a", SIZES, noise=8)
    write("b", SIZES, noise=9)
    found = score(["a", "b"], "hr", measures=["psnr", "charbonnier"])
    worst = found.worst(4)
    assert [value for *_, value in worst] == sorted(value for *_, value in worst)
    assert worst[0][:2] == ("b", "005.png")
    highest = found.worst(2, by="charbonnier")
    assert highest[0][2] == max(found.values[c]["charbonnier"].max() for c in "ab")
    for by, downwards in (("psnr", False), ("charbonnier", True)):  # in the file, too
        found.to_csv(f"{by}.csv", by=by)
        header, *lines = (line.split(",") for line in Path(f"{by}.csv").read_text().splitlines())
        written = [float(line[header.index(by)]) for line in lines]
        assert len(written) == 12 and written == sorted(written, reverse=downwards)
    with pytest.raises(UsageError, match="by: lpips was not scored, but psnr, charbonnier"):
        found.worst(1, by="lpips")


def test_measures_by_name(write: Any) -> None:
    write("hr", SIZES[:2])
    write("sr", SIZES[:2], noise=8)
    found = score("sr", "hr", measures=["PSNR", ssim.with_options(convention="skimage"), "total-variation"])
    assert list(found.measures) == ["psnr", "ssim(convention=skimage)", "total_variation"]
    with pytest.raises(UsageError, match=r"unknown measure 'pnsr' \(did you mean 'psnr'\?\)"):
        score("sr", "hr", measures="pnsr")
    with pytest.raises(UsageError, match=r"feature_distance cannot be had like this: .*features"):
        score("sr", "hr", measures="feature_distance")
    with pytest.raises(UsageError, match="clip_score is of embeddings"):
        score("sr", "hr", measures=assay.clip_score)


def test_only_a_few_images_are_held_at_once() -> None:
    """Readers never run further ahead of what is measured than two batches."""
    n, batch = 60, 4
    pixels = np.zeros((16, 16, 3), np.uint8)
    read: list[int] = []
    ahead: list[int] = []

    def source(shift: int) -> ImageSource:
        def one(index: int) -> np.ndarray[Any, Any]:
            read.append(index)
            return pixels + np.uint8(shift + index % 7)

        return ImageSource([str(k) for k in range(n)], "made", one)

    def told(what: str, done: int, total: int) -> None:
        ahead.append(len(read) / 2 - done)

    found = score(source(0), source(3), measures="psnr", batch_size=batch, workers=2, progress=told)
    assert len(found) == n and len(read) == 2 * n
    assert max(ahead) <= 2 * batch


def test_what_is_asked_for_is_checked_first() -> None:
    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    for wrong, said in (
        ({"level": 1.0}, "level: expected"),
        ({"crop_border": -1}, "crop_border: expected"),
        ({"match": "size"}, "match: expected name, order, common"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
    ):
        with pytest.raises(UsageError, match=said):
            score(x, x, measures="psnr", **wrong)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="a border of 8 on each side leaves nothing"):
        score(x, x, measures="psnr", crop_border=8)


def test_a_measure_from_a_file_of_ones_own(write: Any, home: Path) -> None:
    write("hr", SIZES[:2])
    write("sr", SIZES[:2], noise=8)
    (home / "mine.py").write_text(
        "from assay.pairs import pair_measure\n\n"
        '@pair_measure(domain="images", best="min", lower=0.0, reference="")\n'
        "def apart(x, y):\n    return (x - y).abs().mean((1, 2, 3))\n"
    )
    found = score("sr", "hr", measures="python:mine.py:apart")
    assert list(found.measures) == ["apart"] and found.rows[0].direction == "lower is better"
    with pytest.raises(UsageError, match=r"mine\.py"):
        score("sr", "hr", measures="python:mine.py:other")
