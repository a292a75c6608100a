"""The study of post-training runs from end to end, resumes, and starts its populations as it says."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest
import torch

from assay.statistics import Moments

ROOT = Path(__file__).parents[2]


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "studies"))
    return importlib.import_module("post_training")


def toy(study: ModuleType) -> object:
    return study.Scale(
        {"few steps": study.Regime(2, 1e-4, 1)}, (40,),
        first=2, fitting=2, batch=32, judged=200, looked=150, few=70, photographs=0,
    )  # fmt: skip


def some_data(study: ModuleType) -> object:
    generator = torch.Generator().manual_seed(0)

    def split() -> tuple[torch.Tensor, torch.Tensor]:
        images = torch.randint(0, 256, (300, 1, 28, 28), dtype=torch.uint8, generator=generator)
        return images, torch.randint(0, 10, (300,), generator=generator)

    return study.Data(split(), split())


def test_the_study_runs_and_resumes(
    study: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "found.json"
    both = study.Arm(("classifier", "autoencoder"), 40, "ema")
    monkeypatch.setattr(study, "pieces", lambda scale: [("few steps", both, 0)])
    found = study.study(toy(study), some_data(study), tmp_path, path)
    assert found == json.loads(path.read_text())
    (run,) = found["runs"].values()
    assert [point["step"] for point in run["curve"]] == [0, 1, 2]
    for space in ("classifier", "autoencoder", "other"):
        assert run[space]["frechet_distance"]["low"] <= run[space]["frechet_distance"]["high"]
        assert 0 <= run[space]["recall"]["value"] <= 1
    again = study.study(toy(study), some_data(study), tmp_path, path)
    assert again["runs"] == found["runs"]


def test_what_is_run(study: ModuleType) -> None:
    small = list(study.pieces(study.SCALES["small"]))
    assert len(small) == len(set(small)) == 2 * 12 + 8
    arms = {str(arm) for regime, arm, _ in small if regime == "many steps"}
    assert arms == {
        f"classifier: {covered}"
        for covered in (
            "batch alone", "queue 256", "queue 1000", "queue 10000", "queue 50000",
            "ema 1000", "ema 10000", "ema 50000",
        )
    }  # fmt: skip


def test_another_scale_is_not_mixed_in(study: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    path.write_text(json.dumps({"settings": {}}))
    with pytest.raises(SystemExit, match="other settings"):
        study.started(toy(study), torch.device("cpu"), path)


def test_training_moves_the_distance_that_is_minimised(study: ModuleType) -> None:
    runs = importlib.import_module("post_training_runs")
    networks = importlib.import_module("post_training_networks")
    torch.manual_seed(0)
    real = some_data(study).train[0]
    space = networks.Space(networks.strided_encoder(), runs.in_range(real))
    base = networks.Generator().requires_grad_(False)
    seen: list[float] = []
    trained = runs.post_trained(
        base, runs.Arm(("one",), 64), {"one": space}, {"one": Moments.of(runs.features_of(space, real))},
        steps=25, batch=32, rate=1e-3, seed=0,
        look=lambda step, generator: seen.append(float(
            study.assay.frechet_distance(
                runs.features_of(space, real), runs.features_of(space, runs.drawn(generator, 200, 1, real.device)[0])
            )
        )),
    )  # fmt: skip
    assert seen[-1] < seen[0]
    assert all(not p.requires_grad for p in base.parameters()) and trained is not base
