"""A web server on this machine: archives are read by ranges, and no credential is shown anywhere."""

from __future__ import annotations

import contextlib
import http.server
import json
import logging
import threading

import pytest

from assay.data import UnreadableImage, open_images
from assay.data import urls as urls_module
from assay.errors import DataError, UsageError

from .url_sets import ONE_FILE, SETS, levels


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
            server.sent += len(body)  # first: who has read the body may look at once
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body)

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
