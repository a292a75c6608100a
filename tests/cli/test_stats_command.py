"""`assay stats` takes what `assay compare` takes, and does not pass over what it cannot do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

pytest.importorskip("typer")
pytest.importorskip("PIL.Image")

from assay.cli import run
from assay.features.cache import kept
from assay.references import load_reference

GENERATOR = """
import torch

def sample(k):
    return torch.rand(k, 3, 4, 4)
"""


@pytest.fixture(autouse=True)
def where(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ASSAY_TRACEBACK", raising=False)
    draws = np.random.default_rng(0)
    np.save("images.npy", draws.integers(0, 256, (12, 4, 4, 3), dtype=np.uint8))
    np.save("features.npy", draws.normal(size=(12, 5)).astype(np.float32))
    return tmp_path


def refused(capsys, *arguments: str) -> str:
    assert run([*arguments, "-q"]) == 2
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert out == "" and line.startswith("error: ")
    return line


def test_an_array_of_images_is_images(capsys):
    assert run(["stats", "images.npy", "-o", "a.safetensors", "--features", "pixels:2", "-q"]) == 0
    assert "12 samples of" in capsys.readouterr().out
    made = load_reference("a.safetensors")
    assert (made.origin.extractor, made.width, made.origin.left_out) == ("pixels:2", 12, 0)


def test_a_generator_with_its_options(where, monkeypatch, capsys):
    (where / "gen_for_stats.py").write_text(GENERATOR)
    monkeypatch.syspath_prepend(str(where))
    command = ["stats", "python:gen_for_stats:sample", "--samples", "20", "--value-range", "0,1",
               "--features", "pixels:2", "-q", "-o"]  # fmt: skip
    for name, seed in (("a", []), ("b", ["--seed", "0"]), ("c", ["--seed", "1"])):
        assert run([*command, f"{name}.safetensors", *seed]) == 0
    a, b, c = (load_reference(f"{name}.safetensors") for name in "abc")
    assert a.count == 20 and a.origin.shards == b.origin.shards != c.origin.shards
    capsys.readouterr()
    for option, value in (("--samples", "3"), ("--value-range", "0,1"), ("--seed", "1")):
        line = refused(capsys, "stats", "images.npy", "-o", "d.safetensors", option, value)
        assert f"{option}: only for python:MODULE:NAME" in line


def test_nothing_is_kept_without_the_cache():
    command = ["stats", "images.npy", "--features", "pixels:2", "-q", "-o"]
    assert run([*command, "a.safetensors", "--no-cache"]) == 0 and kept() == []
    assert run([*command, "a.safetensors"]) == 0 and len(kept()) == 1


@pytest.mark.parametrize(
    "option,value",
    [("crop", "center"), ("size", "8"), ("resize", "clean"), ("features", "pixels"), ("protocol", "fid"),
     ("weights", "w.pth")],
)  # fmt: skip
def test_how_images_become_features_is_refused_for_features(where, option, value, capsys):
    line = refused(capsys, "stats", "features.npy", "-o", "a.safetensors", f"--{option}", value)
    assert f"{option}: says how images are turned into features, but features.npy is features already" in line
    assert not (where / "a.safetensors").exists()


def test_statistics_are_statistics_already(capsys):
    assert run(["stats", "features.npy", "-o", "a.safetensors", "-q"]) == 0
    capsys.readouterr()
    line = refused(capsys, "stats", "a.safetensors", "-o", "b.safetensors")
    assert "a.safetensors holds statistics already" in line


SECRET = "https://user:hunter2@host"


@pytest.mark.parametrize(
    "arguments",
    [
        ["stats", f"{SECRET}/x.safetensors", "-o", "a.safetensors"],
        ["merge", f"{SECRET}/x.safetensors", "y.safetensors", "-o", "a.safetensors"],
        [
            "stats",
            "images.npy",
            "-o",
            "a.safetensors",
            "--features",
            "inception",
            "--weights",
            f"{SECRET}/x.pth",
        ],
        ["stats", "images.npy", "-o", "a.safetensors", "--features", f"onnx:{SECRET}/x.onnx"],
    ],
)
def test_what_is_read_from_a_disk_only(arguments, capsys):
    line = refused(capsys, *arguments)
    assert "hunter2" not in line and "user" not in line
    assert "https://host/x." in line and "are read from files on a disk only; download it first" in line


@pytest.mark.parametrize("features", [f"{SECRET}/x", f"timm:{SECRET}/x", f"python:{SECRET}/x"])
def test_no_message_shows_a_password(features, capsys):
    run(["stats", "images.npy", "-o", "a.safetensors", "--features", features, "-q"])
    said = "".join(capsys.readouterr())
    assert said.startswith("error: ") and "hunter2" not in said


EVIL = "bad\x1b]0;owned\x07\x1b[2J"


def test_codes_in_a_header_do_not_reach_the_terminal(capsys):
    """The header's text comes from whoever made the file."""
    save_file({"features": torch.randn(12, 5)}, "evil.safetensors", metadata={"extractor": EVIL})
    assert run(["stats", "evil.safetensors", "-o", "a.safetensors", "--keep", "samples", "-q"]) == 0
    assert run(["merge", "a.safetensors", "-o", "b.safetensors", "-q"]) == 0
    assert (
        run(["compare", "b.safetensors", "evil.safetensors", "--measures", "kd", "-q", "--no-history"]) == 0
    )
    assert run(["compare", "b.safetensors", "features.npy", "-q", "--no-history"]) == 1
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err and "\x07" not in out + err
    assert out.count("bad\\x1b]0;owned\\x07") >= 3


def test_codes_in_a_class_do_not_reach_the_terminal(where, capsys):
    from PIL import Image

    draws = np.random.default_rng(0)
    for side in ("real", "made"):
        rows = []
        (where / side).mkdir()
        for k in range(30):
            Image.fromarray(draws.integers(0, 256, (4, 4, 3), dtype=np.uint8)).save(where / side / f"{k}.png")
            rows.append(f"{k}.png,{'bad' + chr(27) + '[2J' if k % 2 else 'good'}")
    (where / "labels.csv").write_text("name,label\n" + "\n".join(rows))
    command = ["compare", "real", "made", "--features", "pixels:2", "--measures", "kd", "-q", "--no-history"]
    assert run([*command, "--classes", "labels.csv"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out and "bad\\x1b[2J" in out


def test_codes_in_an_argument_do_not_reach_the_terminal(capsys):
    line = refused(capsys, "compare", "features.npy", "features.npy", "--json", f"nö/{EVIL}.json")
    assert "--json nö/bad\\x1b]0;owned\\x07" in line and line.isprintable()


def test_a_home_that_is_a_file(where, monkeypatch, capsys):
    for home in (where / "features.npy", where / "features.npy" / "below"):
        monkeypatch.setenv("ASSAY_HOME", str(home))
        assert run(["cache"]) == 2
        err = capsys.readouterr().err
        assert f"{where / 'features.npy'} is a file; expected a folder" in err and "Errno" not in err
