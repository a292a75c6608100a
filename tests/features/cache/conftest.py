"""A cache of its own for each test, and a folder of twenty images."""

from __future__ import annotations

import pytest

from .twenty_images import IMAGES


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def folder(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    root = tmp_path / "images"
    root.mkdir()
    for row, image in enumerate(IMAGES):
        Image.fromarray(image).save(root / f"{row:02}.png")
    return root
