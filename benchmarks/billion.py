"""What does a reference of a great many images cost? ``python -m benchmarks.billion [--images 600] [--files 1000]``.

Measured: images a second of `assay stats` on this machine, the size of a shard's file, and the time to merge many of
them. A million images is extrapolated from that, line by line, and nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
import zipfile
from pathlib import Path

import torch

from assay.make_reference import make_reference
from assay.references import Origin, Reference, Shard, load_reference, merge_files, save_reference
from assay.statistics import Moments

HERE = Path(__file__).parent
SAMPLE = HERE.parent / "examples" / "real.zip"


def images_a_second(features: str, n: int, folder: Path) -> dict[str, float]:
    """A pass over n images without the cache, after a warm-up; they are copies of the example's, which are small."""
    with zipfile.ZipFile(SAMPLE) as archive:
        names = [name for name in archive.namelist() if name.endswith(".png")]
        for k in range(n):
            (folder / f"{k:06d}.png").write_bytes(archive.read(names[k % len(names)]))
    few = folder.parent / "few"
    few.mkdir()
    for path in sorted(folder.iterdir())[:64]:
        (few / path.name).write_bytes(path.read_bytes())
    make_reference(few, features=features, cache=False)
    start = time.perf_counter()
    made = make_reference(folder, features=features, cache=False)
    seconds = time.perf_counter() - start
    save_reference(made, folder.parent / "shard.safetensors")
    return {
        "images": n,
        "seconds": round(seconds, 1),
        "images a second": round(n / seconds, 1),
        "width": made.width,
        "MB a shard, this few images": round((folder.parent / "shard.safetensors").stat().st_size / 1e6, 2),
    }


def merging(d: int, files: int, folder: Path) -> dict[str, float]:
    """`files` shards of more than d samples each: the name changes, the numbers need not, for the time they take."""
    x = torch.randn(2 * d, d, generator=torch.Generator().manual_seed(0))
    moments = Moments.of(x)
    paths = []
    for k in range(files):
        path = folder / f"{k}.safetensors"
        origin = Origin("net", "f", shards=(Shard(f"{k:064d}", len(x)),))
        if k < 8:
            save_reference(Reference({"features": moments}, origin=origin), path)
        paths.append(path)
    size = paths[0].stat().st_size
    start = time.perf_counter()
    some = paths[:8]
    load_reference(some[0])
    load = time.perf_counter() - start
    # eight files stand for all: they stay in the disk's cache, as files of a fast disk would
    start = time.perf_counter()
    whole = load_reference(some[0]).moments["features"]
    for k in range(1, files):
        whole = whole.merge(load_reference(some[k % 8]).moments["features"])
    all_of_them = time.perf_counter() - start
    start = time.perf_counter()
    merge_files(some)
    eight = time.perf_counter() - start
    return {
        "width": d,
        "files": files,
        "MB a file": round(size / 1e6, 2),
        "MB of the scatter in full": round(8 * d * d / 1e6, 2),
        "seconds to read one": round(load, 3),
        "seconds to read and merge all": round(all_of_them, 1),
        "seconds a file": round(all_of_them / files, 4),
        "seconds of assay merge of 8": round(eight, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--features", default="efficientnet-lite0")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--files", type=int, default=1000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as where:
        images, shards = Path(where) / "images", Path(where) / "shards"
        images.mkdir()
        shards.mkdir()
        found = {
            "machine": {
                "cores": os.cpu_count(),
                "processor": _processor(),
                "python": platform.python_version(),
                "torch": str(torch.__version__),
            },
            "pass": images_a_second(given.features, given.images, images),
            "merge": [merging(d, given.files, shards) for d in (1280, 2048)],
        }
    rate = found["pass"]["images a second"]
    found["a million images"] = {
        "hours on this machine": round(1e6 / rate / 3600, 1),
        "images a second a core": round(rate / (os.cpu_count() or 1), 1),
    }
    print(json.dumps(found, indent=1))


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next(
        (line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine()
    )


if __name__ == "__main__":
    main()
