"""Statistics in place of real images: the same value, an interval of the generated side's luck, honest notes."""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import assay
from assay import DataError, Moments, UsageError, compare
from assay.contrast import Sampled
from assay.data import array_images
from assay.estimate import estimate_all
from assay.features import Features
from assay.make_reference import make_reference
from assay.references import Reference, load_reference, save_reference


def draw(n: int, d: int = 6, shift: float = 0.0, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) + shift


REAL, NEAR, FAR = draw(400, seed=1), draw(100, shift=0.3, seed=2), draw(90, shift=1.5, seed=3)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_reference(make_reference(REAL), tmp_path / "ref.safetensors")
    return tmp_path / "ref.safetensors"


def features(x: Tensor, extractor: str = "net", fingerprint: str = "f") -> Features:
    return Features(x, None, tuple(map(str, range(len(x)))), (), extractor, fingerprint, "made")


def said(found: assay.Comparison) -> str:
    return " | ".join(map(str, found.notes))


def test_the_value_is_the_measures_own_and_the_interval_the_generated_sides(path: Path) -> None:
    found = compare(str(path), {"near": NEAR, "far": FAR})
    exact = Moments.of(REAL)
    for name, x in (("near", NEAR), ("far", FAR)):
        row = found[name, "fd"]
        assert row.value == pytest.approx(float(assay.frechet_distance(exact, x.double())), rel=1e-6)
        sampled = {"ref": Sampled(exact=exact), name: Sampled(x)}
        expected = estimate_all([assay.frechet_distance], sampled)[0][0]
        for part in ("corrected", "std_error", "low", "high"):
            assert getattr(row, part) == pytest.approx(getattr(expected, part), rel=1e-6)
        assert "taken as exact" in row.method and row.n_x == 400
    both = compare(REAL, {"near": NEAR}, measures="fd")["near", "fd"]
    assert found["near", "fd"].std_error < both.std_error
    assert "400 samples, taken as exact" in said(found)


def test_default_measures_shrink_to_what_can_be_served(path: Path) -> None:
    found = compare(path, NEAR)
    assert [row.measure for row in found.rows] == ["frechet_distance"]
    assert "kd, precision, recall, density, coverage" in said(found) and "--keep samples" in said(found)
    for wanted in ("kd", ["fd", "prdc"], assay.kernel_distance):
        with pytest.raises(UsageError, match=r"needs samples.*ref.*--keep samples"):
            compare(path, NEAR, measures=wanted)
    assert compare(path, NEAR, measures=["fd", "vendi"])["generated", "vendi"].value > 1


def test_with_samples_a_reference_is_a_set_like_any_other(tmp_path: Path) -> None:
    save_reference(make_reference(REAL, keep="samples"), tmp_path / "real.safetensors")
    a, b = compare(tmp_path / "real.safetensors", {"near": NEAR}), compare(REAL, {"near": NEAR})
    assert [row.estimate for row in a.rows] == [row.estimate for row in b.rows]
    assert "exact" not in said(a)
    assert compare(tmp_path / "real.safetensors", {"near": NEAR}, floor=True, measures="fd").floor


def test_differences_are_paired_through_the_exact_reference(path: Path) -> None:
    """Nothing of the real side is left in a difference; what remains are the two candidates' own."""
    found = compare(path, {"a": FAR, "b": NEAR})
    (d,) = found.differences
    a, b = found["a", "fd"], found["b", "fd"]
    assert d.estimate.corrected == pytest.approx(b.corrected - a.corrected, rel=1e-9)
    assert d.estimate.std_error == pytest.approx((a.std_error**2 + b.std_error**2) ** 0.5, rel=1e-6)
    assert d.better == "b"


def test_npz_as_published(tmp_path: Path) -> None:
    x = REAL.double().numpy()
    np.savez(tmp_path / "stats.npz", mu=x.mean(0), sigma=np.cov(x, rowvar=False))
    found = compare(tmp_path / "stats.npz", {"near": features(NEAR)})
    assert found.rows[0].name == "fd[net]"
    assert found["near", "fd"].value == pytest.approx(
        float(assay.frechet_distance(Moments.of(REAL.double()), NEAR.double())), rel=1e-9
    )
    assert found["near", "fd"].n_x is None
    assert "unknown number" in said(found) and "nothing says which extractor" in said(found)
    text = json.dumps(found.to_dict())
    assert "Infinity" not in text and "4503599627370497" not in text and "4.5036" not in text + str(found)


def test_a_reference_as_an_object(path: Path) -> None:
    given = [load_reference(path), Moments.of(REAL)]
    values = [compare(one, NEAR).rows[0].estimate.value for one in given]
    assert values[0] == pytest.approx(values[1], rel=1e-12)


def test_images_against_a_reference_of_images(tmp_path: Path) -> None:
    g = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (60, 3, 8, 8), dtype=torch.uint8, generator=g)
    made = make_reference(images, features="pixels:2")
    save_reference(made, tmp_path / "ref.safetensors")
    found = compare(tmp_path / "ref.safetensors", {"own": images[:30]}, features="pixels:2")
    direct = compare(images, {"own": images[:30]}, features="pixels:2", measures="fd")
    assert found["own", "fd"].value == pytest.approx(direct["own", "fd"].value, rel=1e-6, abs=1e-9)
    with pytest.raises(DataError, match=r"'pixels:2'.*'pixels:4'"):
        compare(tmp_path / "ref.safetensors", images[:30], features="pixels:4")


def test_a_published_reference_of_another_width_fails_before_any_image_is_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "stats.npz", mu=np.zeros(7), sigma=np.eye(7))
    images = torch.zeros(9, 3, 8, 8, dtype=torch.uint8)

    def read(_index: int) -> np.ndarray:
        raise AssertionError("an image was read")

    never = replace(array_images(images), read=read)
    with pytest.raises(DataError, match=r"7 features.*pixels:2 has 12"):
        compare(tmp_path / "stats.npz", never, features="pixels:2")


def test_what_needs_the_real_samples_says_so(path: Path) -> None:
    for extra in (
        {"floor": True},
        {"paired": True},
        {"classes": {"ref": ["a"] * 400, "generated": ["a"] * 100}},
    ):
        with pytest.raises(
            UsageError, match=r"ref is statistics, which have no (halves|pairs|classes).*--keep"
        ):
            compare(path, NEAR, measures="fd", **extra)


def test_two_files_of_statistics_have_no_interval(path: Path, tmp_path: Path) -> None:
    save_reference(make_reference(NEAR), tmp_path / "other.safetensors")
    with pytest.raises(UsageError, match="ref and other are both statistics"):
        compare(path, tmp_path / "other.safetensors", measures="fd")
    swapped = compare(NEAR, {"stats": load_reference(path)}, measures="fd")["stats", "fd"]
    assert swapped.value == pytest.approx(compare(path, NEAR, measures="fd").rows[0].estimate.value, rel=1e-9)


class Trap:
    def __reduce__(self):
        return os.abort, ()


def test_files_that_cannot_be_trusted(tmp_path: Path) -> None:
    torch.save({"mu": Trap()}, tmp_path / "cache.pt")
    with pytest.raises(DataError, match="unpickled"):
        compare(tmp_path / "cache.pt", NEAR)
    np.savez(tmp_path / "bad.npz", mu=np.zeros(6), sigma=-np.eye(6))
    with pytest.raises(DataError, match="eigenvalues"):
        compare(tmp_path / "bad.npz", NEAR)
    file = io.BytesIO()
    torch.save({"a": 1}, file)
    (tmp_path / "x.safetensors").write_bytes(file.getvalue())
    with pytest.raises(DataError):
        compare(tmp_path / "x.safetensors", NEAR)


def test_few_samples_behind_a_reference_are_named() -> None:
    found = compare(Reference({"features": Moments.of(REAL[:8])}), NEAR)
    assert "statistics of 8 samples for 6 features" in said(found)


def test_intervals_from_an_exact_reference_cover() -> None:
    """Redraws of the generated side alone, from a known population, against that population's own moments."""
    d, n, draws = 8, 300, 100
    g = torch.Generator().manual_seed(5)
    population = Moments.from_covariance(torch.zeros(d), torch.eye(d), None)
    scale = 1 + 0.1 * torch.arange(d, dtype=torch.float64) / d
    truth = float(0.3**2 * d + ((scale - 1) ** 2).sum())
    inside = 0
    for _ in range(draws):
        y = torch.randn(n, d, dtype=torch.float64, generator=g) * scale + 0.3
        e = assay.frechet_distance.estimate(population, y, generator=g)
        inside += e.low <= truth <= e.high
    assert 89 <= inside <= 99, inside
