"""URLs: the same sets from memory, whatever their form; what is missing, and a network that fails, is said as such."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest

from assay.data import UnreadableImage, labels_of, open_images
from assay.data import urls as urls_module
from assay.errors import DataError, MissingExtra, UsageError

from .url_sets import ONE_FILE, SETS, levels

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def memory():
    system = fsspec.filesystem("memory")
    for name, content in SETS.items():
        system.pipe(f"/assay-test/{name}", content)
    yield "memory://assay-test"
    system.rm("/assay-test", recursive=True)


@pytest.mark.parametrize("name", [*ONE_FILE, "pictures", "pictures/*.png", "pictures/{0..3}.png"])
def test_every_form_is_read_from_memory(memory, name):
    source = open_images(f"{memory}/{name}")
    assert levels(source) == [0, 1, 2, 3]
    assert f"{memory}/{name}" in source.description
    assert levels(pickle.loads(pickle.dumps(source))) == [0, 1, 2, 3]
    if name.partition(".")[0] in "ab" or name == "pictures":
        assert source.signature == open_images(f"{memory}/{name}").signature is not None


def test_names_of_a_remote_folder_and_of_shards(memory):
    assert list(open_images(f"{memory}/pictures/").names) == ["0.png", "1.png", "2.png", "3.png"]
    shards = open_images(f"{memory}/shards")
    assert (
        list(shards.names)[3:5] == ["0.zip/c1/3.png", "1.zip/c0/0.png"] and levels(shards) == [0, 1, 2, 3] * 2
    )
    assert list(labels_of(shards, "folders")) == ["c0", "c0", "c1", "c1"] * 2
    assert list(open_images(f"{memory}/shards/{{0..1}}.zip").names) == list(shards.names)


def test_labels_from_a_table_behind_a_url(memory):
    fsspec.filesystem("memory").pipe(
        "/assay-test/l.csv", b"file,label\n" + b"".join(b"%d.png,x%d\n" % (i, i) for i in range(4))
    )
    assert list(labels_of(open_images(f"{memory}/pictures"), f"{memory}/l.csv")) == ["x0", "x1", "x2", "x3"]


def test_the_signature_changes_with_the_content(memory):
    before = open_images(f"{memory}/a.zip").signature
    fsspec.filesystem("memory").pipe("/assay-test/a.zip", SETS["a.zip"] + b"")
    assert open_images(f"{memory}/a.zip").signature != before


def test_a_local_url_is_a_path(tmp_path):
    (tmp_path / "a b.zip").write_bytes(SETS["a.zip"])
    source = open_images(f"file://{tmp_path}/a%20b.zip")
    assert len(source) == 4 and str(tmp_path / "a b.zip") in source.description


def test_what_is_missing_or_unknown_is_said(memory, monkeypatch):
    with pytest.raises(DataError, match=r"memory://assay-test/x\.zip does not exist"):
        open_images(f"{memory}/x.zip")
    with pytest.raises(DataError, match="no folder with files in it"):
        open_images("memory://nothing-here")
    with pytest.raises(DataError, match="matches nothing"):
        open_images(f"{memory}/*.webp")
    with pytest.raises(UsageError, match="no store is known by nope://"):
        open_images("nope://x/a.zip")
    with pytest.raises(UsageError, match="chained URLs are not read"):
        open_images("zip://x::memory://a.zip")
    with pytest.raises(UsageError, match="is a single image"):
        open_images(f"{memory}/pictures/0.png")
    with pytest.raises(DataError, match="not a zip, or is cut off"):
        fsspec.filesystem("memory").pipe("/assay-test/cut.zip", SETS["a.zip"][:-100])
        open_images(f"{memory}/cut.zip")
    source = open_images(f"{memory}/pictures")
    fsspec.filesystem("memory").rm("/assay-test/pictures/1.png")
    with pytest.raises(UnreadableImage, match=r"^1\.png cannot be read: no such file"):
        source.decode(1)
    with pytest.raises(UsageError, match="all on a disk or all behind URLs"):
        open_images([f"{memory}/pictures/0.png", "a.png"])


def test_a_missing_package_is_named(monkeypatch):
    from fsspec import core

    def missing(url, **options):
        raise ImportError("Please install a-package to access it")

    monkeypatch.setattr(core, "url_to_fs", missing)
    for scheme, package in {"s3": "s3fs", "https": "aiohttp"}.items():
        with pytest.raises(
            MissingExtra, match=rf'needs {package}, which is not installed: pip install "assay\[urls\]"'
        ):
            open_images(f"{scheme}://host/a.zip")
    with pytest.raises(UsageError, match=r"reading sftp:// URLs needs a package .*install a-package"):
        open_images("sftp://host/a.zip")
    monkeypatch.setitem(__import__("sys").modules, "fsspec", None)
    with pytest.raises(MissingExtra, match="needs fsspec"):
        open_images("memory://host/a.zip")


def test_a_network_that_fails_is_tried_again_and_is_no_fault_of_an_image(memory, monkeypatch):
    source = open_images(f"{memory}/a.zip")
    system = type(fsspec.filesystem("memory"))
    monkeypatch.setattr(urls_module, "FIRST_PAUSE", 0.001)
    real, failures = system.cat_file, [2]

    def failing(self, path, start=None, end=None, **options):
        if failures[0]:
            failures[0] -= 1
            raise ConnectionError("reset by https://user:hunter2@host/x?sig=s3cr3t")
        return real(self, path, start=start, end=end, **options)

    monkeypatch.setattr(system, "cat_file", failing)
    assert (source.decode(1) == 1).all()
    failures[0] = 1000
    with pytest.raises(DataError, match=r"a\.zip cannot be read: reset by https://host/x$") as caught:
        source.decode(1)
    assert not isinstance(caught.value, UnreadableImage) and caught.value.__context__ is None


def test_features_behind_a_url_are_to_be_downloaded():
    content = io.BytesIO()
    np.save(content, np.zeros((3, 4), np.float32))
    fsspec.filesystem("memory").pipe("/features.npy", content.getvalue())
    with pytest.raises(
        UsageError, match=r"features\.npy: features are read from files on a disk only; download"
    ):
        open_images("memory://features.npy")
