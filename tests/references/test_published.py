"""`.npz` files as the field ships them: the moments to the bit, and no file that is not a covariance."""

from __future__ import annotations

import io
import os
import zipfile

import numpy as np
import pytest
import torch

from assay import DataError, Moments, frechet_distance
from assay.references import is_reference, load_reference, save_reference


def statistics(n=200, d=6, seed=0, dtype=np.float64):
    x = np.random.default_rng(seed).normal(size=(n, d)) @ np.diag(np.arange(1.0, d + 1))
    return x, {"mu": x.mean(0).astype(dtype), "sigma": np.cov(x, rowvar=False).astype(dtype)}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_mean_and_covariance_are_kept(tmp_path, dtype, write):
    _, held = statistics(dtype=dtype)
    write(tmp_path / "ref.npz", **held)
    assert is_reference(tmp_path / "ref.npz")
    read = load_reference(tmp_path / "ref.npz")
    save_reference(read, tmp_path / "ref.safetensors")
    for reference in (read, load_reference(tmp_path / "ref.safetensors")):
        moments = reference.moments["features"]
        assert np.array_equal(moments.mean.numpy(), held["mu"].astype(np.float64))
        assert (
            np.abs(moments.covariance().numpy() - held["sigma"]).max() <= 1e-15 * np.abs(held["sigma"]).max()
        )
        assert reference.count is None and reference.samples is None and reference.origin.extractor is None


def test_a_population_is_as_good_as_any_count(normal):
    x, y = normal(300, 7), normal(50, 7) + 0.2
    known = Moments.of(x)
    unknown = Moments.from_covariance(known.mean, known.covariance(), None)
    assert torch.allclose(unknown.covariance(), known.covariance(), rtol=1e-15)
    assert float(frechet_distance(unknown, y)) == pytest.approx(float(frechet_distance(known, y)), rel=1e-12)
    one, other = y.clone().requires_grad_(), y.clone().requires_grad_()
    frechet_distance(unknown, one).backward()
    frechet_distance(known, other).backward()
    assert torch.allclose(one.grad, other.grad, rtol=1e-9, atol=1e-12)


def test_spatial_statistics_and_images_beside_them(tmp_path):
    _, held = statistics()
    _, spatial = statistics(d=4, seed=1)
    images = np.zeros((2, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "r.npz", arr_0=images, **held, mu_s=spatial["mu"], sigma_s=spatial["sigma"])
    read = load_reference(tmp_path / "r.npz")
    assert {space: m.width for space, m in read.moments.items()} == {"features": 6, "spatial": 4}
    np.savez(tmp_path / "images.npz", arr_0=images)
    assert not is_reference(tmp_path / "images.npz")
    with pytest.raises(DataError, match=r"no statistics.*arr_0"):
        load_reference(tmp_path / "images.npz")


def test_kept_features_are_samples(tmp_path):
    x, _ = statistics()
    np.savez(tmp_path / "kid.npz", feats=x.astype(np.float32))
    read = load_reference(tmp_path / "kid.npz")
    assert read.count == 200 and read.samples.features.dtype == torch.float32 and not read.moments


class Trap:
    def __reduce__(self):
        return os.abort, ()


def spoiled(what):
    _, held = statistics()
    match what:
        case "not symmetric":
            held["sigma"][0, 1] += 0.1
        case "an eigenvalue below zero":
            held["sigma"] -= 2 * np.eye(6)
        case "NaN in sigma":
            held["sigma"][2, 2] = np.nan
        case "NaN in mu":
            held["mu"][2] = np.inf
        case "another shape":
            held["sigma"] = held["sigma"][:5, :5]
        case "not square":
            held["sigma"] = held["sigma"][:5]
        case "a mean of two axes":
            held["mu"] = held["mu"][None]
        case "sigma missing":
            del held["sigma"]
        case "whole numbers":
            held["mu"] = held["mu"].astype(int)
        case "empty":
            held = {"mu": np.zeros(0), "sigma": np.zeros((0, 0))}
        case "objects":
            held["mu"] = np.array([Trap()] * 6, dtype=object)
    return held


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("not symmetric", "not symmetric"),
        ("an eigenvalue below zero", r"eigenvalues from -1"),
        ("NaN in sigma", "sigma holds NaN"),
        ("NaN in mu", "mu holds NaN"),
        ("another shape", r"\(6, 6\).*\(5, 5\)"),
        ("not square", r"\(6, 6\).*\(5, 6\)"),
        ("a mean of two axes", r"mu must have the shape \(d,\)"),
        ("sigma missing", "sigma is missing"),
        ("whole numbers", "floating point, not int"),
        ("empty", "shape"),
        ("objects", "unpickled"),
    ],
)
def test_what_is_no_covariance_is_refused(tmp_path, what, words):
    np.savez(tmp_path / "ref.npz", **spoiled(what))
    with pytest.raises(DataError, match=words) as caught:
        load_reference(tmp_path / "ref.npz")
    assert str(tmp_path / "ref.npz") in str(caught.value) and "\n" not in str(caught.value)


def test_a_covariance_of_few_samples_is_one(tmp_path):
    """Singular matrices have eigenvalues a little below zero; in float32 files they are further below."""
    for dtype in (np.float64, np.float32):
        _, held = statistics(n=20, d=60, dtype=dtype)
        assert np.linalg.eigvalsh(held["sigma"].astype(np.float64)).min() < 0
        np.savez(tmp_path / "ref.npz", **held)
        assert load_reference(tmp_path / "ref.npz").width == 60


def damaged(path, what):
    _, held = statistics()
    np.savez(path, **held)
    whole = path.read_bytes()
    match what:
        case "cut":
            path.write_bytes(whole[: len(whole) // 2])
        case "text":
            path.write_text("mean,covariance\n")
        case "a flipped bit":
            at = whole.index(held["mu"].tobytes())
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        case "a header that asks for too much":
            with zipfile.ZipFile(path, "w") as archive:
                file = io.BytesIO()
                header = {"descr": "<f8", "fortran_order": False, "shape": (2**40,)}
                np.lib.format.write_array_header_1_0(file, header)
                archive.writestr("mu.npy", file.getvalue())
        case "an array shorter than its header says":
            with zipfile.ZipFile(path, "w") as archive:
                file = io.BytesIO()
                np.lib.format.write_array_header_1_0(
                    file, {"descr": "<f8", "fortran_order": False, "shape": (6,)}
                )
                archive.writestr("mu.npy", file.getvalue() + bytes(40))
        case "no array at all":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("mu.npy", b"mean")
    return path


@pytest.mark.parametrize(
    "what",
    ["cut", "text", "a flipped bit", "a header that asks for too much", "an array shorter than its header says",
     "no array at all"],
)  # fmt: skip
def test_damaged_files(tmp_path, what):
    path = damaged(tmp_path / "ref.npz", what)
    with pytest.raises(DataError) as caught:
        load_reference(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".pt", ".pkl"])
def test_pickles_are_not_read(tmp_path, suffix):
    torch.save({"mu": Trap()}, tmp_path / f"ref{suffix}")
    with pytest.raises(DataError, match=r"unpickled.*numpy.savez"):
        load_reference(tmp_path / f"ref{suffix}")


def test_the_distance_to_published_moments_is_the_published_formula(tmp_path):
    """|m - m'|^2 + tr(C + C' - 2 (C C')^(1/2)) with scipy's matrix root, as the field's packages take it."""
    linalg = pytest.importorskip("scipy.linalg")
    _, held = statistics(n=500, d=12)
    y = np.random.default_rng(3).normal(size=(400, 12)) + 0.2
    np.savez(tmp_path / "ref.npz", **held)
    got = float(
        frechet_distance(load_reference(tmp_path / "ref.npz").moments["features"], torch.from_numpy(y))
    )
    other = np.cov(y, rowvar=False)
    root = np.real(linalg.sqrtm(held["sigma"] @ other))
    expected = ((held["mu"] - y.mean(0)) ** 2).sum() + np.trace(held["sigma"] + other - 2 * root)
    assert got == pytest.approx(expected, rel=1e-9)
