"""Folders and zips: what is found, in which order, and how it is said that something is wrong."""

from __future__ import annotations

import io
import os
import pickle
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")

from assay.data import UnreadableImage, array_images, batches, open_images, stored_file  # noqa: E402
from assay.errors import DataError, UsageError  # noqa: E402


def png(level, size=(3, 2)):
    buffer = io.BytesIO()
    Image.new("L", size, level).save(buffer, "PNG")
    return buffer.getvalue()


FILES = {"b/2.PNG": 2, "a.png": 0, "b/10.png": 1, "c.png": 3}
IGNORED = ["b/.hidden.png", ".git/x.png", "__MACOSX/a.png", "notes.txt"]


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "set"
    for name, level in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(png(level))
    for name in IGNORED:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"nothing")
    return root


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, level in FILES.items():
            file.writestr(name, png(level))
        for name in IGNORED:
            file.writestr(name, b"nothing")
        file.mkdir("empty.png")
    return path


@pytest.mark.parametrize("kind", ["folder", "archive"])
def test_images_are_found_at_any_depth_in_order_of_name(kind, request):
    source = open_images(request.getfixturevalue(kind))
    assert source.names == ("a.png", "b/10.png", "b/2.PNG", "c.png")
    assert len(source) == 4
    assert str(request.getfixturevalue(kind)) in source.description
    image = source.decode(1)
    assert image.shape == (2, 3, 3) and (image == 1).all()


def test_a_source_travels_to_another_process(archive, folder):
    for path in (archive, folder):
        source = open_images(path)
        source.decode(0)
        copy = pickle.loads(pickle.dumps(source))
        np.testing.assert_array_equal(copy.decode(3), source.decode(3))


def test_linked_folders_are_followed_and_loops_end(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "z.png").write_bytes(png(9))
    (folder / "link").symlink_to(other)
    (folder / "loop").symlink_to(folder)
    assert open_images(folder).names == ("a.png", "b/10.png", "b/2.PNG", "c.png", "link/z.png")


def test_a_dangling_link_and_a_pipe_are_named_not_dropped_and_not_waited_for(folder):
    (folder / "dangling.png").symlink_to(folder / "nowhere.png")
    os.mkfifo(folder / "pipe.png")
    source = open_images(folder)
    with pytest.raises(UnreadableImage, match=r"dangling\.png cannot be read: no such file"):
        source.decode(source.names.index("dangling.png"))
    with pytest.raises(UnreadableImage, match=r"pipe\.png cannot be read: not a regular file"):
        source.decode(source.names.index("pipe.png"))


def test_a_zip_is_read_by_many_threads_at_once(tmp_path):
    path = tmp_path / "many.zip"
    with zipfile.ZipFile(path, "w") as file:
        for level in range(200):
            file.writestr(f"{level:03}.png", png(level))
    source = open_images(path)
    seen = list(batches(source, transform=lambda image: image[:1, :1, 0:1].astype(np.float32), workers=8))
    assert np.concatenate([b.images.numpy().ravel() for b in seen]).tolist() == list(range(200))


def test_damaged_members_are_named_with_the_reason(tmp_path):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("crc.png", png(1))
        file.writestr("good.png", png(2))
    content = bytearray(path.read_bytes())
    content[content.index(b"IDAT") + 9] ^= 0xFF
    path.write_bytes(content)
    source = open_images(path)
    with pytest.raises(UnreadableImage, match=r"crc\.png cannot be read: damaged: wrong checksum"):
        source.decode(0)
    assert (source.decode(1) == 2).all()


def test_a_member_that_claims_too_much_or_is_encrypted_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.png", b"\0" * 5_000)
    monkeypatch.setattr("assay.data.archive.MAX_FILE_BYTES", 4_999)
    with pytest.raises(UnreadableImage, match="more than 4,999 bytes"):
        open_images(path).decode(0)
    monkeypatch.undo()
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(UnreadableImage, match="encrypted"):
        open_images(path).decode(0)


@pytest.mark.filterwarnings("ignore")
def test_no_mutation_of_a_zip_raises_anything_else(archive):
    content = archive.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        damaged = bytearray(content)
        for position in rng.integers(0, len(damaged), 6):
            damaged[position] = rng.integers(0, 256)
        archive.write_bytes(damaged)
        try:
            source = open_images(archive)
            for index in range(len(source)):
                source.decode(index)
        except DataError:
            refused += 1
    assert refused > 20


def test_what_is_wrong_is_said_in_one_line(tmp_path, folder):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match=r"empty is empty: expected images \(\.bmp, .*\.webp\)"):
        open_images(empty)
    (empty / "a.txt").write_text("x")
    (empty / "b.TXT").write_text("x")
    (empty / "data.npy").write_text("x")
    with pytest.raises(DataError, match=r"holds no images: 3 other files \(2 \.txt, 1 \.npy\)"):
        open_images(empty)
    with pytest.raises(DataError, match="does not exist"):
        open_images(tmp_path / "missing")
    with pytest.raises(DataError, match="cannot be opened"):
        open_images(tmp_path / ("x" * 300))
    fake = tmp_path / "fake.zip"
    fake.write_bytes(b"PK but no zip")
    with pytest.raises(DataError, match="is not a zip"):
        open_images(fake)
    with pytest.raises(UsageError, match="is a single image"):
        open_images(folder / "a.png")
    with pytest.raises(DataError, match=r"not a whole \.npy file"):
        open_images(empty / "data.npy")
    (empty / "data.safetensors").write_text("x")
    with pytest.raises(UsageError, match="use load_features"):
        open_images(empty / "data.safetensors")
    with pytest.raises(UsageError, match="a kind that is not read"):
        open_images(empty / "a.txt")


def test_two_members_of_one_name_are_refused(tmp_path):
    path = tmp_path / "twice.zip"
    with zipfile.ZipFile(path, "w") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("a.png", png(1))
        file.writestr("a.png", png(2))
    with pytest.raises(DataError, match=r"two members named a\.png"):
        open_images(path)


def test_arrays_of_images_in_either_layout():
    import torch

    images = np.random.default_rng(0).integers(0, 256, (4, 3, 5, 6), dtype=np.uint8)
    for given in (images, torch.from_numpy(images), np.ascontiguousarray(images.transpose(0, 2, 3, 1))):
        source = array_images(given)
        assert list(source.names) == ["0", "1", "2", "3"] and source.names[-1] == "3"
        np.testing.assert_array_equal(source.decode(2), images[2].transpose(1, 2, 0))
    grey = array_images(images[:, :1])
    np.testing.assert_array_equal(grey.decode(1), np.repeat(images[1, 0][:, :, None], 3, 2))


def test_arrays_that_are_not_images_are_refused():
    with pytest.raises(DataError, match="must be uint8 with values 0-255, not float32"):
        array_images(np.zeros((2, 3, 4, 4), np.float32))
    with pytest.raises(DataError, match=r"not \(2, 4, 4\)"):
        array_images(np.zeros((2, 4, 4), np.uint8))
    with pytest.raises(DataError, match="1 or 3 channels"):
        array_images(np.zeros((2, 4, 4, 4), np.uint8))
    with pytest.raises(DataError, match="could be"):
        array_images(np.zeros((2, 3, 4, 3), np.uint8))
    with pytest.raises(DataError, match="no empty axis"):
        array_images(np.zeros((0, 3, 4, 4), np.uint8))
    with pytest.raises(UsageError, match="not list"):
        array_images([[1]])


def test_nothing_is_left_running(folder):
    list(batches(open_images(folder), transform=lambda image: image.transpose(2, 0, 1).astype(np.float32)))
    assert not [t for t in threading.enumerate() if t.name.startswith("assay-decode")]


def test_names_that_would_break_a_line_or_cannot_be_printed_are_escaped(tmp_path):
    for name in (b"a\n\x1b[31m.png", b"b\xff.png"):
        with open(os.path.join(os.fsencode(tmp_path), name), "wb"):
            pass
    source = open_images(tmp_path)
    with pytest.raises(DataError) as caught:
        list(batches(source, transform=lambda image: image.astype(np.float32)))
    assert str(caught.value).isprintable() and "'a\\n\\x1b[31m.png' (empty file)" in str(caught.value)


def test_a_member_shorter_than_it_says_is_refused(tmp_path):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.png", png(1))
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 24] += 1  # the size in the table of contents
    path.write_bytes(content)
    with pytest.raises(UnreadableImage, match=r"^a\.png cannot be read: damaged in the zip"):
        open_images(path).decode(0)


def test_a_damaged_image_of_a_joined_set_is_named_with_its_set(tmp_path):
    for name, flag in [("a", 0), ("b", 1)]:
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as file:
            file.writestr("x.png", png(1))
        content = bytearray((tmp_path / f"{name}.zip").read_bytes())
        content[content.index(b"PK\x01\x02") + 8] |= flag  # encrypted
        (tmp_path / f"{name}.zip").write_bytes(content)
    with pytest.raises(UnreadableImage, match=r"^b\.zip/x\.png cannot be read: encrypted"):
        open_images([tmp_path / "a.zip", tmp_path / "b.zip"]).decode(1)


def test_a_file_written_a_moment_ago_has_no_signature(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a tick of the clock it could change again and look the same."""
    file = tmp_path / "a.png"
    Image.new("RGB", (2, 2)).save(file)
    assert open_images(tmp_path).signature is not None
    monkeypatch.setattr(stored_file, "RACY", 2.0)
    assert open_images(tmp_path).signature is None
    monkeypatch.setattr(stored_file.time, "time", lambda: file.stat().st_ctime + 2.1)
    assert open_images(tmp_path).signature is not None
