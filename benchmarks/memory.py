"""Does memory stay flat over a long pass? 200,000 images of 28 x 28, made as they are asked for, through `pixels:8`.

    python -m benchmarks.memory [IMAGES]

Prints JSON: anonymous memory (RssAnon) over the images done, and the largest after the first 5,000 against that there.
Linux only.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

WARM = 5_000
EVERY = 5_000


def anonymous() -> int:
    """Bytes of this process that belong to no file."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("RssAnon:")).split()[1]) * 1024


def source(count: int):  # noqa: ANN201
    from assay.data import ImageSource

    base = np.random.default_rng(0).integers(0, 256, (64, 28, 28, 3), dtype=np.uint8)

    def read(index: int):  # noqa: ANN202
        return base[index % 64] ^ np.uint8(index // 64 % 256)

    return ImageSource([f"{index:06}" for index in range(count)], "generated", read)


def measured(count: int, kept: bool) -> dict[str, object]:
    from assay.features import extract, get_extractor

    images, extractor = source(count), get_extractor("pixels:8", device="cpu")
    curve: list[tuple[int, int]] = []

    def look(done: int, total: int) -> None:
        if done == total or not curve or done - curve[-1][0] >= EVERY:
            curve.append((done, anonymous()))

    started = time.monotonic()
    found = extract(images, extractor, cache=kept, progress=look)
    seconds = time.monotonic() - started
    assert len(found) == count
    warm = next(size for done, size in curve if done >= WARM)
    after = max(size for done, size in [*curve, (count, anonymous())] if done >= WARM)
    return {
        "images": count,
        "kept": kept,
        "seconds": round(seconds, 1),
        "warm_bytes": warm,
        "largest_bytes": after,
        "growth": round(after / warm - 1, 4),
        "curve": curve,
    }


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with tempfile.TemporaryDirectory() as home:
        os.environ["ASSAY_HOME"] = home
        first, second = measured(count, True), measured(count, True)
    print(json.dumps({"first": first, "second": second}))


if __name__ == "__main__":
    main()
