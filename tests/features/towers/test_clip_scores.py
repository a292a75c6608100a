"""CLIP scores of a folder and a CSV, end to end, on a small model with random weights."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch

from assay.clip_scores import clip_scores
from assay.commands import clip_score as room
from assay.errors import DataError, UsageError
from assay.images import clip_score

PROMPTS = ["a red cat", "a blue dog", "a photo of a cat", "a red cat"]


pytestmark = pytest.mark.usefixtures("offline")  # nothing is asked of the hub


@pytest.fixture
def scene(clip, photograph, tmp_path):
    """Four crops of a photograph in a folder, and their prompts in another order."""
    from PIL import Image

    folder = tmp_path / "images"
    (folder / "more").mkdir(parents=True)
    names = ["a.png", "b.png", "c.png", "more/d.png"]
    images = [photograph[60 * i : 60 * i + 64, 80 * i : 80 * i + 70] for i in range(4)]
    for name, image in zip(names, images, strict=True):
        Image.fromarray(image).save(folder / name)
    file = tmp_path / "prompts.csv"
    rows = [f'{name},"{prompt}"' for name, prompt in zip(names, PROMPTS, strict=True)]
    file.write_text("\n".join(["image,prompt", *reversed(rows)]) + "\n")
    return folder, file, names, images


def by_the_package(hub, clip, images):
    """100 max(0, cosine) by the package's own model, processor and tokenizer."""
    folder, model = clip
    kind = getattr(hub, "CLIPImageProcessorPil", None) or hub.CLIPImageProcessor
    processor = kind.from_pretrained(str(folder))
    tokens = hub.AutoTokenizer.from_pretrained(str(folder))(PROMPTS, padding=True, return_tensors="pt")
    pixels = torch.as_tensor(np.stack([np.array(processor(image)["pixel_values"][0]) for image in images]))
    with torch.no_grad():
        out = model(pixel_values=pixels, **tokens)
    return 100 * (out.image_embeds * out.text_embeds).sum(1).clamp(min=0)


def test_scores_are_those_of_the_package(hub, clip, scene):
    folder, file, names, images = scene
    found = clip_scores(str(folder), file, features=f"transformers:{clip[0]}", device="cpu")
    expected = by_the_package(hub, clip, images)
    assert found.names == tuple(names) and found.prompts == tuple(PROMPTS)
    torch.testing.assert_close(found.values, expected.double(), rtol=1e-4, atol=1e-3)
    assert found.estimate.value == pytest.approx(expected.mean().item(), rel=1e-4)
    assert expected.std() > 0.01
    # the two images of one prompt are one cluster
    assert "3 clusters" in found.estimate.method
    assert found.worst(1)[0][0] == names[int(expected.argmin())]
    again = clip_scores(str(folder), PROMPTS, features=f"transformers:{clip[0]}", device="cpu")
    assert torch.equal(again.values, found.values)
    with pytest.raises(UsageError, match="3 texts for 4 images"):
        clip_scores(str(folder), PROMPTS[:3], features=f"transformers:{clip[0]}")
    with pytest.raises(UsageError, match="pixels has no text tower"):
        clip_scores(str(folder), file, features="pixels")


def test_a_score_is_torchmetrics_score_where_no_cosine_is_negative(normal):
    """torchmetrics floors the mean, this floors every pair: equal until a cosine is below zero."""
    x, y = normal(6, 8), normal(6, 8)
    cosines = torch.nn.functional.cosine_similarity(x, y)
    theirs = (100 * cosines).mean().clamp(min=0)
    assert (cosines < 0).any() and clip_score(x, y).mean() > theirs
    near = x + 0.1 * y
    torch.testing.assert_close(
        clip_score(x, near).mean(), 100 * torch.nn.functional.cosine_similarity(x, near).mean()
    )
    assert clip_score(x, -x).tolist() == [0.0] * 6


@pytest.fixture
def command():
    typer = pytest.importorskip("typer")
    from typer.testing import CliRunner

    app = typer.Typer()
    app.command()(room.command())

    def run(*arguments):
        return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=True)

    return run


def test_the_command_prints_the_mean_and_the_worst_and_writes_each(command, clip, scene, tmp_path, hub):
    folder, file, names, images = scene
    target = tmp_path / "scores.csv"
    done = command(
        folder,
        file,
        "--features",
        f"transformers:{clip[0]}",
        "--device",
        "cpu",
        "--csv",
        target,
        "--worst",
        2,
        "-q",
    )
    assert done.exit_code == 0, done.exception
    lines = done.stdout.splitlines()
    assert done.stderr == ""
    assert "4 images, 3 prompts; features: transformers:" in lines[0]
    assert lines[1].startswith("clip_score ↑  ") and "[" in lines[1]
    assert lines[2] == "lowest:" and len(lines) == 5
    with open(target, encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert [row["image"] for row in rows] == names and [row["prompt"] for row in rows] == PROMPTS
    expected = by_the_package(hub, clip, images)
    assert [float(row["clip_score"]) for row in rows] == pytest.approx(expected.tolist(), rel=1e-4, abs=1e-3)
    lowest = sorted(zip(expected.tolist(), names, strict=True))[0]
    assert lines[3].split()[:2] == [f"{lowest[0]:.1f}", lowest[1]]


def test_what_is_wrong_is_said_before_the_work(command, clip, scene, tmp_path):
    folder, file, _, _ = scene
    name = f"transformers:{clip[0]}"
    done = command(folder, file, "--features", name, "--csv", tmp_path / "no" / "x.csv")
    assert isinstance(done.exception, UsageError) and "does not exist" in str(done.exception)
    (folder / "extra.png").write_bytes((folder / "a.png").read_bytes())
    done = command(folder, file, "--features", name)
    assert isinstance(done.exception, DataError) and "have no prompt (extra.png)" in str(done.exception)


def test_broken_images_are_left_out_when_asked(clip, scene):
    folder, file, _, _ = scene
    (folder / "b.png").write_bytes(b"broken")
    found = clip_scores(folder, file, features=f"transformers:{clip[0]}", device="cpu", skip_bad=True)
    assert found.names == ("a.png", "c.png", "more/d.png") and found.skipped[0][0] == "b.png"
    assert found.prompts == (PROMPTS[0], PROMPTS[2], PROMPTS[3]) and len(found.values) == 3
    with pytest.raises(DataError, match=r"b\.png"):
        clip_scores(folder, file, features=f"transformers:{clip[0]}", device="cpu")


def test_nothing_is_kept_without_the_cache(command, clip, scene, tmp_path, monkeypatch):
    from assay.features.cache import kept

    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "home"))
    folder, file, _, _ = scene
    asked = [folder, file, "--features", f"transformers:{clip[0]}", "--device", "cpu", "-q"]
    assert command(*asked, "--no-cache").exit_code == 0 and kept() == []
    assert command(*asked).exit_code == 0 and len(kept()) == 1
