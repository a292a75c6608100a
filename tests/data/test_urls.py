"""URLs: the same sets from memory, a web server and an S3-compatible store, by ranges, and no credential anywhere."""

from __future__ import annotations

import contextlib
import http.server
import io
import json
import logging
import pickle
import tarfile
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")
fsspec = pytest.importorskip("fsspec")

from assay.data import UnreadableImage, batches, labels_of, open_images  # noqa: E402
from assay.data import urls as urls_module  # noqa: E402
from assay.errors import DataError, MissingExtra, UsageError  # noqa: E402


def png(level):
    buffer = io.BytesIO()
    Image.new("L", (3, 2), level).save(buffer, "PNG")
    return buffer.getvalue()


def sets():
    """One set of four images in each form, by file name."""
    noise = np.random.default_rng(0).bytes(300_000)  # what nobody has to read to get at the images
    zipped, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("noise.bin", noise)
        for i in range(4):
            file.writestr(f"c{i // 2}/{i}.png", png(i))
    with tarfile.open(fileobj=tarred, mode="w") as file:
        for name, content in [("noise.bin", noise), *((f"{i}.png", png(i)) for i in range(4))]:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    made = {"a.zip": zipped.getvalue(), "a.tar": tarred.getvalue()}
    images = np.arange(4, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 3, 3), np.uint8)
    for name, save in {"a.npy": np.save, "a.npz": np.savez, "b.npz": np.savez_compressed}.items():
        buffer = io.BytesIO()
        save(buffer, images)
        made[name] = buffer.getvalue()
    made |= {f"pictures/{i}.png": png(i) for i in range(4)}
    made["pictures/notes.txt"] = made["pictures/.hidden.png"] = b"x"
    made |= {f"shards/{i}.zip": made["a.zip"] for i in range(2)}
    with contextlib.suppress(ImportError):
        import pyarrow as pa
        import pyarrow.parquet as pq

        buffer = io.BytesIO()
        pq.write_table(pa.table({"image": [png(i) for i in range(4)], "label": list("abab")}), buffer)
        made["a.parquet"] = buffer.getvalue()
    return made


SETS = sets()
ONE_FILE = [name for name in SETS if "/" not in name]


def levels(source):
    seen = list(
        batches(
            source, transform=lambda image: image[:1, :1, 0:1].astype(np.float32), workers=4, batch_size=3
        )
    )
    return np.concatenate([b.images.numpy().ravel() for b in seen]).astype(int).tolist()


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


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves SETS to whoever has the password or the token; says what was asked of it."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.answer(False)

    def do_GET(self):
        self.answer(True)

    def answer(self, with_body):
        path, _, query = self.path.partition("?")
        server = self.server
        allowed = "token=s3cr3t" in query or self.headers.get("Authorization") == "Basic dXNlcjpodW50ZXIy"
        content = SETS.get(path.lstrip("/"))
        status = 403 if not allowed else 404 if content is None else 200
        if status != 200:
            body = f"no {self.path}".encode()
        else:
            body = content
            asked = self.headers.get("Range")
            if asked and server.ranges:
                first, last = asked.removeprefix("bytes=").split("-")
                body, status = content[int(first) : int(last) + 1], 206
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {first}-{int(first) + len(body) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body)
            server.sent += len(body)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def web():
    pytest.importorskip("aiohttp")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.ranges, server.sent = True, 0
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("name", [name for name in ONE_FILE if name != "b.npz"])
@pytest.mark.parametrize(
    "form", ["http://127.0.0.1:{port}/{name}?token=s3cr3t", "http://user:hunter2@127.0.0.1:{port}/{name}"]
)
def test_archives_on_a_web_server_are_read_by_ranges(web, name, form, caplog):
    web.sent = 0
    with caplog.at_level(logging.INFO):
        source = open_images(form.format(port=web.server_address[1], name=name))
        assert levels(source) == [0, 1, 2, 3]
    if len(SETS[name]) > 300_000:
        assert web.sent < len(SETS[name]) * 0.75  # not even once
    for text in (source.description, repr(source), " ".join(source.names), caplog.text):
        assert "s3cr3t" not in text and "hunter2" not in text


@pytest.mark.parametrize("given", ["{0..3}.png?token=s3cr3t", "{0..5}.png?token=s3cr3t"])
def test_images_one_by_one_on_a_web_server(web, given):
    source = open_images(f"http://127.0.0.1:{web.server_address[1]}/pictures/{given}")
    assert list(source.names)[:4] == ["0.png", "1.png", "2.png", "3.png"]
    assert (source.decode(3) == 3).all()
    if len(source) == 6:
        with pytest.raises(UnreadableImage, match=r"^5\.png cannot be read: no such file$"):
            source.decode(5)


def test_a_web_server_that_refuses_or_has_no_ranges(web, monkeypatch):
    root = f"127.0.0.1:{web.server_address[1]}"
    cases = {
        f"http://{root}/a.zip?token=wr0ngt0ken": "access denied",
        f"http://user:wr0ngt0ken@{root}/a.zip": "access denied",
        f"http://{root}/missing.zip?token=s3cr3t": "does not exist",
        f"http://{root}/pictures/*.png?token=s3cr3t": "no listing",
    }
    for url, words in cases.items():
        with pytest.raises((DataError, UsageError), match=words) as caught:
            open_images(url)
        shown = json.dumps([str(caught.value), repr(caught.value.__cause__), repr(caught.value.__context__)])
        assert "s3cr3t" not in shown and "wr0ngt0ken" not in shown and "hunter2" not in shown
    monkeypatch.setattr(web, "ranges", False)
    with pytest.raises(DataError, match="does not give parts of a file"):
        open_images(f"http://{root}/a.zip?token=s3cr3t")


def test_a_server_that_is_not_there(monkeypatch):
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(urls_module, "FIRST_PAUSE", 0.001)
    with pytest.raises(DataError, match=r"^http://127\.0\.0\.1:9/a\.zip ") as caught:
        open_images("http://user:hunter2@127.0.0.1:9/a.zip?token=s3cr3t")
    assert "hunter2" not in str(caught.value) and "s3cr3t" not in str(caught.value)


@pytest.fixture(scope="module")
def s3():
    pytest.importorskip("s3fs")
    moto = pytest.importorskip("moto.server")
    boto3 = pytest.importorskip("boto3")
    server = moto.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    endpoint = f"http://127.0.0.1:{port}"
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id="AKIAEXAMPLE",
        aws_secret_access_key="s3cr3t",
        region_name="us-east-1",
    )
    client.create_bucket(Bucket="bucket")
    for name, content in SETS.items():
        client.put_object(Bucket="bucket", Key=f"sets/{name}", Body=content)
    yield endpoint
    server.stop()


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.parquet", "a.npz", "pictures", "pictures/*.png"])
def test_every_form_is_read_from_s3(s3, name, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
    fsspec.filesystem("s3").clear_instance_cache()
    source = open_images(f"s3://bucket/sets/{name}")
    assert levels(source) == [0, 1, 2, 3]
    if "*" not in name:
        assert source.signature == open_images(f"s3://bucket/sets/{name}").signature is not None


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
def test_s3_by_storage_options_and_its_errors(s3, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    options = {"key": "AKIAEXAMPLE", "secret": "s3cr3t", "client_kwargs": {"endpoint_url": s3}}
    source = open_images("s3://bucket/sets/pictures", storage_options=options)
    assert levels(source) == [0, 1, 2, 3]
    assert "s3cr3t" not in repr(source) and "AKIAEXAMPLE" not in repr(source)
    for url in ("s3://bucket/sets/none.zip", "s3://bucket/none/*.zip"):
        with pytest.raises(DataError) as caught:
            open_images(url, storage_options=options)
        assert "s3cr3t" not in str(caught.value) and "AKIAEXAMPLE" not in str(caught.value)
    with pytest.raises(UsageError, match="credentials in s3:// URLs are not read") as refused:
        open_images("s3://AKIAEXAMPLE:s3cr3t@bucket/a.zip")
    assert "s3cr3t" not in str(refused.value) and "AKIA" not in str(refused.value)


def test_this_file_reads_nothing_beyond_this_machine():
    text = Path(__file__).read_text()
    assert "amazon" + "aws.com" not in text


def test_features_behind_a_url_are_to_be_downloaded():
    content = io.BytesIO()
    np.save(content, np.zeros((3, 4), np.float32))
    fsspec.filesystem("memory").pipe("/features.npy", content.getvalue())
    with pytest.raises(
        UsageError, match=r"features\.npy: features are read from files on a disk only; download"
    ):
        open_images("memory://features.npy")
