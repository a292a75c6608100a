"""ONNX Runtime and PyTorch give one answer; what is kept is whole, whoever else writes it."""

from __future__ import annotations

import builtins
import hashlib
import subprocess
import sys
import warnings

import pytest
import torch
from torch import nn

from assay import written_whole
from assay.errors import MissingExtra
from assay.features import network_runner
from assay.features.kept_file import kept_bytes
from assay.features.network_runner import run_network
from assay.home import home_folder


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.conv = nn.Conv2d(3, 8, 3, stride=2)
        self.norm = nn.BatchNorm2d(8)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator)
        self.norm.running_mean.normal_(generator=generator)
        self.norm.running_var.uniform_(0.5, 2, generator=generator)
        self.requires_grad_(False).eval()

    def forward(self, x):
        y = nn.functional.relu6(self.norm(self.conv(x)))
        return y.mean((2, 3)), y.flatten(1)[:, :5]


CPU = torch.device("cpu")
X = torch.randn(5, 3, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


EXPECTED = Small()(X)


def assert_same(run):
    for mine, expected in zip(run(X), EXPECTED, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-5, atol=1e-5)


def test_onnx_runtime_equals_pytorch_and_exports_once(home, monkeypatch):
    pytest.importorskip("onnxscript")
    assert_same(run_network(Small(), side=16, key="small", device=CPU))
    (kept,) = (home / "networks").iterdir()
    assert kept.name.startswith("small-")
    monkeypatch.setattr(network_runner, "export_onnx", lambda *_: pytest.fail("exported twice"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same(run_network(Small(), side=16, key="small", device=CPU))


def test_a_batch_in_parts_is_the_batch_in_order(home):
    pytest.importorskip("onnxscript")
    run = run_network(Small(), side=16, key="small", device=CPU)
    n = 2 * network_runner.IMAGES_AT_ONCE + 3
    x = torch.randn(n, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    for mine, expected in zip(run(x), Small()(x), strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-7], lambda b: b"", lambda b: b[:400] + b"\x01\x02" + b[402:]]
)
def test_a_damaged_file_is_made_anew(home, damage):
    pytest.importorskip("onnxscript")
    run_network(Small(), side=16, key="small", device=CPU)
    (kept,) = (home / "networks").iterdir()
    kept.write_bytes(damage(kept.read_bytes()))
    with warnings.catch_warnings():
        warnings.simplefilter(
            "error"
        )  # a damaged model that was believed would end in the fallback, with a warning
        assert_same(run_network(Small(), side=16, key="small", device=CPU))
    stored = kept.read_bytes()
    assert hashlib.sha256(stored[32:]).digest() == stored[:32]


def test_one_wrong_bit_in_what_is_kept_is_noticed(home):
    assert kept_bytes("a", lambda: b"good" * 100) == b"good" * 100
    kept = home / "networks" / "a"
    stored = bytearray(kept.read_bytes())
    stored[200] ^= 1
    kept.write_bytes(stored)
    assert kept_bytes("a", lambda: b"anew") == b"anew" == kept_bytes("a", lambda: b"not again")


def test_pytorch_runs_where_a_package_is_missing_and_says_so(home, monkeypatch):
    original = builtins.__import__

    def without(name, *rest):
        if name == "onnxscript":
            raise ImportError(name, name=name)
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.warns(UserWarning, match=r'onnxscript is not installed.*pip install "assay\[images\]"'):
        run = run_network(Small(), side=16, key="small", device=CPU)
    assert_same(run)
    assert not home.exists()


def test_pytorch_runs_where_the_exporter_fails_and_says_so(home, monkeypatch):
    pytest.importorskip("onnxscript")

    def broken(*_):
        raise RuntimeError("no such\noperator")

    monkeypatch.setattr(network_runner, "export_onnx", broken)
    with pytest.warns(UserWarning, match=r"PyTorch does instead \(RuntimeError: no such operator\)"):
        run = run_network(Small(), side=16, key="small", device=CPU)
    assert_same(run)


def test_pytorch_path_ignores_autocast_and_gradients_elsewhere():
    run = network_runner._in_torch(Small(), CPU)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert_same(run)
    assert not run(X.clone().requires_grad_())[0].requires_grad


def test_float32_switches_come_back_as_they_were():
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    with network_runner._full_precision(torch.device("cuda")):
        assert not torch.backends.cuda.matmul.allow_tf32
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == before


def test_a_folder_that_cannot_be_written_costs_a_warning_only(monkeypatch, tmp_path):
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path))
    (tmp_path / "networks").write_text("in the way")
    with pytest.warns(UserWarning, match="cannot be written .* set ASSAY_HOME"):
        assert kept_bytes("a", lambda: b"made") == b"made"


def test_a_writer_that_dies_leaves_nothing_behind(home, monkeypatch):
    monkeypatch.setattr(written_whole.os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        kept_bytes("a", lambda: b"made")
    assert list((home / "networks").iterdir()) == []


def test_where_it_is_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path))
    assert home_folder() == tmp_path
    monkeypatch.setenv("ASSAY_HOME", "")
    pytest.importorskip("platformdirs")
    assert home_folder().name == "assay"
    monkeypatch.setitem(__import__("sys").modules, "platformdirs", None)
    with pytest.raises(MissingExtra, match="ASSAY_HOME"):
        home_folder()


WRITER = """
import hashlib, sys
from assay.features.kept_file import kept_bytes
from assay.home import home_folder
from assay.written_whole import write_whole

mine = sys.argv[1].encode() * 300_000
for _ in range(60):
    seen = kept_bytes("shared", lambda: mine)
    assert len(seen) == len(mine) and seen == seen[:1] * len(mine), "half a file"
    write_whole(home_folder() / "networks" / "shared", hashlib.sha256(mine).digest() + mine)
"""


def test_two_processes_at_once_never_see_half_a_file(home):
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, letter]) for letter in "ab"]
    try:
        assert [writer.wait(timeout=600) for writer in writers] == [0, 0]
    finally:
        for writer in writers:
            writer.kill()
    assert [path.name for path in (home / "networks").iterdir()] == ["shared"]
