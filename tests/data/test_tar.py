"""Tars and WebDataset shards, read in place: what tarfile wrote is found, and nothing that lies is believed."""

from __future__ import annotations

import io
import os
import pickle
import tarfile

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")

from assay.data import UnreadableImage, batches, labels_of, open_images  # noqa: E402
from assay.errors import DataError, UsageError  # noqa: E402


def png(level):
    buffer = io.BytesIO()
    Image.new("L", (3, 2), level).save(buffer, "PNG")
    return buffer.getvalue()


def add(archive, name, content, **fields):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    archive.addfile(info, io.BytesIO(content))


def write(path, files, format=tarfile.PAX_FORMAT, mode="w"):
    with tarfile.open(path, mode, format=format) as archive:
        for name, content in files.items():
            add(archive, name, content)
    return path


LONG = "deep/" * 30 + "ä" * 60 + ".png"


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_images_of_every_tar_format_are_found_by_name(tmp_path, format):
    files = {"./b/2.PNG": png(2), "a.png": png(0), "b/10.png": png(1), ".git/x.png": b"", "b/._2.png": b"x"}
    files |= {"__MACOSX/a.png": b"x", "notes.txt": b"x", "p" * 90 + "/" + "n" * 90 + ".png": png(7)}
    if format != tarfile.USTAR_FORMAT:
        files[LONG] = png(9)
    source = open_images(write(tmp_path / "set.tar", files, format))
    expected = {"a.png": 0, "b/10.png": 1, "b/2.PNG": 2, "p" * 90 + "/" + "n" * 90 + ".png": 7, LONG: 9}
    assert list(source.names) == sorted(
        name for name in expected if format != tarfile.USTAR_FORMAT or name != LONG
    )
    for index, name in enumerate(source.names):
        assert (source.decode(index) == expected[name]).all()
    assert str(tmp_path / "set.tar") in source.description and source.labels is None


def test_many_threads_and_other_processes_read_one_tar(tmp_path):
    source = open_images(write(tmp_path / "a.tar", {f"{level:03}.png": png(level) for level in range(200)}))
    seen = list(batches(source, transform=lambda image: image[:1, :1, 0:1].astype(np.float32), workers=8))
    assert np.concatenate([b.images.numpy().ravel() for b in seen]).tolist() == list(range(200))
    assert (pickle.loads(pickle.dumps(source)).decode(150) == 150).all()


def test_the_signature_changes_with_the_file_and_a_change_while_reading_is_said(tmp_path):
    path = write(tmp_path / "a.tar", {"a.png": png(1)})
    source = open_images(path)
    assert source.signature == open_images(path).signature is not None
    write(path, {"a.png": png(2), "b.png": png(3)})
    assert open_images(path).signature != source.signature
    with pytest.raises(DataError, match="was changed while it was read"):
        source.decode(0)


def test_webdataset_labels_and_shards_in_braces(tmp_path):
    for shard in range(3):
        files = {}
        for i in range(4):
            files[f"{shard}{i:03}.cls"] = str(i % 2).encode()
            files[f"{shard}{i:03}.png"] = png(10 * shard + i)
        write(tmp_path / f"data-{shard:03}.tar", files)
    source = open_images(str(tmp_path / "data-{000..002}.tar"))
    assert source.names[4] == "data-001.tar/1000.png" and len(source) == 12
    assert [int(source.decode(i)[0, 0, 0]) for i in range(12)] == [
        10 * s + i for s in range(3) for i in range(4)
    ]
    assert list(labels_of(source)) == ["0", "1"] * 6
    assert list(open_images(tmp_path).names) == list(source.names)  # a folder of nothing but shards
    assert list(open_images(str(tmp_path / "*.tar")).names) == list(source.names)


def test_a_sample_of_several_images_needs_a_choice(tmp_path):
    files = {}
    for i in range(3):
        files |= {f"{i}.input.png": png(i), f"{i}.target.png": png(100 + i), f"{i}.json": b"{}"}
    path = write(tmp_path / "a.tar", files)
    with pytest.raises(
        DataError, match=r"several images a sample \(0: input\.png, target\.png\).*#input\.png"
    ):
        open_images(path)
    source = open_images(f"{path}#target.png")
    assert [int(source.decode(i)[0, 0, 0]) for i in range(3)] == [100, 101, 102]
    with pytest.raises(
        UsageError, match=r"no images that end in \.mask\.png: it has input\.png, target\.png"
    ):
        open_images(f"{path}#mask.png")
    # a plain tar of files with dots in their names is no WebDataset
    plain = write(tmp_path / "b.tar", {"x.1.png": png(1), "x.2.png": png(2), "y.png": png(3)})
    assert len(open_images(plain)) == 3


def test_a_sample_without_a_label_is_named(tmp_path):
    files = {"a.png": png(1), "a.cls": b"cat\n", "b.png": png(2)}
    source = open_images(write(tmp_path / "a.tar", files))
    with pytest.raises(DataError, match=r"1 of 2 images in tar .* have no label in its own labels: b\.png"):
        labels_of(source)
    with pytest.raises(DataError, match=r"member a\.cls must hold a class"):
        open_images(write(tmp_path / "b.tar", {"a.png": png(1), "a.cls": b"two\nlines"}))


@pytest.mark.parametrize(
    "kind,words",
    [
        (tarfile.SYMTYPE, "a symbolic link"),
        (tarfile.LNKTYPE, "a hard link"),
        (tarfile.FIFOTYPE, "a named pipe"),
    ],
)
def test_links_and_pipes_are_refused_by_name(tmp_path, kind, words):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        add(archive, "a.png", png(1))
        add(archive, "b.png", b"", type=kind, linkname="a.png")
    with pytest.raises(DataError, match=rf"member b\.png is {words}; expected regular files"):
        open_images(tmp_path / "a.tar")


@pytest.mark.parametrize("name", ["../a.png", "/etc/a.png", "x/../../a.png"])
def test_members_outside_are_refused_by_name(tmp_path, name):
    with pytest.raises(DataError, match="lies outside the archive"):
        open_images(write(tmp_path / "a.tar", {"good.png": png(1), name: png(1)}))


def test_names_given_twice_are_refused(tmp_path):
    path = write(tmp_path / "a.tar", {"a.png": png(1)})
    write(path, {"./a.png": png(2)}, mode="a")
    with pytest.raises(DataError, match=r"two members named a\.png"):
        open_images(path)


@pytest.mark.parametrize("kept", [100, 512, 540, 1024, 1500, 2048])
def test_a_cut_tar_is_refused_wherever_it_was_cut(tmp_path, kept):
    path = write(tmp_path / "a.tar", {"a.png": png(1), "b.png": png(2)})
    path.write_bytes(path.read_bytes()[:kept])
    in_a_member = {540: r" in member a\.png", 1500: " after a|in member b"}
    with pytest.raises(DataError, match=f"is cut off({in_a_member.get(kept, '')})"):
        open_images(path)


def test_tars_joined_by_cat_are_refused_and_not_half_read(tmp_path):
    one, two = (write(tmp_path / f"{i}.tar", {f"{i}.png": png(i)}) for i in range(2))
    both = tmp_path / "both.tar"
    both.write_bytes(one.read_bytes() + two.read_bytes())
    with pytest.raises(DataError, match="goes on behind its end mark"):
        open_images(both)


@pytest.mark.parametrize("mode,method", [("w:gz", "gzip"), ("w:bz2", "bzip2"), ("w:xz", "xz")])
@pytest.mark.parametrize("suffix", [".tar", ".tar.{}"])
def test_compressed_tars_are_refused_with_the_reason(tmp_path, mode, method, suffix):
    path = write(tmp_path / f"a{suffix.format(mode[2:])}", {"a.png": png(1)}, mode=mode)
    with pytest.raises(DataError, match=rf"compressed whole \({method}\): no member of it can be reached"):
        open_images(path)


def test_what_is_no_tar_or_has_no_images_is_said(tmp_path):
    path = tmp_path / "a.tar"
    path.write_bytes(b"hello" * 1000)
    with pytest.raises(DataError, match=r"a\.tar is not a tar$"):
        open_images(path)
    with pytest.raises(DataError, match=r"holds no images: 2 other files \(2 \.txt\)"):
        open_images(write(path, {"a.txt": b"x", "b.txt": b"x"}))
    with pytest.raises(DataError, match="is empty"):
        open_images(write(path, {}))


def test_an_image_that_is_damaged_is_named_alone(tmp_path, monkeypatch):
    source = open_images(write(tmp_path / "a.tar", {"a.png": b"", "b.png": png(2)}))
    with pytest.raises(UnreadableImage, match=r"^a\.png cannot be read: empty file"):
        source.decode(0)
    assert (source.decode(1) == 2).all()
    monkeypatch.setattr("assay.data.tar.MAX_FILE_BYTES", 10)
    with pytest.raises(UnreadableImage, match="more than 10 bytes"):
        source.decode(1)


def test_a_file_made_alike_in_size_and_time_has_another_signature(tmp_path):
    path = write(tmp_path / "a.tar", {"a.png": png(1)})
    os.utime(path, ns=(10**18, 10**18))
    before, size = open_images(path).signature, path.stat().st_size
    write(path, {"a.png": png(2)})
    os.utime(path, ns=(10**18, 10**18))
    assert path.stat().st_size == size and open_images(path).signature != before


def test_a_damaged_image_of_a_joined_set_is_named_with_its_shard(tmp_path):
    paths = [write(tmp_path / f"{i}.tar", {"a.png": b"" if i else png(1)}) for i in range(2)]
    with pytest.raises(UnreadableImage, match=r"^1\.tar/a\.png cannot be read: empty file"):
        open_images(paths).decode(1)
