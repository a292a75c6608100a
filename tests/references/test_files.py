"""Reference files come back as they were, merge to what one pass gives, and refuse what would count wrongly."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
import safetensors.torch
import torch
from safetensors.torch import load_file, save_file

from assay import DataError, Moments, Samples, UsageError, frechet_distance
from assay.data import array_images
from assay.make_reference import make_reference
from assay.references import (
    Origin,
    Reference,
    from_bytes,
    load_reference,
    merge_files,
    merge_references,
    save_reference,
    to_bytes,
)
from assay.sets import Predictions
from assay.statistics import save
from assay.statistics.files import read_metadata

NET = Origin(extractor="net", fingerprint="f1", description="made")


def reference(x, *, keep="moments", origin=NET):
    made = make_reference(x, keep=keep)
    return replace(
        made, origin=replace(made.origin, **{k: v for k, v in vars(origin).items() if k != "shards"})
    )


def same_moments(a: Moments, b: Moments, tolerance: float) -> None:
    assert float(a.weight) == float(b.weight)
    scale = float(b.dense_scatter().abs().max())
    assert float((a.dense_scatter() - b.dense_scatter()).abs().max()) <= tolerance * scale
    assert float((a.mean - b.mean).abs().max()) <= tolerance * float(b.mean.abs().max())


@pytest.mark.parametrize("n", [1, 3, 9, 300])  # fewer samples than features, about as many, more
def test_a_reference_comes_back(normal, tmp_path, n):
    x = normal(n, 9) + 2
    made = reference(x, keep="samples")
    spatial, classes = Moments.of(normal(n, 4)), Predictions.of(normal(n, 5).softmax(1))
    whole = Reference({**made.moments, "spatial": spatial}, made.samples, classes, made.origin)
    path = tmp_path / "deep" / "ref.safetensors"
    save_reference(whole, path)
    back = load_reference(path)
    assert list(back.moments) == ["features", "spatial"]
    same_moments(back.moments["features"], Moments.of(x), 1e-14)
    same_moments(back.moments["spatial"], spatial, 1e-14)
    assert torch.equal(back.samples.features, x) and back.count == n
    assert {k: v.tolist() for k, v in back.predictions.tensors().items()} == {
        k: v.tolist() for k, v in classes.tensors().items()
    }
    assert back.origin.shards == made.origin.shards and back.origin.extractor == "net"
    assert os.listdir(path.parent) == ["ref.safetensors"]
    header = read_metadata(path)
    assert header["count"] == str(n) and header["width"] == "9" and header["description"] == "made"


def test_a_scatter_takes_half_of_its_square(normal, tmp_path):
    path = tmp_path / "ref.safetensors"
    save_reference(reference(normal(500, 200)), path)
    assert path.stat().st_size < 0.51 * 8 * 200**2 + 4000


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 1, 0, 2], [2, 3, 1, 0]])
def test_shards_merge_to_one_pass_in_any_order(normal, tmp_path, order):
    x = normal(400, 12) + 50
    parts = list(x.split([1, 5, 94, 300]))
    for k in order:
        save_reference(reference(parts[k], keep="samples"), tmp_path / f"{k}.safetensors")
    merged = merge_files([tmp_path / f"{k}.safetensors" for k in order])
    same_moments(merged.moments["features"], Moments.of(x), 1e-10)
    assert merged.count == 400 and isinstance(merged.count, float)
    assert torch.equal(merged.samples.features, torch.cat([parts[k] for k in order]))
    assert [s.count for s in merged.origin.shards] == [len(parts[k]) for k in order]
    assert merged.origin.extractor == "net"
    assert float(frechet_distance(merged.moments["features"], x)) == pytest.approx(0, abs=1e-8)


def test_merged_files_merge_again(normal, tmp_path):
    x = normal(90, 6)
    three = [reference(part) for part in x.split(30)]
    left = merge_references([merge_references(three[:2]), three[2]])
    right = merge_references([three[0], merge_references(three[1:])])
    same_moments(left.moments["features"], right.moments["features"], 1e-12)
    assert {s.digest for s in left.origin.shards} == {s.digest for s in right.origin.shards}


def test_what_only_some_have_is_left_out(normal):
    a, b = reference(normal(30, 6), keep="samples"), reference(normal(20, 6))
    merged = merge_references([a, b])
    assert merged.samples is None and merged.count == 50 and merged.held == "moments of the features"


def test_what_must_not_merge_is_named(normal, tmp_path):
    a, b = reference(normal(30, 6)), reference(normal(20, 6))

    def refused(one, other, *words):
        for k, r in enumerate((one, other)):
            save_reference(r, tmp_path / f"{k}.safetensors")
        with pytest.raises(DataError) as caught:
            merge_files([tmp_path / "0.safetensors", tmp_path / "1.safetensors"])
        assert all(word in str(caught.value) for word in (*words, "0.safetensors", "1.safetensors"))

    def of(r, **changes):
        return replace(r, origin=replace(r.origin, **changes))

    refused(a, of(b, extractor="other"), "'net'", "'other'")
    refused(a, of(b, extractor=None), "'net'", "without a name")
    refused(a, of(b, fingerprint="f2"), "f1", "f2", "versions")
    refused(a, of(b, protocol="fid"), "'fid'", "no protocol")
    refused(a, reference(normal(20, 5)), "6", "5")
    refused(a, of(a, description="renamed"), "same 30 images", "twice")
    refused(a, merge_references([b, a]), "same 30 images")


def test_one_file_given_twice_and_none(normal, tmp_path):
    path = tmp_path / "a.safetensors"
    save_reference(reference(normal(30, 6)), path)
    with pytest.raises(DataError, match="given twice"):
        merge_files([path, tmp_path / "." / "a.safetensors"])
    with pytest.raises(UsageError, match="no files"):
        merge_files([])
    with pytest.raises(DataError, match="no such file"):
        merge_files([path, tmp_path / "b.safetensors"])


def test_renamed_images_are_the_same_images():
    images = torch.randint(
        0, 256, (12, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    first = array_images(images, description="first")
    second = replace(first, names=[f"copy {k}" for k in range(12)], description="second")
    a, b = (make_reference(x, features="pixels") for x in (first, second))
    with pytest.raises(DataError, match="first and second hold the same 12 images"):
        merge_references([a, b])
    assert merge_references([a, make_reference(images[:11], features="pixels")]).count == 23


def test_unknown_counts_do_not_merge(normal):
    a = reference(normal(30, 3))
    population = Reference(
        {"features": Moments.from_covariance(torch.zeros(3), torch.eye(3), None)}, origin=NET
    )
    with pytest.raises(DataError, match="how many samples"):
        merge_references([a, population], ["a", "b"])


def test_a_single_statistic_is_a_reference(normal, tmp_path):
    x = normal(30, 4)
    for kind in (Moments, Samples):
        save(kind.of(x), tmp_path / "s.safetensors", metadata={"extractor": "net"})
        back = load_reference(tmp_path / "s.safetensors")
        assert (back.count, back.width, back.origin.extractor) == (30, 4, "net")
    save(Predictions.of(x.softmax(1)), tmp_path / "s.safetensors")
    with pytest.raises(DataError, match="Predictions"):
        load_reference(tmp_path / "s.safetensors")


def damaged(path, what):
    whole = path.read_bytes()
    tensors, header = load_file(path), read_metadata(path)
    match what:
        case "a flipped bit":
            path.write_bytes(whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:])
        case "cut":
            path.write_bytes(whole[:-9])
        case "another format":
            save_file(tensors, path, metadata={**header, "assay.reference": "9"})
        case "a shard list that is none":
            save_file(tensors, path, metadata={**header, "shards": "[1]"})
        case "no mean":
            save_file({k: v for k, v in tensors.items() if "mean" not in k}, path, metadata=header)
        case "plain features":
            save_file({"features": torch.zeros(4, 3)}, path)
    return path


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("a flipped bit", "not those that were written"),
        ("cut", "damaged"),
        ("another format", "update assay"),
        ("a shard list that is none", "shards"),
        ("no mean", "damaged"),
        ("plain features", "not a statistic"),
    ],
)
def test_damaged_files(normal, tmp_path, what, words):
    path = tmp_path / "ref.safetensors"
    save_reference(reference(normal(30, 3)), path)
    with pytest.raises(DataError, match=words) as caught:
        load_reference(damaged(path, what))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_place_that_cannot_be_written(normal, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        save_reference(reference(normal(30, 3)), tmp_path / "file" / "ref.safetensors")


def test_bytes_are_the_file(normal, tmp_path):
    made = reference(normal(30, 3), keep="samples")
    back = from_bytes(to_bytes(made))
    same_moments(back.moments["features"], made.moments["features"], 1e-15)
    assert back.origin == made.origin and torch.equal(back.samples.features, made.samples.features)
    (tmp_path / "r.safetensors").write_bytes(to_bytes(made))
    assert load_reference(tmp_path / "r.safetensors").origin == made.origin
    for bad in (
        b"",
        b"not one",
        to_bytes(made)[:-5],
        safetensors.torch.save({"features": torch.zeros(4, 3)}),
    ):
        with pytest.raises(DataError, match="the reference"):
            from_bytes(bad)


@pytest.mark.parametrize("read", [load_reference, lambda url: merge_files([url])])
def test_a_url_is_no_file(read):
    with pytest.raises(
        UsageError, match=r"^https://host/x\.npz: references are read from files on a disk only"
    ):
        read("https://user:hunter2@host/x.npz?token=secret")
