"""`assay cache` says what is kept, and throws away what it is told to and nothing else."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("typer")
pytest.importorskip("PIL.Image")

from assay.cli import run
from assay.data import array_images
from assay.features import extract, get_extractor


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path))
    images = np.random.default_rng(0).integers(0, 256, (1100, 4, 4, 3), dtype=np.uint8)
    extract(array_images(images[:600]), get_extractor("pixels", device="cpu"))
    extract(array_images(images), get_extractor("pixels:2", device="cpu"))
    now = time.time()
    for path in (tmp_path / "features").glob("*/*"):
        os.utime(path, (now - 3 * 86400 * path.parent.name.startswith("pixels-2-"),) * 2)
    monkeypatch.setattr("assay.commands.cache.time", SimpleNamespace(time=lambda: now + 1))
    return tmp_path


def test_it_shows(home, capsys):
    assert run(["cache"]) == 0
    first, newer, older = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{home / 'features'}: ") and first.endswith("MB")
    assert newer.startswith("  pixels-") and "600 images in 2 files" in newer and newer.endswith("just now")
    assert older.startswith("  pixels-2-") and "1,100 images in 3 files" in older
    assert older.endswith("last used 3 days ago")


def test_it_trims(home, capsys):
    files = lambda: len(list(home.rglob("*.safetensors")))
    assert run(["cache", "trim", "--older-than", "2d", "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith("3 files would be thrown away, ") and files() == 5
    assert run(["cache", "trim", "--older-than", "2d"]) == 0 and files() == 2
    assert run(["cache", "trim", "--to", "10GB"]) == 0 and files() == 2
    assert run(["cache", "trim", "--all"]) == 0 and files() == 0
    assert run(["cache"]) == 0
    assert capsys.readouterr().out.endswith("features: 0 B\n")


@pytest.mark.parametrize(
    "words, said",
    [
        ([], "say how much"),
        (["--to", "10 XB"], "--to: expected a size such as 500MB or 10GB, got '10 XB'"),
        (["--to", "-1"], "--to: expected a size"),
        (["--older-than", "3"], "--older-than: expected an age such as 12h, 30d or 2w, got '3'"),
    ],
)
def test_what_it_cannot_mean_is_refused(home, capsys, words, said):
    assert run(["cache", "trim", *words]) == 2
    assert said in capsys.readouterr().err and len(list(home.rglob("*.safetensors"))) == 5
