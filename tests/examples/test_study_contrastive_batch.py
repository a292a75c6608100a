"""studies/contrastive_batch.py at a toy size: its ways of taking a step differ where they say, and it goes on where it
was stopped."""

from __future__ import annotations

import gzip
import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[2]
PARTS = ("", "_training", "_probe", "_memory", "_report")


@pytest.fixture
def study(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "studies"))
    before = set(sys.modules)
    found = {part: importlib.import_module(f"contrastive_batch{part}") for part in PARTS}
    yield found
    for name in set(sys.modules) - before:
        if name.startswith("contrastive_batch") or name == "fashion_mnist":
            del sys.modules[name]


@pytest.fixture
def images():
    return torch.randint(0, 256, (24, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))


def gradient(training, way, images):
    torch.manual_seed(0)
    encoder = training.Encoder().double()
    views = training.two_views(images, torch.Generator().manual_seed(1)).double()
    value = training.add_gradient(way, encoder, views)
    return value, torch.cat([p.grad.flatten() for p in encoder.parameters()])


def test_all_ways_have_one_gradient_but_the_accumulated(study, images):
    training = study["_training"]
    value, wanted = gradient(training, training.Way("plain", "dense", 24), images)
    for backward, loss, chunk in (("plain", "tiled", 0), ("cached", "dense", 5), ("cached", "tiled", 5)):
        got, slope = gradient(training, training.Way(backward, loss, 24, chunk), images)
        assert got == pytest.approx(value, rel=1e-9)
        torch.testing.assert_close(slope, wanted, rtol=1e-6, atol=1e-9)
    fewer, slope = gradient(training, training.Way("accumulated", "dense", 24, 8), images)
    assert fewer < value - 0.5  # one of 15 is found more easily than one of 47
    assert (slope - wanted).norm() > 0.1 * wanted.norm()


def test_every_image_comes_once_before_one_comes_again(study):
    rows = torch.cat(list(study["_training"].batches(10, 4, 5, torch.Generator().manual_seed(0))))
    assert rows[:10].sort().values.tolist() == rows[10:].sort().values.tolist() == list(range(10))


def test_views_differ_and_follow_the_generator(study, images):
    training = study["_training"]
    first, again = (training.two_views(images, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, again)
    assert (first[:24] - first[24:]).abs().mean() > 0.1
    assert first.shape == (48, 1, 28, 28) and first.isfinite().all()


def test_the_rate_rises_and_falls(study):
    rate_at = study["_training"].rate_at
    rates = [rate_at(step, 20) for step in range(20)]
    assert rates[:2] == [0.5, 1.0] and rates[2:] == sorted(rates[2:], reverse=True) and 0 < rates[-1] < 0.02
    assert rate_at(0, 1) == 1.0


def write_dataset(folder: Path) -> None:
    """60 images a file with a bright bar, lower where the class is higher: a linear layer can tell them apart."""
    rng = np.random.default_rng(0)
    for part in ("train", "t10k"):
        classes = (np.arange(60) % 10).astype(np.uint8)
        images = rng.integers(0, 40, (60, 28, 28)).astype(np.uint8)
        for image, c in zip(images, classes, strict=True):
            image[2 * c : 2 * c + 4] += 200
        for kind, array in (("images-idx3", images), ("labels-idx1", classes)):
            header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
            (folder / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(header + array.tobytes()))


def test_the_whole_study_at_a_toy_size(study, tmp_path, monkeypatch, capsys):
    main, way = study[""], study["_training"].Way
    write_dataset(tmp_path)
    monkeypatch.setattr(study["_memory"], "PROCESSES", 1)
    monkeypatch.setattr(study["_probe"], "STEPS", 20)
    scale = main.Scale(
        seen=32,
        trained=(way("accumulated", "dense", 16, 8), way("cached", "tiled", 16, 8)),
        steps=2,
        stepped=(way("plain", "dense", 8), way("cached", "tiled", 16, 8)),
        rate=1e-3,
        seeds=2,
        labelled=(50,),
        weighed=(way("cached", "tiled", 64, 16),),
    )
    out = tmp_path / "found.json"
    main.weigh_all(scale, torch.device("cpu"), out)
    step = json.loads(out.read_text())["step"]["cached tiled 64, 16 at a time"]
    assert 1e5 < step["bytes"] < 1e9 and step["seconds"] > 0

    found = main.run_all(scale, tmp_path, torch.device("cpu"), out)
    assert found == json.loads(out.read_text())
    # cached at 16 takes two steps of the 32 images of both views: run once
    assert len(found["runs"]) == 3 * (2 + 1)
    assert found["baselines"]["pixels"]["50"]["report"] > 0.8
    written = out.read_bytes()
    capsys.readouterr()
    main.run_all(scale, tmp_path, torch.device("cpu"), out)
    assert out.read_bytes() == written and capsys.readouterr().out == ""  # nothing is left to do

    tables = study["_report"].tables(found)
    assert tables["samples"].count("\n") == 1 + 2 + 2 and tables["steps"].count("\n") == 1 + 3
    with pytest.raises(SystemExit, match="other settings"):
        main.run_all(replace(scale, rate=2e-3), tmp_path, torch.device("cpu"), out)


def test_the_page_shows_what_the_file_holds(study):
    report = study["_report"]
    page = report.PAGE.read_text()
    assert report.written_into(page, report.tables(json.loads(report.FOUND.read_text()))) == page
