"""Statistics as files, and what is said of files that are none."""

from __future__ import annotations

import os
import pickle
import struct

import pytest
import torch
from safetensors.torch import save_file

from assay import DataError, Moments, Neighbours, Samples, frechet_distance
from assay.data import load_features
from assay.references import Reference, save_reference
from assay.sets import Predictions
from assay.statistics import Directions, load, save
from assay.statistics.files import read_metadata

ALL = [Moments, Samples, Neighbours, Directions, Predictions]


@pytest.mark.parametrize("n", [4, 30])
@pytest.mark.parametrize("kind", ALL, ids=lambda k: k.__name__)
def test_every_statistic_comes_back_bit_by_bit(normal, tmp_path, kind, n):
    made = kind.of(normal(n, 7).softmax(1), torch.arange(1, n + 1).double())
    path = tmp_path / "folder" / "stat.safetensors"  # folders on the way are made
    save(made, path, metadata={"extractor": "pixels"})
    back = load(path)
    assert type(back) is kind
    assert {k: v.tolist() for k, v in back.tensors().items()} == {
        k: v.tolist() for k, v in made.tensors().items()
    }
    assert read_metadata(path)["extractor"] == "pixels"
    assert os.listdir(path.parent) == ["stat.safetensors"]  # no temporary file stays


def test_a_loaded_reference_is_the_reference(normal, tmp_path):
    x, y = normal(30, 7), normal(20, 7)
    save(Moments.of(x), tmp_path / "x")
    assert float(frechet_distance(load(tmp_path / "x"), y)) == float(frechet_distance(Moments.of(x), y))


def test_a_failed_write_leaves_the_old_file(normal, tmp_path, monkeypatch):
    path = tmp_path / "x"
    save(Moments.of(normal(30, 3)), path)
    before = path.read_bytes()

    def broken(*_args, **_keywords):
        raise OSError("no space left on device")

    monkeypatch.setattr("assay.statistics.files.save_file", broken)
    with pytest.raises(OSError, match="no space"):
        save(Moments.of(normal(30, 3)), path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["x"]


class Trap:
    def __reduce__(self):
        return os.abort, ()


def written(tmp_path, what, normal):
    path = tmp_path / "bad"
    good = tmp_path / "good"
    save(Moments.of(normal(30, 3)), good)
    whole = good.read_bytes()
    header = struct.unpack("<Q", whole[:8])[0]
    match what:
        case "missing":
            pass
        case "a folder":
            path.mkdir()
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_text("mean,covariance\n1,2\n" * 20)
        case "a pickle":
            path.write_bytes(pickle.dumps(Trap()))
        case "torch.save":
            torch.save({"mean": torch.zeros(3)}, path)
        case "cut in the header":
            path.write_bytes(whole[:40])
        case "cut in the tensors":
            path.write_bytes(whole[:-9])
        case "a header that is no text":
            path.write_bytes(whole[:8] + b"\xff" * header + whole[8 + header :])
        case "a header that is a list":
            path.write_bytes(struct.pack("<Q", 2) + b"[]" + whole)
        case "a header longer than the file":
            path.write_bytes(struct.pack("<Q", 10**7) + whole[8:])
        case "plain safetensors":
            save_file({"features": torch.zeros(4, 3)}, str(path))
        case "an unknown statistic":
            save_file(
                {"a": torch.zeros(2)}, str(path), metadata={"assay.statistic": "Sketch", "assay.format": "1"}
            )
        case "another format":
            save_file(
                {"a": torch.zeros(2)}, str(path), metadata={"assay.statistic": "Moments", "assay.format": "9"}
            )
        case "missing tensors":
            save_file(
                {"weight": torch.ones(())},
                str(path),
                metadata={"assay.statistic": "Moments", "assay.format": "1"},
            )
    return path


WORDS = {
    "missing": "no such file",
    "a folder": "no such file",
    "plain safetensors": "not a statistic",
    "an unknown statistic": "'Sketch'",
    "another format": "format '9'",
    "missing tensors": "mean",
    "cut in the tensors": "damaged Moments",
}


@pytest.mark.parametrize(
    "what",
    [*WORDS, "empty", "text", "a pickle", "torch.save", "cut in the header", "a header that is no text",
     "a header that is a list", "a header longer than the file"],
)  # fmt: skip
def test_damaged_and_foreign_files(normal, tmp_path, what):
    path = written(tmp_path, what, normal)
    with pytest.raises(DataError, match=WORDS.get(what, "not a s")) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


INCONSISTENT = {
    "a mean of no dimension": (Moments, lambda t: {**t, "mean": torch.zeros(())}),
    "a scatter of another width": (Moments, lambda t: {**t, "scatter": torch.zeros(4, 4)}),
    "neither scatter nor rows": (Moments, lambda t: {k: v for k, v in t.items() if k != "scatter"}),
    "counts of another length": (Samples, lambda t: {**t, "counts": torch.ones(2)}),
    "features of one dimension": (Samples, lambda t: {**t, "features": torch.ones(30)}),
    "NaN": (Moments, lambda t: {**t, "mean": torch.full((3,), float("nan"))}),
    "whole numbers": (Samples, lambda t: {**t, "features": torch.ones(30, 3, dtype=torch.int64)}),
}


@pytest.mark.parametrize("what", INCONSISTENT)
def test_tensors_that_cannot_be_a_statistic_are_refused(normal, tmp_path, what):
    kind, spoil = INCONSISTENT[what]
    path = tmp_path / "spoiled"
    header = {"assay.statistic": kind.__name__, "assay.format": "1"}
    save_file(spoil(kind.of(normal(30, 3)).tensors()), str(path), metadata=header)
    with pytest.raises(DataError, match=kind.__name__):
        load(path)


def test_a_reference_is_read_by_its_own_reader(normal, tmp_path):
    save_reference(Reference({"features": Moments.of(normal(30, 3))}), tmp_path / "ref.safetensors")
    with pytest.raises(DataError, match="load_reference"):
        load(tmp_path / "ref.safetensors")
    for name, kind in (("ref", None), ("stat", Moments)):
        if kind is not None:
            save(kind.of(normal(30, 3)), tmp_path / f"{name}.safetensors")
        with pytest.raises(DataError, match=r"not features.*load_reference"):
            load_features(tmp_path / f"{name}.safetensors")
