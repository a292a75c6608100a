"""Whatever form images come in, the numbers are those of the same images in a folder."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, TensorDataset

from assay import UsageError, compare
from assay.cli import run
from assay.comparing.set_names import candidates_of
from assay.data import sampler, torch_dataset_images
from assay.features import pixels

RNG = np.random.default_rng(1)
REAL = RNG.integers(0, 256, (40, 9, 8, 3), dtype=np.uint8)
MADE = RNG.integers(20, 200, (30, 9, 8, 3), dtype=np.uint8)
HOW = {"features": "pixels", "measures": "fd", "cache": False}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sets")
    for name, images in (("real", REAL), ("made", MADE)):
        (root / name).mkdir()
        for k, image in enumerate(images):
            Image.fromarray(image).save(root / name / f"{k:03d}.png")
    with zipfile.ZipFile(root / "made.zip", "w") as archive:
        for file in sorted((root / "made").iterdir()):
            archive.write(file, file.name)
    np.savez(root / "made.npz", arr_0=MADE)
    np.save(root / "made.npy", MADE)
    return root


@pytest.fixture(scope="module")
def value(folder: Path) -> float:
    return compare(folder / "real", {"a": folder / "made"}, **HOW)["a", "fd"].value  # type: ignore[arg-type]


class Pairs(Dataset[tuple[torch.Tensor, int]]):
    def __len__(self) -> int:
        return len(MADE)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.from_numpy(MADE[index]).permute(2, 0, 1), index % 2


@pytest.mark.parametrize("name", ["made.zip", "made.npz", "made.npy", "made/*.png"])
def test_files(folder: Path, value: float, name: str) -> None:
    found = compare(folder / "real", {"a": str(folder / name)}, **HOW)  # type: ignore[arg-type]
    assert found["a", "fd"].value == value


def test_objects(folder: Path, value: float) -> None:
    tensors = torch.from_numpy(MADE).permute(0, 3, 1, 2)
    made = {
        "array": MADE,
        "tensor": tensors,
        "dataset": Pairs(),
        "loader": DataLoader(Pairs(), batch_size=7),
        "tensors": TensorDataset(tensors),
        "sampler": sampler(_by_row, batch_size=10, conditions=torch.arange(30)),
    }
    found = compare(folder / "real", made, **HOW)  # type: ignore[arg-type]
    assert {name: found[name, "fd"].value for name in made} == dict.fromkeys(made, value)


def _by_row(rows: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(MADE[rows.numpy()]).permute(0, 3, 1, 2)


def test_labels_of_a_dataset_make_classes() -> None:
    real = torch_dataset_images(Pairs())
    found = compare(real, {"a": Pairs()}, classes="auto", **HOW)  # type: ignore[arg-type]
    assert [row.group for row in found.classes] == ["0", "1"]
    assert all(row.estimate.value == pytest.approx(0, abs=1e-6) for row in found.classes)


def test_a_generator_by_name_on_the_command_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my_generator.py").write_text(
        "import torch\ndef make(k):\n    return torch.rand(k, 3, 9, 8)\n"
    )
    monkeypatch.chdir(tmp_path)
    base = [
        "compare",
        str(folder / "real"),
        "python:my_generator:make",
        "--features",
        "pixels",
        "--measures",
        "fd",
        "-q",
    ]
    assert run([*base, "--samples", "20", "--value-range", "0,1", "--no-cache"]) == 0
    assert "my_generator:make, 20 images" in capsys.readouterr().out
    assert run([*base, "--samples", "20", "--value-range", "0"]) == 2
    assert "--value-range: expected LOW,HIGH" in capsys.readouterr().err
    assert run([*base, "--samples", "20", "--value-range=0,0.5", "--no-cache"]) == 1
    assert "0.5" in capsys.readouterr().err


def test_options_of_a_generator_need_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", str(folder / "real"), str(folder / "made"), "--samples", "9"]) == 2
    assert "--samples: only for python:MODULE:NAME" in capsys.readouterr().err


def test_what_makes_images_incomparable_is_in_the_result(folder: Path, tmp_path: Path) -> None:
    for k, image in enumerate(MADE):
        Image.fromarray(image).save(tmp_path / f"{k:03d}.jpg", quality=60)
    found = compare(folder / "real", {"a": tmp_path}, **HOW)  # type: ignore[arg-type]
    assert "compression" in {note.kind for note in found.notes}
    copied = compare(REAL, {"a": np.concatenate([MADE, REAL[:5]])}, **HOW)  # type: ignore[arg-type]
    (note,) = [note for note in copied.notes if note.kind == "copies"]
    assert note.numbers["copies"] == 5


def test_a_url_is_named_without_its_credentials() -> None:
    assert list(candidates_of(["https://user:secret@host/sets/made.zip?token=abc"])) == ["made"]


def test_floats_without_a_range_are_refused() -> None:
    with pytest.raises(UsageError, match="value_range"):
        compare(REAL, TensorDataset(torch.rand(8, 3, 9, 8)), **HOW)  # type: ignore[arg-type]


def test_kept_features_give_the_same_numbers_and_no_second_pass(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path))
    how = {**HOW, "cache": True}
    first = compare(folder / "real", {"a": folder / "made"}, **how)  # type: ignore[arg-type]

    def never(*_: object, **__: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(pixels, "Outputs", never)
    again = compare(folder / "real", {"a": folder / "made"}, **how)  # type: ignore[arg-type]
    assert again["a", "fd"] == first["a", "fd"]
    with pytest.raises(AssertionError, match="computed again"):
        compare(folder / "real", {"a": folder / "made"}, **HOW)  # type: ignore[arg-type]
