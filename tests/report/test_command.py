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


def test_a_comparison_outlives_the_files_it_was_to_go_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    draws = np.random.default_rng(0)
    for name in ("real", "made"):
        np.save(f"{name}.npy", draws.normal(size=(30, 4)).astype(np.float32))
    usual = ["compare", "real.npy", "made.npy", "--measures", "fd", "--no-history", "--quiet"]
    assert run([*usual, "--report", "report.html", "--maps"]) == 2  # features alone show no place
    out, err = capsys.readouterr()
    assert "made, 30 samples" in out and err.startswith("error: maps: need the images")
    assert '<section id="measures"' in (tmp_path / "report.html").read_text()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("assay.report.json.write_whole", full)
    assert run([*usual, "--json", "found.json"]) == 1
    out, err = capsys.readouterr()
    assert (
        "made, 30 samples" in out and err == "error: found.json cannot be written: no space left on device\n"
    )
