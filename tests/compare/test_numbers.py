"""The numbers of `compare` are the contract's own, whatever the company, the order and the form of the sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import assay
from assay import Comparison, DataError, UsageError, compare
from assay.contrast import Sampled
from assay.estimate import Estimate, estimate_all

from .three_sets import FAR, NEAR, REAL, draw, made


def direct(measure: assay.Measure, *sets: tuple[str, Tensor]) -> Estimate:
    """The estimate of sets of the same names, which draw the same halves."""
    return estimate_all([measure], {name: Sampled(x) for name, x in sets})[0][0]


def same(got: Estimate, expected: Estimate) -> None:
    assert (got.n_x, got.n_y) == (expected.n_x, expected.n_y)
    for name in ("value", "corrected", "std_error", "low", "high"):
        assert getattr(got, name) == pytest.approx(getattr(expected, name), rel=1e-6, abs=1e-12)


def test_numbers_are_those_of_estimate_and_difference(found: Comparison) -> None:
    real = ("real", REAL)
    for name, set_ in (("far", FAR), ("near", NEAR)):
        for measure in (assay.frechet_distance, *assay.prdc.measures):
            same(found[name, measure.name], direct(measure, real, (name, set_)))
        same(found[name, "vendi"], direct(assay.vendi_score, (name, set_)))
    for measure in (assay.frechet_distance, assay.kernel_distance, assay.sets.coverage):
        (d,) = [d for d in found.differences if d.measure == measure.name]
        assert (d.a, d.b) == ("far", "near")
        again = assay.difference(measure, REAL, FAR, NEAR)  # its halves are those of other names
        assert d.estimate.value == pytest.approx(again.value, rel=1e-9)


def test_a_difference_is_the_difference_of_the_two_rows(found: Comparison) -> None:
    for d in found.differences:
        a, b = found[d.a, d.measure], found[d.b, d.measure]
        assert d.estimate.corrected == pytest.approx(b.corrected - a.corrected, rel=1e-9, abs=1e-12)
        if d.measure in (
            "frechet_distance",
            "kernel_distance",
        ):  # what both share of the real set's luck cancels
            assert d.estimate.std_error < (a.std_error**2 + b.std_error**2) ** 0.5


def test_a_candidates_numbers_do_not_depend_on_its_company(found: Comparison) -> None:
    alone = compare(REAL, {"near": NEAR}, measures="fd")
    assert alone["near", "fd"] == found["near", "fd"]
    other_seed = compare(REAL, {"near": NEAR}, measures="fd", seed=1)
    assert other_seed["near", "fd"].corrected != alone["near", "fd"].corrected
    assert other_seed["near", "fd"].value == pytest.approx(alone["near", "fd"].value, rel=1e-12)


def test_a_measure_of_one_set_is_taken_of_the_real_one_too(found: Comparison) -> None:
    (aim,) = found.aims
    assert (aim.candidate, aim.name) == ("real", "vendi[features]")
    same(aim.estimate, direct(assay.vendi_score, ("real", REAL)))
    assert aim.estimate.n_x is None and aim.estimate.n_y == 120


def test_pairs_narrow_the_interval_of_reconstructions() -> None:
    near = REAL + 0.1 * draw(120, seed=9)
    two = {"a": near, "b": near + 0.1}
    paired, free = compare(REAL, two, measures="fd", paired=True), compare(REAL, two, measures="fd")
    assert paired["a", "fd"].std_error < 0.7 * free["a", "fd"].std_error
    direct = assay.frechet_distance.estimate(REAL, near, paired=True)
    assert paired["a", "fd"].std_error == pytest.approx(direct.std_error, rel=1e-3)
    with pytest.raises(DataError, match=r"paired: real has 120 samples and generated 100"):
        compare(REAL, NEAR, measures="fd", paired=True)


def test_the_inception_score_needs_classes() -> None:
    found = compare(made(REAL), made(NEAR), measures="is")
    assert found["generated", "is"].value == pytest.approx(
        float(assay.inception_score(NEAR[:, :4].softmax(1)))
    )
    assert found.aims[0].name == "is[net]"
    with pytest.raises(UsageError, match="is needs class probabilities, and the features of real have none"):
        compare(REAL, NEAR, measures="is")


def test_images_in_arrays_go_through_the_extractor() -> None:
    g = torch.Generator().manual_seed(0)
    real, fake = (torch.randint(0, 256, (20, 3, 4, 4), dtype=torch.uint8, generator=g) for _ in range(2))
    told: list[tuple[str, int, int]] = []
    found = compare(real, fake.numpy(), features="pixels", measures="kd", progress=lambda *t: told.append(t))
    assert [r.name for r in found.rows] == ["kd[pixels]"]
    direct = assay.kernel_distance.estimate(real.flatten(1) / 255, fake.flatten(1) / 255)
    assert found["generated", "kd"].corrected == pytest.approx(direct.corrected, rel=1e-4)
    assert found.settings["candidates"][0]["unit"] == "images"
    assert ("features of real", 20, 20) in told
    assert any(what.startswith("1 of 1: kd of all candidates") for what, _, _ in told)
    with pytest.raises(DataError, match="feature space 'pixels' and generated in 'features'"):
        compare(real, NEAR, features="pixels", measures="kd")


def test_numpy_float64_and_files(tmp_path: Path) -> None:
    np.save(tmp_path / "g.npy", NEAR.numpy())
    found = compare(REAL.double().numpy(), tmp_path / "g.npy", measures="fd")
    assert found["g", "fd"].value == pytest.approx(
        compare(REAL, NEAR, measures="fd")["generated", "fd"].value, rel=1e-5
    )


def test_sets_of_one_name_keep_their_own_values() -> None:
    found = compare(REAL, {"real": NEAR, "real (real)": FAR}, measures="fd")
    alone = compare(REAL, {"a": NEAR, "b": FAR}, measures="fd")
    assert found["real", "fd"].value == pytest.approx(alone["a", "fd"].value)
    assert found["real (real)", "fd"].value == pytest.approx(alone["b", "fd"].value)
    assert found.settings["real"]["name"] == "real (real) (real)"
