"""`assay compare --report FILE`: written beside the table, refused before the work where it cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from assay.cli import run

pytest.importorskip("PIL")


def images(folder: Path, n: int, shift: int, seed: int) -> None:
    from PIL import Image

    folder.mkdir()
    draws = np.random.default_rng(seed)
    for k in range(n):
        pixels = np.clip(draws.normal(110 + shift, 30, (8, 8, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{folder.name} & {k:03}.png")


def test_the_command_writes_a_report_with_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for seed, (name, n, shift) in enumerate([("real", 24, 0), ("early", 20, 60), ("late", 20, 2)]):
        images(tmp_path / name, n, shift, seed)
    sets = ["real", "early", "late"]
    options = ["--features", "pixels:2", "--measures", "fd,precision", "--no-history", "--quiet"]
    assert run(["compare", *sets, *options, "--report", "report.html"]) == 0
    assert "early, 20 images" in capsys.readouterr().out
    page = (tmp_path / "report.html").read_text()
    for part in ("measures", "influences", "samples", "copies", "picture"):
        assert f'<section id="{part}"' in page, part
    assert "early &amp; 000.png" in page and "early & 000.png" not in page
    assert page.count("/9j/") == 24 + 20 + 20  # every thumbnail once


def test_a_report_that_cannot_be_written_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["compare", "missing", "missing too", "--report", "nowhere/report.html"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: --report nowhere/report.html: the folder nowhere does not exist")
