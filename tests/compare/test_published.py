"""A protocol's values are the original's formulas on the protocol's features, and carry its names only if all holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import assay
from assay import UsageError, compare
from assay.data import array_images
from assay.features import extract, get_extractor, protocols
from assay.features.protocols import Printed, Protocol
from assay.sets import inception_score_splits, kid_subsets

RNG = np.random.default_rng(0)
REAL = RNG.integers(0, 256, (60, 12, 12, 3), dtype=np.uint8)
MADE = np.minimum(RNG.integers(0, 256, (50, 12, 12, 3)), 180).astype(np.uint8)
ROW = Protocol(
    name="tiny",
    extractor="pixels:4",
    crop="none",
    printed=(
        Printed("FID", "fd"),
        Printed("KID", "kid_subsets", options={"subsets": 7, "subset_size": 20}),
        Printed("Precision", "precision", options={"nearest_k": 3}),
    ),
    real=60,
    generated=50,
    source="a test",
)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {"tiny": ROW, "larger": replace(ROW, name="larger", generated=51)}
    monkeypatch.setattr(protocols, "PROTOCOLS", rows)


def features_of(images: np.ndarray) -> torch.Tensor:
    return extract(array_images(images), get_extractor("pixels:4", crop="none"), cache=False).features


def test_values_are_the_protocols_own() -> None:
    found = compare(REAL, {"a": MADE, "b": REAL[:50]}, protocol="tiny", seed=3)
    x, y = features_of(REAL), features_of(MADE)
    value = {(v.candidate, v.name): v for v in found.published}
    assert list(value) == [(c, n) for c in ("a", "b") for n in ("FID", "KID", "Precision")]
    assert value["a", "FID"].value == pytest.approx(float(assay.frechet_distance(x, y)), rel=1e-6)
    kid = kid_subsets(x, y, subsets=7, subset_size=20, generator=torch.Generator().manual_seed(3))
    assert (value["a", "KID"].value, value["a", "KID"].spread) == pytest.approx((kid.mean, kid.std), rel=1e-6)
    assert value["a", "Precision"].value == pytest.approx(float(assay.sets.precision(x, y, nearest_k=3)))
    assert value["a", "Precision"].direction == "higher is better"
    assert {row.name for row in found.rows} == {
        "fd[pixels:4]",
        "kd[pixels:4]",
        "precision(nearest_k=3)[pixels:4]",
    }
    assert found["a", "fd"].corrected != value["a", "FID"].value
    assert found.settings["protocol"] == "tiny"
    text = str(found)
    assert "protocol tiny" in text and "a: FID" in text
    assert found.to_dict()["published"][0]["name"] == "FID"


def test_without_the_protocols_counts_no_value_has_its_name() -> None:
    found = compare(REAL, {"a": MADE}, protocol="larger")
    assert {value.name for value in found.published} == {None}
    assert all(value.unmet == ("50 generated images, the protocol asks for 51",) for value in found.published)
    text = str(found)
    assert "like FID" in text and "a: FID" not in text
    assert "50 generated images, the protocol asks for 51" in text.replace("\n  ", " ")


@pytest.mark.parametrize("given", [{"features": "pixels:8"}, {"crop": "center"}, {"resize": "clean"}])
def test_what_the_protocol_fixes_cannot_be_chosen_beside_it(given: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(given))}: the protocol tiny fixes it"):
        compare(REAL, MADE, protocol="tiny", **given)  # type: ignore[arg-type]


def test_further_measures_come_beside_the_protocols() -> None:
    found = compare(REAL, {"a": MADE}, protocol="tiny", measures="recall")
    assert "recall[pixels:4]" in {row.name for row in found.rows}
    assert len(found.published) == 3


def test_a_value_whose_subsets_are_larger_than_a_set_is_left_out_and_the_rest_stays() -> None:
    found = compare(REAL, {"a": MADE[:10]}, protocol="tiny")
    value = {v.standard: v for v in found.published}
    assert value["KID"].value is None and value["FID"].value is not None
    assert any("y: has 10 samples, fewer than subset_size=20" in reason for reason in value["KID"].unmet)
    assert any("KID: 10 generated images" in note.sentence for note in found.notes)
    assert "like KID" in str(found)


def test_adm_takes_moments_from_its_reference_file_and_images_for_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the file says of the whole training set must win over its images' own moments."""
    row = replace(ROW, printed=(*ROW.printed[:1], ROW.printed[2]))
    monkeypatch.setattr(protocols, "PROTOCOLS", {"tiny": row})
    x, y = features_of(REAL), features_of(MADE)
    wide = torch.cat([x, x + 0.01 * torch.randn(60, 48, generator=torch.Generator().manual_seed(0))]).double()
    mu, sigma = wide.mean(0).numpy(), np.cov(wide.numpy(), rowvar=False)
    np.savez(tmp_path / "reference.npz", arr_0=REAL, mu=mu, sigma=sigma)
    found = compare(tmp_path / "reference.npz", {"a": MADE}, protocol="tiny")
    value = {v.name: v.value for v in found.published}
    exact = assay.Moments.from_covariance(torch.from_numpy(mu), torch.from_numpy(sigma), None)
    assert value["FID"] == pytest.approx(float(assay.frechet_distance(exact, y)), rel=1e-6)
    assert value["FID"] != pytest.approx(float(assay.frechet_distance(x, y)), rel=1e-3)
    assert value["Precision"] == pytest.approx(float(assay.sets.precision(x, y, nearest_k=3)))
    assert any(note.kind == "taken as exact" for note in found.notes)
    np.savez(tmp_path / "made.npz", arr_0=MADE, mu=mu, sigma=sigma)
    both = compare(tmp_path / "reference.npz", {"a": tmp_path / "made.npz"}, protocol="tiny")
    assert {v.name: v.value for v in both.published} == value  # a candidate is judged by its images
    with pytest.raises(assay.DataError, match=r"statistics of 48 features beside its images.*has 192"):
        compare(tmp_path / "reference.npz", MADE, features="pixels:8", crop="none")


def test_parts_of_the_inception_score_have_the_size_that_is_asked_for() -> None:
    from assay.comparing.compared_sets import ComparedSet
    from assay.comparing.published_values import OF_PARTS

    p = torch.rand(50, 4, generator=torch.Generator().manual_seed(0)).softmax(1)
    made = ComparedSet("a", "a", p, 50, "images", probabilities=p)
    value, spread = OF_PARTS["inception_score_splits"][0](made, made, {"split_size": 20, "shuffle": False}, 5)
    parts = torch.stack([assay.inception_score(part.double()) for part in (p[:20], p[20:40], p[40:])])
    assert (value, spread) == pytest.approx((float(parts.mean()), float(parts.std(correction=0))))
    assert inception_score_splits(p, split_size=20, shuffle=False).values == pytest.approx(parts)
