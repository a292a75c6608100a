"""The Ray Data example on a local Ray: the moments of all images, as one process gives them."""

from __future__ import annotations

import importlib.util
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from assay.data import ImageSource
from assay.make_reference import make_reference
from assay.references import load_reference

EXAMPLE = Path(__file__).parents[2] / "examples" / "ray_data.py"
# looked for and not imported: what it warns of is not what is tested here
needs_ray = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("ray", "pyarrow")), reason="needs ray and pyarrow"
)


def encoded(n: int) -> list[bytes]:
    g = torch.Generator().manual_seed(0)
    out = []
    for k in range(n):
        file = io.BytesIO()
        pixels = torch.randint(0, 256, (8, 9, 3), dtype=torch.uint8, generator=g).numpy()
        Image.fromarray(pixels).save(file, "PNG" if k % 2 else "JPEG")
        out.append(file.getvalue())
    return out


@needs_ray
def test_blocks_on_ray_equal_one_process(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    images = encoded(60)
    cells = [{"bytes": image, "path": f"{k}.x"} for k, image in enumerate(images)]
    pq.write_table(
        pa.table({"image": cells, "label": list(range(60))}), tmp_path / "t.parquet", row_group_size=10
    )
    out = tmp_path / "reference.safetensors"
    command = [
        sys.executable,
        str(EXAMPLE),
        str(tmp_path / "t.parquet"),
        "-o",
        str(out),
        "--features",
        "pixels:2",
    ]
    done = subprocess.run(
        [*command, "--block", "16", "--workers", "1"],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "60 images" in done.stdout
    got = load_reference(out)
    names = [f"{k}.{'png' if k % 2 else 'jpg'}" for k in range(60)]
    alone = make_reference(ImageSource(names, "images", images.__getitem__), features="pixels:2")
    a, b = got.moments["features"], alone.moments["features"]
    assert got.count == 60 == sum(shard.count for shard in got.origin.shards)
    assert len(got.origin.shards) > 1  # it was not one block
    assert torch.allclose(a.mean, b.mean, rtol=1e-12)
    assert torch.allclose(a.dense_scatter(), b.dense_scatter(), rtol=1e-10, atol=1e-12)
    assert got.origin.fingerprint == alone.origin.fingerprint
