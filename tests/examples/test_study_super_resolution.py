"""studies/super_resolution.py at a toy size: it holds photographs out and goes on where it stopped."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import stdtrit

ROOT = Path(__file__).parents[2]
pytest.importorskip("skimage")
pytest.importorskip("sklearn")
pytest.importorskip("PIL")


@pytest.fixture
def study(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "studies"))
    before = set(sys.modules)
    names = ("", "_training", "_judge", "_report")
    yield {name: importlib.import_module(f"super_resolution{name}") for name in names}
    for name in set(sys.modules) - before:
        if name.startswith("super_resolution"):
            del sys.modules[name]


def test_every_photograph_is_held_out_once(study, monkeypatch):
    training = study["_training"]
    monkeypatch.setattr(training, "photograph", lambda name: name)
    tested = [name for names in training.FOLDS for name in names]
    assert len(tested) == len(set(tested)) == 10
    for fold, names in enumerate(training.FOLDS):
        assert not set(names) & set(training.fold_photographs(fold))
        assert set(training.fold_photographs(fold)) == set(tested) - set(names) | set(training.ALWAYS_TRAINED)


def test_an_untrained_network_is_bicubic_interpolation(study):
    training = study["_training"]
    low = training.shrunk(torch.rand(2, 3, 32, 40, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(training.Upscaler()(low), training.bicubic(low))
    assert sum(p.numel() for p in training.Upscaler().parameters()) == 70_256


def test_objectives_see_the_same_batches(study):
    training = study["_training"]
    seen = []

    def looked_at(restored, target):
        seen.append(target)
        return restored.square().mean()

    whole = [torch.rand(3, 48, 56, generator=torch.Generator().manual_seed(k)) for k in range(3)]
    for _ in range(2):
        training.trained(
            training.Upscaler(),
            looked_at,
            whole,
            steps=2,
            patches=2,
            side=32,
            rate=1e-3,
            seed=4,
            device="cpu",
        )
    assert torch.equal(torch.stack(seen[:2]), torch.stack(seen[2:])) and not torch.equal(seen[0], seen[1])


def test_tested_crops_do_not_overlap(study, monkeypatch):
    judge = study["_judge"]
    whole = torch.arange(3 * 100 * 90, dtype=torch.float32).reshape(3, 100, 90)
    monkeypatch.setattr(judge, "photograph", lambda name: whole)
    crops = judge.tested_crops("any", 32, 9)
    assert crops.shape == (6, 3, 32, 32) and len(crops.unique()) == crops.numel()


def test_intervals_are_over_photographs(study):
    of_each = np.random.default_rng(1).normal(size=10)
    found = study["_judge"].interval(
        np.repeat(of_each, 3).tolist(), [f"photograph {k}" for k in range(10) for _ in range(3)]
    )
    # three equal crops of a photograph tell no more than one; Student's t with nine degrees of freedom
    half = stdtrit(9, 0.975) * of_each.std(ddof=1) / 10**0.5
    assert found["value"] == pytest.approx(of_each.mean(), rel=1e-5)
    assert found["high"] - found["value"] == pytest.approx(half, rel=1e-3)


def test_measures_that_order_models_alike_agree(study):
    rng = np.random.default_rng(0)
    q = rng.normal(size=(5, 4))
    found = study["_judge"].agreement({"a": q, "b": np.exp(q), "c": -q})
    assert found["a"]["b"] == pytest.approx(1) and found["a"]["c"] == pytest.approx(-1)


def test_the_whole_study_at_a_toy_size(study, tmp_path, monkeypatch, capsys):
    main, judge = study[""], study["_judge"]
    quick = {name: j for name, j in judge.judges(2).items() if name in ("psnr", "ms_ssim", "gmsd")}
    monkeypatch.setattr(main, "judges", lambda scales: quick)
    scale = replace(main.SCALES["toy"], seeds=2, again=("L1", "MS-SSIM"))
    out = tmp_path / "found.json"
    found = main.study(scale, tmp_path, out)
    assert found == json.loads(out.read_text())
    assert set(found) == {"settings", "machine", "networks", "crops", "judges", "seeds", "wave"}
    assert set(found["networks"]) == {
        f"fold {f} seed {s} {a}" for f in (0, 1) for s in (0, 1) for a in ("start", "L1", "MS-SSIM")
    }
    assert set(found["crops"]["seed 0"]) == {"astronaut", "coffee"}
    summed = found["seeds"]["seed 0"]
    assert summed["differences"]["MS-SSIM"]["psnr"]["low"] is not None
    assert sum(summed["wins"]["psnr"].values()) == 2
    means = [found["crops"]["seed 0"][name]["L1"]["psnr"][0] for name in ("astronaut", "coffee")]
    assert summed["means"]["L1"]["psnr"]["value"] == pytest.approx(sum(means) / 2, rel=1e-5)

    capsys.readouterr()
    written = out.read_bytes()
    main.study(scale, tmp_path, out)
    assert out.read_bytes() == written and capsys.readouterr().out == ""  # nothing is left to do
    with pytest.raises(SystemExit, match="other settings"):
        main.study(replace(scale, rate=2e-3), tmp_path, out)
    assert all("psnr" in table for table in study["_report"].tables(found).values())


def test_the_page_shows_what_the_file_holds(study):
    report = study["_report"]
    page = report.PAGE.read_text()
    assert report.written_into(page, report.tables(json.loads(report.FOUND.read_text()))) == page
