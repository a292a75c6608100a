"""Heat maps in a report: of the samples it shows, from the images that were compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from assay import UsageError, compare
from assay.report_maps import report_maps

RNG = np.random.default_rng(0)
REAL = RNG.integers(0, 256, (14, 24, 24, 3), dtype=np.uint8)
MADE = np.minimum(RNG.integers(0, 256, (12, 24, 24, 3)), 120).astype(np.uint8)


def test_the_samples_shown_get_maps_and_they_are_in_the_page(tmp_path: Path) -> None:
    found = compare(REAL, {"made": MADE}, measures=["fd", "kd"], explain=True)
    maps = report_maps(found)
    assert {name for name, _ in maps} == {"real", "made"}
    assert all(png.startswith(b"\x89PNG") for png in maps.values())
    found.to_html(tmp_path / "with.html", maps=maps)
    # they are of one measure, whichever gallery they are looked at in
    assert "its influence on kd[" in (tmp_path / "with.html").read_text()
    found.to_html(tmp_path / "without.html")
    assert (tmp_path / "with.html").stat().st_size > (tmp_path / "without.html").stat().st_size + 1000


def test_what_has_no_maps_is_said() -> None:
    rows = torch.randn(30, 3)
    with pytest.raises(UsageError, match="need the images of all sets"):
        report_maps(compare(rows, {"a": rows + 1}, measures="kd", explain=True))
    found = compare(REAL, {"made": MADE}, features="pixels:4", measures="precision", explain=True)
    with pytest.raises(
        UsageError, match="are of kernel_distance, frechet_distance, cmmd; measure one of them"
    ):
        report_maps(found)
