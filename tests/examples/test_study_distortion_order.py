"""studies/distortion_order.py at a toy size: distortions grow, orders are counted right, and it goes on where it
stopped."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[2]
NAME = "distortion_order"


@pytest.fixture(scope="module")
def study():
    before = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "studies"))
        yield importlib.import_module(NAME)
    for name in set(sys.modules) - before:
        if name.startswith(NAME):
            del sys.modules[name]


@pytest.fixture(scope="module")
def images(study):
    return sys.modules[f"{NAME}_images"]


@pytest.fixture(scope="module")
def report(study):
    return importlib.import_module(f"{NAME}_report")


@pytest.fixture
def photograph(images):
    """Waves in colours, 32 x 32 with a margin."""
    side = np.arange(32 + 2 * images.MARGIN)
    wave = np.sin(side[:, None, None] / np.array([2, 3, 5])) * np.cos(
        side[None, :, None] / np.array([4, 2, 3])
    )
    return 0.5 + 0.4 * wave


def test_a_stronger_distortion_is_further_away(images, photograph):
    target = images.inner(photograph)
    for each in images.DISTORTIONS:
        found = [images.psnr(images.distorted(photograph, each, s, 0), target) for s in each.strengths]
        # the waves repeat, so that a shift by a half of them is the furthest
        assert (
            found[0] > found[2] if each.name in ("shift", "sharpen", "turn") else found == sorted(found)[::-1]
        )
        assert min(found) < 35, each.name


def test_everything_is_in_eight_bits_and_follows_its_seed(images, photograph):
    for each in images.DISTORTIONS:
        x, again = (images.distorted(photograph, each, each.strengths[2], 3) for _ in range(2))
        assert x.shape == (32, 32, 3) and np.array_equal(x, again), each.name
        assert np.allclose(x * 255, np.round(x * 255)) and x.min() >= 0 and x.max() <= 1, each.name


def test_a_shift_moves_the_picture_and_invents_nothing(images, photograph):
    shift = next(each for each in images.DISTORTIONS if each.name == "shift")
    found = images.distorted(photograph, shift, 3, 0)
    wanted = images.inner(np.roll(photograph, 3, axis=1))
    assert np.abs(found - wanted).max() <= 0.5 / 255 + 1e-9


def test_a_wanted_psnr_is_found_or_nothing_is(images, photograph):
    for each in images.DISTORTIONS:
        found = images.at_psnr(photograph, each, 28.0, 0, 0.5)
        if found is not None:
            assert abs(images.psnr(found, images.inner(photograph)) - 28) <= 0.5, each.name
    grey = np.repeat(photograph[..., :1], 3, axis=2)
    paler = next(each for each in images.DISTORTIONS if each.name == "saturation")
    assert images.at_psnr(grey, paler, 28.0, 0, 0.5) is None


def test_tau_and_steps_by_hand(study):
    rising = torch.arange(5.0).expand(4, 5)
    values = torch.tensor(
        [[1, 2, 3, 4, 5], [5, 4, 3, 2, 1], [0, 0, 0, 0, 0], [1, 3, 2, 4, 5]], dtype=torch.float32
    )
    torch.testing.assert_close(study.order_followed(rising, values), torch.tensor([1, -1, 0, 0.8]))
    torch.testing.assert_close(study.steps_followed(rising, values), torch.tensor([1, 0, 0, 0.75]))
    both = study.order_followed(rising[:2].reshape(1, 2, 5), values[:2].reshape(1, 2, 5))
    assert both.tolist() == [0]


def test_what_rounding_alone_does_is_no_order(study):
    psnr = study.measures(("psnr",))["psnr"]
    rows = [("target", 0), ("rounding", 0), ("shift", 1), ("shift", 2), ("shift", 3)]
    found = study.badness({"rows": rows, "values": {"psnr": [100, 59, 70, 65, 30]}}, psnr)
    assert found["shift"] == [-59, -59, -30]


def test_decibels_of_white_noise_that_is_as_bad(study):
    rows = [
        ("rounding", 0),
        ("strongest", 0),
        ("noise", 1),
        ("noise", 2),
        ("shift alike", 28.0),
        ("blur alike", 28.5),
    ]
    kept = {"rows": rows, "psnr": [59.0, 10.0, 40.0, 20.0, 28.0, 28.5]}
    worse = {
        "rounding": [0.0],
        "strongest": [9.0],
        "noise": [2.0, 4.0],
        "shift alike": [3.0],
        "blur alike": [99.0],
    }
    assert study.decibels(worse, kept, "shift") == pytest.approx(30 - 28)
    assert study.decibels(worse, kept, "blur") == pytest.approx(10 - 28.5)
    assert study.decibels(worse, kept, "turn") is None


def test_the_whole_study_at_a_toy_size(study, report, tmp_path):
    scale, out = study.SCALES["toy"], tmp_path / "found.json"
    study.study(scale, tmp_path, out)
    found = json.loads(out.read_text())
    assert set(found["measures"]) == set(scale.measures)
    for m in found["measures"].values():
        assert m["best_at_zero"] == 2 and m["of"]["noise"]["order"] == [1, 1, 1]
        assert abs(m["of"]["noise"]["decibels"][0]) < 1
    assert found["psnr"]["noise"][0] == pytest.approx(40, abs=0.5)

    written = (tmp_path / "coffee.json").read_bytes()
    study.study(scale, tmp_path, out)  # nothing is left to do
    assert json.loads(out.read_text()) == found and (tmp_path / "coffee.json").read_bytes() == written
    tables = report.tables(found)
    assert tables["order"].count("<tr>") == 1 + 4 and tables["distortions"].count("\n") == 1 + 2
    (tmp_path / "coffee.json").write_text(json.dumps({"rows": []}))
    with pytest.raises(SystemExit, match="other settings"):
        study.study(scale, tmp_path, out)


def test_the_page_shows_what_the_file_holds(report):
    page = report.PAGE.read_text()
    assert report.written_into(page, report.tables(json.loads(report.FOUND.read_text()))) == page
