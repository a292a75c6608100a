"""One reference file of a great many images with Ray Data.

    python examples/ray_data.py photos.parquet -o reference.safetensors
    python examples/ray_data.py 's3://bucket/laion/*.parquet' -o reference.safetensors --workers 64 --gpus 1

Every worker turns blocks of images into moments, a few MB each whatever the block's size; those merge in two steps to
one file, which `assay compare reference.safetensors generated/` takes in place of images. The table has a column of
encoded images, as Hugging Face writes it (`image`, a struct with `bytes`) or as plain bytes.
"""

from __future__ import annotations

import argparse
from typing import Any

from assay.data import ImageSource
from assay.features import get_extractor
from assay.make_reference import make_reference
from assay.references import Reference, from_bytes, merge_references, save_reference, to_bytes

AT_A_TIME = 32  # references merged at once


class ToReference:
    """A block of images -> one row, the bytes of its reference. The network is loaded once a worker."""

    def __init__(self, features: str, column: str) -> None:
        self.extractor = get_extractor(features)
        self.column = column

    def __call__(self, block: dict[str, Any]) -> dict[str, list[bytes]]:
        cells = block[self.column]
        images = [cell["bytes"] if isinstance(cell, dict) else cell for cell in cells]
        names = [str(row) for row in range(len(images))]
        source = ImageSource(names, "Ray Data", images.__getitem__)
        return {"reference": [to_bytes(make_reference(source, features=self.extractor, cache=False))]}


def merged(block: dict[str, Any]) -> dict[str, list[bytes]]:
    """Several rows -> one."""
    return {"reference": [to_bytes(merge_references([from_bytes(cell) for cell in block["reference"]]))]}


def reference_of(
    table: str, *, features: str, column: str = "image", block: int = 1024, workers: int = 2, gpus: float = 0
) -> Reference:
    """The reference of all images of a Parquet table, or of several by a pattern."""
    import ray.data

    parts = (
        ray.data.read_parquet(table, columns=[column])
        .map_batches(
            ToReference,
            fn_constructor_args=(features, column),
            batch_size=block,
            concurrency=workers,
            num_gpus=gpus or None,
        )
        .map_batches(merged, batch_size=AT_A_TIME)
    )
    return merge_references([from_bytes(row["reference"]) for row in parts.iter_rows()])


def main() -> None:
    parser = argparse.ArgumentParser(description="One reference file of the images in a Parquet table.")
    parser.add_argument("table")
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--features", default="efficientnet-lite0")
    parser.add_argument("--column", default="image")
    parser.add_argument("--block", type=int, default=1024, help="images a block")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--gpus", type=float, default=0, help="of each worker")
    given = parser.parse_args()
    found = reference_of(
        given.table,
        features=given.features,
        column=given.column,
        block=given.block,
        workers=given.workers,
        gpus=given.gpus,
    )
    save_reference(found, given.output)
    print(f"{given.output}: {found.count:,.0f} images, {found.held}")


if __name__ == "__main__":
    main()
