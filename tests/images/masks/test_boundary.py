"""Boundary F equals the benchmark's figures, and distances are the Euclidean distance transform's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt

from assay.errors import DataError, UsageError
from assay.images.masks import boundary_f
from assay.images.masks.boundary import mask_boundary, near


def waves(*sizes: int) -> torch.Tensor:
    """Three classes of overlapping waves, in closed form."""
    axes = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in sizes), indexing="ij")
    return torch.stack(
        [sum(torch.sin((0.21 + 0.05 * c + 0.03 * k) * a + c) for k, a in enumerate(axes)) for c in range(3)]
    )


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    x = waves(48, 64)
    y = x + 0.6 * torch.cos(waves(48, 64).roll(5, 1) * 3)
    return (x > 0)[None], (y > 0)[None]


# f_measure of the DAVIS 2017 evaluation toolkit (its dilation by scipy in place of OpenCV), the three classes of `pair`
DAVIS: dict[float, list[float]] = {
    0.008: [0.598034563, 0.726495726, 0.839006431],
    0.03: [0.978238190, 0.996108949, 1.000000000],
    2: [0.873925560, 0.944974640, 0.981996727],
}


@pytest.mark.parametrize("tolerance", list(DAVIS))
def test_as_the_benchmark(tolerance):
    p, t = pair()
    for c, expected in enumerate(DAVIS[tolerance]):
        got = boundary_f(p[:, c : c + 1], t[:, c : c + 1], tolerance=tolerance)
        assert float(got) == pytest.approx(expected, abs=1e-6)
    assert float(boundary_f(p, t, tolerance=tolerance)) == pytest.approx(np.mean(DAVIS[tolerance]), abs=1e-6)


@pytest.mark.parametrize("places", [(17, 23), (9, 10, 11), (1, 30)])
@pytest.mark.parametrize("radius", [0, 1, 2, 5, 40])
def test_distances_are_euclidean(places, radius):
    marks = torch.rand(2, 2, *places, generator=torch.Generator().manual_seed(0)) < 0.02
    marks[0, 0] = False
    marks[1, 1].view(-1)[0] = True
    got = near(marks, radius)
    for i in range(2):
        for c in range(2):
            if marks[i, c].any():
                expected = distance_transform_edt(~marks[i, c].numpy()) <= radius + 1e-9
            else:
                expected = np.zeros(places, dtype=bool)
            np.testing.assert_array_equal(got[i, c].numpy(), expected)


def test_three_dimensions_from_the_definition():
    x = (3 * waves(10, 12, 14)[None]).sin() > 0
    y = (3 * waves(10, 12, 14)[None] + 0.8).sin() > 0

    def outline(mask):
        padded = np.pad(mask, [(0, 1)] * 3, mode="edge")
        edges = np.zeros_like(mask)
        for a in (0, 1):
            for b in (0, 1):
                for c in (0, 1):
                    edges |= mask != padded[a : a + 10, b : b + 12, c : c + 14]
        return edges

    scores = []
    for c in range(3):
        a, b = outline(x[0, c].numpy()), outline(y[0, c].numpy())
        np.testing.assert_array_equal(mask_boundary(x)[0, c].numpy(), a)
        precision = (distance_transform_edt(~b)[a] <= 1).mean()
        recall = (distance_transform_edt(~a)[b] <= 1).mean()
        scores.append(2 * precision * recall / (precision + recall))
    assert float(boundary_f(x, y, tolerance=1)) == pytest.approx(np.mean(scores), abs=1e-6)


def test_empty_and_full_masks():
    p, t = pair()
    empty, full = torch.zeros_like(p), torch.ones_like(p)
    assert float(boundary_f(empty, empty)) == 1.0
    assert float(boundary_f(empty, full)) == 1.0  # neither has an outline
    assert float(boundary_f(p, empty)) == float(boundary_f(empty, t)) == 0.0
    with pytest.raises(DataError, match="NaN"):
        boundary_f.estimate(empty.repeat(2, 1, 1, 1), empty.repeat(2, 1, 1, 1), absent="skip")


def test_a_shift_within_the_tolerance_costs_nothing():
    square = torch.zeros(1, 1, 40, 40)
    square[..., 10:30, 10:30] = 1
    moved = square.roll((3, 4), (2, 3))
    assert float(boundary_f(square, moved, tolerance=5)) == 1.0
    assert float(boundary_f(square, moved, tolerance=3)) < 1.0


def test_refused():
    p, t = pair()
    with pytest.raises(UsageError, match="boundary_f has no gradient"):
        boundary_f.objective()
    for tolerance in (-1, 1.5, float("nan"), "2"):
        with pytest.raises(UsageError, match="tolerance"):
            boundary_f(p, t, tolerance=tolerance)
    for threshold in (127, 1.0, -0.5, float("nan"), "0.5"):  # no place would be above, or all
        with pytest.raises(UsageError, match=r"threshold: expected a number from 0 to below 1"):
            boundary_f(p, t, threshold=threshold)
