"""Weights from a file and from a server: only the published ones are kept, and each failure says what to do."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from assay.errors import DataError, UsageError
from assay.features import get_extractor, weights
from assay.features.weight_tensors import load_weights
from assay.features.weights import PUBLISHED, fetch, find_weights, weights_folder

CONTENT = bytes(range(256)) * 9000  # more than one block
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.partition("?")[0]
        if path == "/missing":
            self.send_error(404)
            return
        body = CONTENT[::-1] if path == "/other" else CONTENT
        self.send_response(200)
        if path != "/unknown-length":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.server.asked.append(path)  # first: who has read the body may look at once
        self.wfile.write(body[: len(body) // 2] if path == "/cut" else body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.asked = []
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def address(server):
    return f"http://127.0.0.1:{server.server_port}"


@pytest.fixture(autouse=True)
def known(monkeypatch, tmp_path):
    """A table in which only the first 8 digits of the small file above are known, and an empty home."""
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "home"))
    entry = replace(PUBLISHED["inception"], file=f"net-{DIGEST[:8]}.pth", sha256=DIGEST[:8])
    monkeypatch.setattr(weights, "PUBLISHED", {"inception": entry})
    return entry


def folder():
    return sorted(path.name for path in weights_folder().iterdir())


@pytest.mark.parametrize("path", ["/whole", "/unknown-length"])
def test_fetch_keeps_the_file_and_records_its_whole_hash(server, address, known, path):
    steps = []
    found = fetch("inception", url=address + path + "?token=secret", progress=lambda *s: steps.append(s))
    assert found == weights_folder() / known.file and found.read_bytes() == CONTENT
    assert folder() == [known.file, known.file + ".json"]
    record = json.loads((weights_folder() / (known.file + ".json")).read_text())
    assert record["sha256"] == DIGEST and "secret" not in record["url"]
    assert steps[-1] == (len(CONTENT), None if path == "/unknown-length" else len(CONTENT)) and len(steps) > 1
    assert find_weights("inception") == weights.WeightFile(found, DIGEST, True)
    fetch("inception", url=address + path)
    assert len(server.asked) == 1


def test_every_later_load_checks_all_digits(address, known, monkeypatch):
    path = fetch("inception", url=address + "/whole")
    content = bytearray(CONTENT)
    content[5] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"not the published file.* expected {DIGEST}.*delete it"):
        find_weights("inception")
    # a change that the digits in the name would not show
    monkeypatch.setattr(weights, "file_sha256", lambda _: DIGEST[:8] + "0" * 56)
    with pytest.raises(DataError, match="not the published file"):
        find_weights("inception")
    monkeypatch.undo()


def test_a_file_put_there_by_hand_is_checked_and_recorded(known):
    weights_folder().mkdir(parents=True)
    (weights_folder() / known.file).write_bytes(CONTENT)
    assert find_weights("inception").published
    assert folder() == [known.file, known.file + ".json"]


def test_a_record_that_contradicts_the_table_counts_for_nothing(address, known):
    path = fetch("inception", url=address + "/whole")
    path.with_name(path.name + ".json").write_text('{"sha256": "%s"}' % ("0" * 64))
    assert find_weights("inception").sha256 == DIGEST


@pytest.mark.parametrize(
    "path,said",
    [
        ("/other", "its SHA-256 is .* expected .* nothing was kept"),
        ("/cut", rf"cut off after {len(CONTENT) // 2} of {len(CONTENT)} bytes; nothing was kept.*again"),
        ("/missing", r"cannot be downloaded \(Not Found\): download it elsewhere and put it at .*net-"),
    ],
)
def test_a_wrong_or_incomplete_download_keeps_nothing(address, path, said):
    with pytest.raises(DataError, match=said):
        fetch("inception", url=address + path)
    assert folder() == []


def test_offline_says_the_manual_steps():
    with pytest.raises(DataError, match=r"127\.0\.0\.1:9/x cannot be downloaded .*--weights") as caught:
        fetch("inception", url="http://user:secret@127.0.0.1:9/x?key=secret")
    assert "secret" not in str(caught.value) and folder() == []


def test_a_stopped_download_keeps_nothing(address):
    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch("inception", url=address + "/whole", progress=stop)
    assert folder() == []


def test_a_damaged_kept_file_is_fetched_again(address, known):
    weights_folder().mkdir(parents=True)
    (weights_folder() / known.file).write_bytes(b"half")
    assert fetch("inception", url=address + "/whole").read_bytes() == CONTENT


def test_without_weights_the_error_says_what_to_do(known):
    with pytest.raises(UsageError) as caught:
        get_extractor("inception", device="cpu")
    said = str(caught.value)
    for part in (
        "assay features fetch inception",
        known.url,
        str(weights_folder() / known.file),
        "--weights",
    ):
        assert part in said
    with pytest.raises(UsageError, match="nothing to fetch for 'clip': known are inception"):
        fetch("clip")
    with pytest.raises(UsageError, match=r"there is no file .*absent"):
        find_weights("inception", "absent.pth")


def test_a_given_file_is_the_published_one_or_not(tmp_path):
    (tmp_path / "a.pth").write_bytes(CONTENT)
    (tmp_path / "b.pth").write_bytes(b"other")
    assert find_weights("inception", tmp_path / "a.pth").published
    assert not find_weights("inception", tmp_path / "b.pth").published
    assert not weights_folder().exists()


class Trap:
    def __reduce__(self):
        return (print, ("run",))


def test_files_are_read_without_running_anything(tmp_path, capsys):
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2))
    state = {k: v + 1 for k, v in network.state_dict().items() if "tracked" not in k}
    save_file(state, tmp_path / "a.safetensors")
    torch.save(state, tmp_path / "a.pth")
    for name in ("a.safetensors", "a.pth"):
        fresh = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2))
        load_weights(fresh, tmp_path / name, "net")
        assert torch.equal(fresh[0].weight, state["0.weight"])
    torch.save({"0.weight": Trap()}, tmp_path / "trap.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    (tmp_path / "text.safetensors").write_text("text")
    for name, said in [
        ("trap.pth", "cannot be|can be read safely"),
        ("list.pth", "does not hold a dictionary of tensors, but list"),
        ("text.safetensors", "can be read safely"),
    ]:
        with pytest.raises(DataError, match=said):
            load_weights(network, tmp_path / name, "net")
    assert capsys.readouterr().out == ""
    save_file({**state, "2.weight": torch.zeros(1), "0.bias": torch.zeros(3)}, tmp_path / "b.safetensors")
    with pytest.raises(
        DataError, match=r"weights of net: 2.weight is unknown, 0.bias is \(3,\), not \(2,\)$"
    ):
        load_weights(network, tmp_path / "b.safetensors", "net")


def test_the_table_holds_addresses_and_the_digits_of_the_names():
    for name, entry in PUBLISHED.items():
        assert entry.url.startswith("https://") and entry.url.endswith(entry.file)
        assert entry.sha256[:8] in entry.file and len(entry.sha256) in (8, 64), name


def test_the_command_fetches_and_lists(address, known, monkeypatch):
    pytest.importorskip("rich")
    testing = pytest.importorskip("typer.testing")
    from assay.commands.features import features_app

    monkeypatch.setattr(weights, "PUBLISHED", {"inception": replace(known, url=address + "/whole")})
    runner, app = testing.CliRunner(), features_app()
    assert " no " in runner.invoke(app, ["list"]).output
    done = runner.invoke(app, ["fetch", "inception", "--quiet"], standalone_mode=False)
    assert done.exception is None and (weights_folder() / known.file).read_bytes() == CONTENT
    assert str(weights_folder() / known.file) in done.output
    assert " yes " in runner.invoke(app, ["list"]).output
    failed = runner.invoke(app, ["fetch", "nothing"], standalone_mode=False)
    assert isinstance(failed.exception, UsageError)


def test_a_url_is_no_file():
    with pytest.raises(UsageError, match=r"^https://host/x\.pth: weights are read from files on a disk only"):
        find_weights("inception", "https://user:hunter2@host/x.pth")
