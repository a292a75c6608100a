"""One set of four images in each form that a URL may name, and what is read of it."""

from __future__ import annotations

import contextlib
import io
import tarfile
import zipfile

import numpy as np
import pytest

from assay.data import batches

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("fsspec")


def png(level):
    buffer = io.BytesIO()
    Image.new("L", (3, 2), level).save(buffer, "PNG")
    return buffer.getvalue()


def sets():
    """One set of four images in each form, by file name."""
    noise = np.random.default_rng(0).bytes(300_000)  # what nobody has to read to get at the images
    zipped, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("noise.bin", noise)
        for i in range(4):
            file.writestr(f"c{i // 2}/{i}.png", png(i))
    with tarfile.open(fileobj=tarred, mode="w") as file:
        for name, content in [("noise.bin", noise), *((f"{i}.png", png(i)) for i in range(4))]:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    made = {"a.zip": zipped.getvalue(), "a.tar": tarred.getvalue()}
    images = np.arange(4, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 3, 3), np.uint8)
    for name, save in {"a.npy": np.save, "a.npz": np.savez, "b.npz": np.savez_compressed}.items():
        buffer = io.BytesIO()
        save(buffer, images)
        made[name] = buffer.getvalue()
    made |= {f"pictures/{i}.png": png(i) for i in range(4)}
    made["pictures/notes.txt"] = made["pictures/.hidden.png"] = b"x"
    made |= {f"shards/{i}.zip": made["a.zip"] for i in range(2)}
    with contextlib.suppress(ImportError):
        import pyarrow as pa
        import pyarrow.parquet as pq

        buffer = io.BytesIO()
        pq.write_table(pa.table({"image": [png(i) for i in range(4)], "label": list("abab")}), buffer)
        made["a.parquet"] = buffer.getvalue()
    return made


SETS = sets()


ONE_FILE = [name for name in SETS if "/" not in name]


def levels(source):
    seen = list(
        batches(
            source, transform=lambda image: image[:1, :1, 0:1].astype(np.float32), workers=4, batch_size=3
        )
    )
    return np.concatenate([b.images.numpy().ravel() for b in seen]).astype(int).tolist()
