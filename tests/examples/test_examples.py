"""The example sets are what examples/README.md says they are, and the script that makes them runs."""

from __future__ import annotations

import gzip
import importlib
import io
import os
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from assay.errors import DataError

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
SETS = ("real", "early", "late")


@pytest.fixture
def fashion_mnist(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("fashion_mnist")


@pytest.fixture
def image_zip(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("image_zip")


@pytest.fixture
def train_generator(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    with torch.random.fork_rng():
        yield importlib.import_module("train_generator")


def read_set(path: Path) -> dict[str, NDArray[np.uint8]]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        images = {}
        for name in archive.namelist():
            with Image.open(io.BytesIO(archive.read(name))) as image:
                assert (image.format, image.mode, image.size) == ("PNG", "L", (28, 28)), name
                images[name] = np.asarray(image)
    return images


def write_idx(path: Path, array: NDArray[np.uint8]) -> None:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))


def write_dataset(folder: Path, n: int = 200) -> None:
    """Four files in the original format: noise, darker where the label is higher."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for part in ("train", "t10k"):
        labels = (np.arange(n) % 10).astype(np.uint8)
        images = rng.integers(0, 256 - 20 * labels[:, None, None].astype(int), (n, 28, 28)).astype(np.uint8)
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", images)
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", labels)


@pytest.mark.parametrize("name", SETS)
def test_a_set_holds_a_hundred_images_of_each_class(name: str, fashion_mnist: ModuleType) -> None:
    images = read_set(EXAMPLES / f"{name}.zip")
    assert len(images) == 1000
    assert Counter(member.split("/")[0] for member in images) == dict.fromkeys(fashion_mnist.CLASSES, 100)
    # Blank or constant images would be readable too.
    assert min(image.std() for image in images.values()) > 5


def test_no_image_is_in_the_sets_twice() -> None:
    sets = [read_set(EXAMPLES / f"{name}.zip") for name in SETS]
    counts = Counter(image.tobytes() for images in sets for image in images.values())
    assert max(counts.values()) == 1


def test_the_files_are_small_enough_to_keep() -> None:
    assert sum((EXAMPLES / f"{name}.zip").stat().st_size for name in SETS) < 3_000_000
    assert (EXAMPLES / "samples.png").stat().st_size < 200_000


def test_the_real_set_is_the_first_test_images_of_each_class(fashion_mnist: ModuleType) -> None:
    if not fashion_mnist.DEBIAN_FOLDER.is_dir():
        pytest.skip("needs the Debian package dataset-fashion-mnist")
    images, labels = fashion_mnist.load("test")
    members = read_set(EXAMPLES / "real.zip")
    seen = [0] * 10
    for image, label in zip(images, labels, strict=True):
        if seen[label] < 100:
            member = f"{fashion_mnist.CLASSES[label]}/{seen[label]:04d}.png"
            np.testing.assert_array_equal(members[member], image, err_msg=member)
            seen[label] += 1
    assert seen == [100] * 10


def test_no_generated_image_is_a_training_image(fashion_mnist: ModuleType) -> None:
    if not fashion_mnist.DEBIAN_FOLDER.is_dir():
        pytest.skip("needs the Debian package dataset-fashion-mnist")
    known = {image.tobytes() for image in fashion_mnist.load("train")[0]}
    for name in ("early", "late"):
        assert not any(image.tobytes() in known for image in read_set(EXAMPLES / f"{name}.zip").values())


def test_the_script_writes_all_files_in_two_steps(tmp_path: Path, fashion_mnist: ModuleType) -> None:
    write_dataset(tmp_path / "data")
    arguments = [
        "--data",
        str(tmp_path / "data"),
        "--out",
        str(tmp_path / "out"),
        "--steps",
        "2",
        "--per-class",
        "1",
    ]
    result = subprocess.run(
        [sys.executable, str(EXAMPLES / "train_generator.py"), *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stderr
    assert "step 2 of 2" in result.stderr and "left" in result.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"{name}.zip" for name in SETS} | {
        "samples.png"
    }
    sets = [read_set(tmp_path / "out" / f"{name}.zip") for name in SETS]
    assert [len(images) for images in sets] == [10, 10, 10]
    test_images, _ = fashion_mnist.load("test", tmp_path / "data")
    np.testing.assert_array_equal(np.stack(list(sets[0].values())), test_images[:10])
    assert all((sets[1][name] != sets[2][name]).any() for name in sets[1])


def test_the_same_seed_makes_the_same_bytes(tmp_path: Path, train_generator: ModuleType) -> None:
    write_dataset(tmp_path)
    written = {}
    for run, seed in (("first", "0"), ("again", "0"), ("other", "1")):
        out = tmp_path / run
        common = ["--data", str(tmp_path), "--steps", "2", "--per-class", "1"]
        assert train_generator.main([*common, "--seed", seed, "--out", str(out)]) == 0
        written[run] = {path.name: path.read_bytes() for path in out.iterdir()}
    assert written["again"] == written["first"]
    assert written["other"]["real.zip"] == written["first"]["real.zip"]
    assert written["other"]["late.zip"] != written["first"]["late.zip"]


def test_a_missing_dataset_is_one_line_that_names_package_and_files(
    tmp_path: Path, train_generator: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train_generator.main(["--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "dataset-fashion-mnist" in message and "--data" in message
    assert "train-images-idx3-ubyte.gz" in message and "t10k-labels-idx1-ubyte.gz" in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [("--steps", "1"), ("--per-class", "0"), ("--device", "toaster")])
def test_wrong_options_exit_with_2(
    arguments: tuple[str, str], train_generator: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        train_generator.main(list(arguments))
    assert caught.value.code == 2
    assert f"argument {arguments[0]}: {arguments[1]}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "not an IDX file"),
        (b"plain text", "cannot be read as a gzip file"),
        (gzip.compress(b"\0\0\x0d\x01\0\0\0\0"), "starts with 00 00 0d 01"),
        (gzip.compress(b"\0\0\x08\x03\0\0"), "not an IDX file"),
        (gzip.compress(b"\0\0\x08\x01\0\0\0\x05abc"), "holds 3 values where its header promises 5"),
        (gzip.compress(b"\0\0\x08\x01\0\0\0\x05abcde")[:-6], "cannot be read as a gzip file"),
    ],
    ids=["empty", "not-gzip", "floats", "short-header", "short-values", "truncated"],
)
def test_a_broken_idx_file_is_named(
    content: bytes, expected: str, tmp_path: Path, fashion_mnist: ModuleType
) -> None:
    path = tmp_path / "broken.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=expected) as caught:
        fashion_mnist.read_idx(path)
    assert str(path) in str(caught.value)


def test_labels_that_do_not_fit_the_images_are_refused(tmp_path: Path, fashion_mnist: ModuleType) -> None:
    write_dataset(tmp_path)
    write_idx(tmp_path / "t10k-labels-idx1-ubyte.gz", np.zeros(199, np.uint8))
    with pytest.raises(DataError, match=r"labels \(199,\)"):
        fashion_mnist.load("test", tmp_path)
    write_idx(tmp_path / "t10k-labels-idx1-ubyte.gz", np.full(200, 10, np.uint8))
    with pytest.raises(DataError, match=r"labels in 0\.\.9"):
        fashion_mnist.load("test", tmp_path)


def test_a_class_with_too_few_images_is_named(fashion_mnist: ModuleType) -> None:
    labels = np.repeat(np.arange(10), 2)[:-1].astype(np.uint8)
    images = np.zeros((19, 28, 28), np.uint8)
    with pytest.raises(DataError, match="2 images of class ankle-boot were asked for and there are 1"):
        fashion_mnist.first_of_each_class(images, labels, 2)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, image_zip: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "set.zip"
    path.write_bytes(b"old")

    def refuse(source: str, target: Path) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(image_zip.os, "replace", refuse)
    with pytest.raises(OSError, match="no space left"):
        image_zip.replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
