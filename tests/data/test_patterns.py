"""Patterns and lists of paths: what they stand for, in which order, under which names."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")

from assay.data import holds_images, open_images  # noqa: E402
from assay.data.patterns import without_braces  # noqa: E402
from assay.errors import DataError, UsageError  # noqa: E402


def png(level):
    buffer = io.BytesIO()
    Image.new("L", (3, 2), level).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def root(tmp_path):
    for name, level in {"shots/a.png": 1, "shots/b.png": 2, "shots/deep/c.jpg": 3, "more/d.png": 4}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(png(level))
    (tmp_path / "shots" / "notes.txt").write_text("x")
    (tmp_path / "shots" / ".hidden.png").write_bytes(png(9))
    for i in range(2):
        with zipfile.ZipFile(tmp_path / f"set-{i}.zip", "w") as file:
            file.writestr("x.png", png(10 + i))
    return tmp_path


@pytest.mark.parametrize(
    "pattern,expected",
    [
        ("a", ["a"]),
        ("a-{08..10}.tar", ["a-08.tar", "a-09.tar", "a-10.tar"]),
        ("{8..10}", ["8", "9", "10"]),
        ("{000..002}", ["000", "001", "002"]),
        ("{a,b}/{0..1}", ["a/0", "a/1", "b/0", "b/1"]),
        ("{a,}x", ["ax", "x"]),
    ],
)
def test_braces(pattern, expected):
    assert without_braces(pattern) == expected


@pytest.mark.parametrize("pattern", ["{5..1}", "{a..c}", "{x}", "{0..99999999}", "{0..9999}" * 3])
def test_braces_that_are_none_are_refused(pattern):
    with pytest.raises(UsageError):
        without_braces(pattern)


@pytest.mark.parametrize(
    "pattern,names",
    [
        ("shots/*.png", ["a.png", "b.png"]),
        ("shots/*", ["a.png", "b.png"]),  # not the notes, not the folder
        ("shots/?.p[no]g", ["a.png", "b.png"]),
        ("**/*.png", ["more/d.png", "shots/a.png", "shots/b.png"]),
        ("{shots,more}/*.png", ["shots/a.png", "shots/b.png", "more/d.png"]),
        ("set-{0..1}.zip", ["set-0.zip/x.png", "set-1.zip/x.png"]),
        ("set-*.zip", ["set-0.zip/x.png", "set-1.zip/x.png"]),
        ("set-[1].zip", ["x.png"]),
        ("{shots,more}", ["shots/a.png", "shots/b.png", "shots/deep/c.jpg", "more/d.png"]),
    ],
)
def test_what_a_pattern_stands_for(root, pattern, names, monkeypatch):
    for given in (f"{root}/{pattern}", pattern):
        monkeypatch.chdir(root)
        source = open_images(given)
        assert list(source.names) == names
        assert pattern in source.description or len(names) == 1
        assert all(source.decode(i).shape == (2, 3, 3) for i in range(len(source)))


def test_several_paths_are_one_set(root):
    source = open_images([root / "shots", root / "set-1.zip"])
    assert list(source.names) == ["shots/a.png", "shots/b.png", "shots/deep/c.jpg", "set-1.zip/x.png"]
    assert (source.decode(3) == 11).all() and len(source.names[:2]) == 2
    assert list(open_images([root / "more/d.png", root / "shots/a.png"]).names) == [
        "more/d.png",
        "shots/a.png",
    ]
    assert (
        source.signature is not None
        and source.signature != open_images([root / "set-1.zip", root / "shots"]).signature
    )


def test_a_file_whose_name_is_a_pattern_is_itself(root):
    (root / "[1]{2}.zip").write_bytes((root / "set-0.zip").read_bytes())
    (root / "a#b.zip").write_bytes((root / "set-1.zip").read_bytes())
    assert (open_images(root / "[1]{2}.zip").decode(0) == 10).all()
    assert (open_images(root / "a#b.zip").decode(0) == 11).all()


def test_what_is_wrong_is_said(root):
    with pytest.raises(DataError, match=r"\*\.webp matches nothing"):
        open_images(f"{root}/*.webp")
    with pytest.raises(
        UsageError, match=r"either image files or sets of images, got both, e\.g\. d\.png and set-0\.zip"
    ):
        open_images(f"{root}/{{more/d.png,set-0.zip}}")
    with pytest.raises(DataError, match="is given twice"):
        open_images([root / "set-0.zip", root / "set-0.zip"])
    with pytest.raises(DataError, match="does not exist"):
        open_images([root / "set-0.zip", root / "set-9.zip"])
    with pytest.raises(DataError, match=r"holds no images: 1 other file \(1 \.txt\)"):
        open_images(f"{root}/shots/*.txt")
    with pytest.raises(UsageError, match="#x chooses within a table"):
        open_images(f"{root}/set-0.zip#x")
    with pytest.raises(DataError, match="empty list"):
        open_images([])
    with pytest.raises(UsageError, match="must be a path, a URL or a list of them, not int"):
        open_images(3)
    with pytest.raises(UsageError, match="path as text"):
        open_images("")


def test_a_folder_of_two_kinds_of_shards_is_not_guessed(root):
    (root / "both").mkdir()
    (root / "both" / "a.zip").write_bytes((root / "set-0.zip").read_bytes())
    (root / "both" / "b.tar").write_bytes(b"x")
    with pytest.raises(DataError, match=r"holds no images: 2 other files \(1 \.zip, 1 \.tar\)"):
        open_images(root / "both")


def test_which_files_hold_images(root):
    np.save(root / "a.npy", np.zeros((2, 4, 4, 3), np.uint8))
    np.save(root / "b.npy", np.zeros((2, 4)))
    assert holds_images(root / "a.npy") and holds_images(root / "set-0.zip")
    assert not holds_images(root / "b.npy") and not holds_images(root / "x.safetensors")
