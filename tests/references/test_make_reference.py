"""References from images: constant memory, any kind of source, any number of processes, one failure for all."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

from assay import DataError, Moments, UsageError
from assay import make_reference as module
from assay.data import array_images, open_images
from assay.features import Features, extract, get_extractor
from assay.make_reference import make_reference
from assay.references import load_reference, merge_references, save_reference


def images(n: int = 30, seed: int = 0) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 3, 10, 9), dtype=torch.uint8, generator=g)


def folder(path: Path, n: int = 30) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for k, image in enumerate(images(n).permute(0, 2, 3, 1).numpy()):
        Image.fromarray(np.ascontiguousarray(image)).save(path / f"{k:03d}.png")
    return path


def close(a: Moments, b: Moments) -> None:
    assert float(a.weight) == float(b.weight)
    assert torch.allclose(a.mean, b.mean, rtol=1e-12)
    assert torch.allclose(a.dense_scatter(), b.dense_scatter(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("keep", ["moments", "samples"])
def test_parts_of_a_source_give_what_one_pass_gives(tmp_path, keep):
    source = open_images(folder(tmp_path / "images"))
    expected = extract(source, get_extractor("pixels:2"))
    done = []
    made = make_reference(
        str(tmp_path / "images"),
        features="pixels:2",
        keep=keep,
        progress=lambda what, k, n: done.append((k, n)),
    )
    close(made.moments["features"], Moments.of(expected.features))
    assert (made.samples is None) == (keep == "moments")
    if keep == "samples":
        assert torch.equal(made.samples.features, expected.features)
    assert made.origin.extractor == "pixels:2" and made.origin.fingerprint == expected.fingerprint
    assert made.count == 30 == made.origin.shards[0].count and done[-1] == (30, 30)


def test_no_more_than_a_part_is_held(monkeypatch):
    sizes = []
    of = Moments.of

    def watched(samples, weights=None):
        sizes.append(len(samples))
        return of(samples, weights)

    monkeypatch.setattr(module.Moments, "of", watched)
    make_reference(images(), features="pixels", shard_size=8)
    assert max(sizes) == 8 and sum(sizes) == 30


def test_a_folder_and_an_array_of_the_same_features(tmp_path):
    x = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
    np.save(tmp_path / "x.npy", x.numpy())
    for given in (x, x.numpy(), tmp_path / "x.npy"):
        made = make_reference(given)
        close(made.moments["features"], Moments.of(x))
        assert made.origin.extractor is None
    features = Features(x, x[:, :4], tuple(map(str, range(40))), (), "net", "f", "a set")
    made = make_reference(features)
    assert (made.origin.extractor, made.origin.fingerprint, made.origin.description) == ("net", "f", "a set")
    assert float(made.predictions.classes.sum()) == pytest.approx(40, rel=1e-6)


def test_images_that_cannot_be_read(tmp_path):
    where = folder(tmp_path / "images", 12)
    for k in range(5):  # a whole part
        (where / f"{k:03d}.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"000\.png"):
        make_reference(where, features="pixels")
    made = make_reference(where, features="pixels", skip_bad=True, shard_size=5)
    assert made.count == 7 == made.origin.shards[0].count
    for k in range(5, 12):
        (where / f"{k:03d}.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="none of the"):
        make_reference(where, features="pixels", skip_bad=True)


def test_wrong_use():
    with pytest.raises(UsageError, match="keep: expected moments or samples, got 'all'"):
        make_reference(images(), keep="all")
    with pytest.raises(UsageError, match="unknown features"):
        make_reference(images(), features="pixel")
    with pytest.raises(DataError, match="NaN"):
        make_reference(torch.full((4, 3), float("nan")))


WORKER = """
import sys, torch, torch.distributed as dist
torch.set_num_threads(1)
from pathlib import Path
from assay import DataError
from assay.make_reference import make_reference
from assay.references import save_reference
from assay.scale.ranks import joined
rank, world, out = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
dist.init_process_group("gloo", init_method=f"file://{out}/store", rank=rank, world_size=world)
for folder in sys.argv[4:]:
    try:
        with joined():
            made = make_reference(folder, features="pixels:2", keep="samples", shard_size=2)
            save_reference(made, f"{out}/{Path(folder).name}-{rank}.safetensors")
    except DataError as error:
        print(error)
dist.barrier()
dist.destroy_process_group()
"""


def on_ranks(world: int, out: Path, *folders: Path) -> list[str]:
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(rank), str(world), str(out), *map(str, folders)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        for rank in range(world)
    ]
    try:
        said = [rank.communicate(timeout=600)[0] for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert [rank.returncode for rank in ranks] == [0] * world
    return said


def test_processes_equal_one(tmp_path):
    """Two processes; more of them than images; and an image that only one of them meets and cannot read."""
    whole, few, bad = (folder(tmp_path / name, n) for name, n in (("whole", 11), ("few", 1), ("bad", 11)))
    (bad / "010.png").write_bytes(b"no image")
    said = on_ranks(2, tmp_path, whole, few, bad)
    assert len(set(said)) == 1 and "010.png" in said[0]
    assert load_reference(tmp_path / "few-1.safetensors").count == 1
    alone = make_reference(whole, features="pixels:2", keep="samples", shard_size=2)
    first = load_reference(tmp_path / "whole-0.safetensors")
    for rank in range(2):
        together = load_reference(tmp_path / f"whole-{rank}.safetensors")
        close(together.moments["features"], alone.moments["features"])
        assert torch.equal(together.moments["features"].scatter, first.moments["features"].scatter)
        assert torch.equal(together.samples.features, alone.samples.features)
        assert together.origin.shards == alone.origin.shards


def test_a_saved_reference_keeps_no_credential(tmp_path):
    source = array_images(images(), description="folder photos")
    save_reference(make_reference(source, features="pixels"), tmp_path / "r.safetensors")
    assert load_reference(tmp_path / "r.safetensors").origin.description == "folder photos"


def test_whatever_compare_takes():
    """Data sets, loaders and functions are images; an array's file of images is no features."""
    pixels = images(12).permute(0, 2, 3, 1).numpy()
    data = TensorDataset(images(12))
    expected = make_reference(array_images(pixels), features="pixels:2")
    for given in (images(12), data, DataLoader(data, batch_size=5)):
        close(make_reference(given, features="pixels:2").moments["features"], expected.moments["features"])
    with pytest.raises(UsageError, match=r"given: expected a path, .* got int"):
        make_reference(3)
    with pytest.raises(UsageError, match="given: Reference holds statistics already"):
        make_reference(expected)


def test_ready_features_are_of_no_protocol():
    with pytest.raises(
        UsageError, match=r"protocol: says how images are turned into features, but .* already"
    ):
        make_reference(torch.randn(9, 3), protocol="fid")


def test_how_many_were_left_out_is_kept(tmp_path):
    where = folder(tmp_path / "images", 12)
    (where / "003.png").write_bytes(b"no image")
    made = make_reference(where, features="pixels:2", keep="samples", skip_bad=True, shard_size=5)
    whole = make_reference(images(12, seed=1), features="pixels:2", keep="samples")
    assert (made.origin.left_out, whole.origin.left_out) == (1, 0)
    assert make_reference(torch.randn(9, 3)).origin.left_out == 0
    save_reference(made, tmp_path / "r.safetensors")
    assert load_reference(tmp_path / "r.safetensors").origin.left_out == 1
    unknown = replace(whole, origin=replace(whole.origin, left_out=None, shards=()))
    assert merge_references([made, whole]).origin.left_out == 1
    assert merge_references([made, unknown]).origin.left_out is None
