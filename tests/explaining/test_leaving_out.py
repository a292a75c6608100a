"""What each sample does to a value is what leaving it out does: exactly for counts, to 1/n^2 for smooth measures."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import assay
from assay.contrast import Sampled
from assay.explaining import influences_of_all
from assay.set_measure import Measure
from assay.sets import authenticity, coverage, density, prdc, precision, recall


def without(measure: Measure, x: torch.Tensor, y: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Leaving every sample out in turn, as influences."""
    value = float(measure(x, y))
    rows = lambda t, i: torch.cat([t[:i], t[i + 1 :]])
    of_x = [-(len(x) - 1) * (float(measure(rows(x, i), y)) - value) for i in range(len(x))]
    of_y = [-(len(y) - 1) * (float(measure(x, rows(y, j))) - value) for j in range(len(y))]
    return np.array(of_x), np.array(of_y)


def found(measure: Measure, x: torch.Tensor, y: torch.Tensor) -> assay.explaining.SampleInfluences:
    return influences_of_all([measure], Sampled(x), {"c": Sampled(y)})["c", 0]


@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize("case", ["apart", "near", "ties", "copies", "one point"])
def test_counts_of_neighbours_are_left_out_exactly(case: str, k: int) -> None:
    g = torch.Generator().manual_seed(3)
    x = torch.randn(26, 2, generator=g, dtype=torch.float64)
    y = torch.randn(21, 2, generator=g, dtype=torch.float64)
    if case == "apart":
        y = 1.5 * y + 1.5
    if case == "ties":  # on a grid, where k-th and (k+1)-th neighbours are as far
        x, y = (2 * x).round(), (2 * y).round()
    if case == "copies":
        y[:12] = x[:12]
        x[20:] = x[12:18]
        y[:6] += 1e-9
    if case == "one point":
        y = y[:1].repeat(21, 1) + 0.01 * y
    both = prdc.with_options(nearest_k=k)
    measures = [
        *both.measures,
        *([authenticity] if case != "ties" else []),
    ]  # nearest samples may not be tied

    def values(x: torch.Tensor, y: torch.Tensor) -> np.ndarray:
        return np.array([float(v) for v in both(x, y).values()] + [float(m(x, y)) for m in measures[4:]])

    value, rows = values(x, y), lambda t, i: torch.cat([t[:i], t[i + 1 :]])
    of_x = np.stack([-(len(x) - 1) * (values(rows(x, i), y) - value) for i in range(len(x))], 1)
    of_y = np.stack([-(len(y) - 1) * (values(x, rows(y, j)) - value) for j in range(len(y))], 1)
    here = influences_of_all(measures, Sampled(x), {"c": Sampled(y)})
    for at in range(len(measures)):
        np.testing.assert_allclose(here["c", at].of_real, of_x[at], atol=1e-9)
        np.testing.assert_allclose(here["c", at].of_generated, of_y[at], atol=1e-9)
        assert here["c", at].method.startswith("leaving out each sample exactly")


def test_joint_counts_share_their_neighbours_and_agree() -> None:
    g = torch.Generator().manual_seed(5)
    x, y = torch.randn(60, 3, generator=g), torch.randn(50, 3, generator=g) + 0.5
    several = [precision, recall, density, coverage, precision.with_options(nearest_k=2)]
    together = influences_of_all(several, Sampled(x), {"a": Sampled(y), "b": Sampled(y + 1)})
    for k, m in enumerate(several):
        for name, made in (("a", y), ("b", y + 1)):
            alone = found(m, x, made)
            assert torch.equal(alone.of_real, together[name, k].of_real)
            assert torch.equal(alone.of_generated, together[name, k].of_generated)


@pytest.mark.parametrize("name", ["frechet_distance", "kernel_distance", "cmmd"])
def test_smooth_measures_are_off_by_the_square(name: str) -> None:
    measure = getattr(assay, name)
    off = []
    for n in (30, 120):
        g = torch.Generator().manual_seed(1)
        x = torch.randn(n, 3, generator=g, dtype=torch.float64)
        y = torch.randn(n, 3, generator=g, dtype=torch.float64) + 0.7
        of_x, of_y = without(measure, x, y)
        here = found(measure, x, y)
        off.append(np.abs(here.of_generated.numpy() - of_y).max() / np.abs(of_y).max())
        assert abs(float(here.of_generated.sum())) < 1e-8 * n
        assert here.method.startswith("influences, derivatives")
    assert np.corrcoef(here.of_real, of_x)[0, 1] > 0.98
    # an influence is n times a change: its error falls as 1/n where the change's falls as 1/n^2
    assert off[1] < 0.5 * off[0] < 0.3


def test_other_sides_and_what_is_missing() -> None:
    g = torch.Generator().manual_seed(2)
    x, y, h = (torch.rand(60, 3, generator=g, dtype=torch.float64) for _ in range(3))
    one = influences_of_all([assay.vendi_score], None, {"c": Sampled(y)})["c", 0]
    assert one.of_real is None and "real" not in one.method
    expected = assay.vendi_score.influence(y, of="y")
    torch.testing.assert_close(one.of_generated, expected)
    three = influences_of_all([assay.data_copying], Sampled(x), {"c": Sampled(y)}, Sampled(h))["c", 0]
    torch.testing.assert_close(three.of_generated, assay.data_copying.influence(x, y, h, of="y"))
    assert three.of_real is None
    assert "none of real samples (data_copying does not vary smoothly with them)" in three.method
    gap = influences_of_all([assay.overfitting_gap], Sampled(x), {"c": Sampled(y)}, Sampled(h))["c", 0]
    assert gap.of_generated is None and "none of generated samples" in gap.method
    exact = Sampled(exact=assay.Moments.of(x))
    fd = influences_of_all([assay.frechet_distance], exact, {"c": Sampled(y)})["c", 0]
    assert fd.of_real is None and "given as statistics" in fd.method
    torch.testing.assert_close(fd.of_generated, assay.frechet_distance.influence(x, y, of="y"))


def test_too_few_to_leave_one_out() -> None:
    x = torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
    here = found(precision, x, x)
    assert here.of_real is None and here.of_generated is None
    assert here.method == "none: leaving one out needs 7 real and 7 generated samples"
