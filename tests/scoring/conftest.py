"""Small folders of images and of what became of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("PIL")

Write = Callable[..., list[NDArray[np.uint8]]]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, and a history and cache of this test's own."""
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def write(home: Path) -> Write:
    """write("sr", sizes, noise=8, suffix=".png"): smooth pictures, the same for every folder, and noise upon them."""
    from PIL import Image

    def made(
        folder: str,
        sizes: Sequence[tuple[int, int]],
        *,
        noise: float = 0.0,
        suffix: str = ".png",
        seed: int = 0,
    ) -> list[NDArray[np.uint8]]:
        (home / folder).mkdir()
        pictures = []
        for k, (height, width) in enumerate(sizes):
            rows, columns = np.mgrid[0:height, 0:width]
            waves = [
                128 + 60 * np.sin((k + 2 + c) * rows / 9) + 40 * np.cos((k + 3) * columns / 11)
                for c in range(3)
            ]
            draws = np.random.default_rng((seed, k, int(noise)))
            picture = np.stack(waves, 2) + draws.normal(0, noise * (1 + 0.3 * k) + 1e-9, (height, width, 3))
            pixels = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(home / folder / f"{k:03}{suffix}")
            pictures.append(pixels)
        return pictures

    return made
