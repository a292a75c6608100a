"""Precision, recall, density, coverage, authenticity, realism against brute force and against the package `prdc`.

On continuous data all agree. On tied data they do not: `prdc` uses open balls (a point at exactly the radius is
outside), the definition of improved precision and recall closed ones. With open balls a set whose samples come in
more than k copies has balls of radius zero that do not hold even their own centre: precision(x, x) is then 0 in place
of 1. The closed ball is the published definition (Kynkäänniemi et al. 2019, equation 2: "less than or equal") and the
one here.
"""

from __future__ import annotations

import contextlib
import io

import pytest
import torch

from assay import Neighbours, UsageError, prdc, realism
from assay.sets import authenticity, coverage, density, precision, recall

FAMILY = ("precision", "recall", "density", "coverage")


def distances(x, y):
    """(n, m) by subtraction in float64: exact zeros for copies."""
    return (x.double()[:, None, :] - y.double()[None, :, :]).square().sum(-1)


def brute_force(x, y, k, *, closed=True):
    """The four definitions, straight from the matrices."""
    inside = (lambda d, r: d <= r * (1 + 1e-12)) if closed else (lambda d, r: d < r)
    across = distances(x, y)
    # the k-th nearest other sample: self is left out by taking one more
    rx = distances(x, x).sort(1).values[:, k]
    ry = distances(y, y).sort(1).values[:, k]
    in_x, in_y = inside(across, rx[:, None]), inside(across, ry[None, :])
    share = lambda mask: float(mask.double().mean())
    return {
        "precision": share(in_x.any(0)),
        "recall": share(in_y.any(1)),
        "density": float(in_x.double().sum()) / (k * len(y)),
        "coverage": share(in_x.any(1)),
    }


def numbers(values):
    return {name: float(v) for name, v in values.items()}


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize(("n", "m", "d"), [(300, 200, 4), (100, 350, 64), (30, 20, 100)])
def test_equals_prdc_on_continuous_data(normal, n, m, d, k):
    compute_prdc = pytest.importorskip("prdc").compute_prdc
    x, y = normal(n, d), 0.9 * normal(m, d) + 0.1
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = compute_prdc(x.numpy(), y.numpy(), k)
    mine = numbers(prdc(x, y, nearest_k=k))
    assert mine == pytest.approx({name: float(theirs[name]) for name in FAMILY}, abs=1e-12)
    assert mine == pytest.approx(brute_force(x, y, k), abs=1e-12)
    assert mine["density"] > 0  # or the agreement would be between zeros


TIED = {
    "a grid": lambda g: (
        torch.randint(0, 3, (60, 3), generator=g),
        torch.randint(0, 3, (50, 3), generator=g),
    ),
    "copies across": lambda g: (
        z := torch.randint(0, 9, (40, 4), generator=g),
        z[torch.randperm(40, generator=g)][:25],
    ),
    "eight copies of each": lambda g: (z := torch.randint(0, 99, (12, 4), generator=g).repeat(8, 1), z[5:60]),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("what", TIED)
def test_tied_data_follow_the_closed_ball(what, k, dtype):
    x, y = (t.to(dtype) for t in TIED[what](torch.Generator().manual_seed(2)))
    # abs: the value itself is float32 where the samples are; one flipped sample would be 0.01 and more
    assert numbers(prdc(x, y, nearest_k=k)) == pytest.approx(brute_force(x, y, k), rel=1e-6)


def test_the_package_uses_open_balls_and_reads_zero_where_the_definition_says_one():
    compute_prdc = pytest.importorskip("prdc").compute_prdc
    x = torch.randn(12, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).repeat(8, 1)
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = compute_prdc(x.numpy(), x.numpy(), 5)
    assert brute_force(x, x, 5, closed=False)["precision"] == 0
    assert (
        float(theirs["precision"]) < 1
    )  # not exactly 0: its distances between copies are rounding above zero
    assert numbers(prdc(x, x, nearest_k=5)) == pytest.approx({**dict.fromkeys(FAMILY, 1.0), "density": 8 / 5})


@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_float32_with_duplicates_and_a_common_offset(offset):
    g = torch.Generator().manual_seed(1)
    x = torch.randn(200, 32, generator=g) + offset
    y = torch.cat([x[:60], torch.randn(140, 32, generator=g) + offset])
    assert numbers(prdc(x, y)) == pytest.approx(brute_force(x, y, 5), rel=1e-6)


# -- counts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 3, 5])
def test_counts_are_copies(normal, k):
    x, y = normal(30, 3), normal(25, 3)
    g = torch.Generator().manual_seed(3)
    u, v = torch.randint(0, 4, (30,), generator=g).double(), torch.randint(0, 7, (25,), generator=g).double()
    written_out = brute_force(x.repeat_interleave(u.long(), 0), y.repeat_interleave(v.long(), 0), k)
    got = numbers(prdc(x, y, nearest_k=k, weights_x=u, weights_y=v))
    assert got == pytest.approx(written_out, abs=1e-12)


def test_fractional_counts_reach_the_kth_by_weight():
    x = torch.tensor([[0.0], [1.0], [3.0], [7.0]], dtype=torch.float64)
    side = Neighbours.of(x, torch.tensor([1.0, 0.5, 0.5, 2.0]))
    # from 0: half a count at 1, another half at 3 make one; from 7 one other copy of itself is at 0
    assert side.radii(1).tolist() == [9.0, 1.0, 9.0, 0.0]
    # from 0: 0.5 + 0.5 + 2 reach two only at 7
    assert side.radii(2)[0].item() == 49.0


def test_many_small_counts():
    x = torch.arange(12, dtype=torch.float64)[:, None]
    side = Neighbours.of(x, torch.full((12,), 0.25))
    assert side.radii(1)[0].item() == 16.0  # four quarters
    assert side.radii(2)[0].item() == 64.0


def test_a_sample_of_count_zero_is_nobodys_neighbour(normal):
    x, y = normal(20, 3), normal(20, 3)
    far = torch.cat([x, y[:1]])
    counts = torch.cat([torch.ones(20), torch.zeros(1)])
    assert numbers(prdc(far, y, weights_x=counts)) == numbers(prdc(x, y))


# -- nearest_k --------------------------------------------------------------------------------------------------------


def test_nearest_k_may_be_as_large_as_the_others(normal):
    x, y = normal(6, 2), normal(6, 2)
    assert numbers(prdc(x, y, nearest_k=5)) == pytest.approx(brute_force(x, y, 5))


@pytest.mark.parametrize("k", [0, -1, 2.5, True])
def test_nearest_k_must_be_a_whole_number(normal, k):
    with pytest.raises(UsageError, match="nearest_k: expected a whole number"):
        precision(normal(9, 2), normal(9, 2), nearest_k=k)


@pytest.mark.parametrize("measure", [precision, recall, density, coverage], ids=lambda m: m.name)
def test_too_few_samples_for_k(normal, measure):
    with pytest.raises(UsageError, match="nearest_k=5 needs at least 6 samples"):
        measure(normal(5, 2), normal(5, 2))


@pytest.mark.parametrize("k", [1, 3, 5])
def test_expectations_where_both_sets_have_one_distribution(k):
    """Coverage is close to 1 - 2^-k, density to 1."""
    values = []
    for seed in range(30):
        g = torch.Generator().manual_seed(seed)
        x, y = (torch.randn(300, 3, dtype=torch.float64, generator=g) for _ in range(2))
        values.append([float(coverage(x, y, nearest_k=k)), float(density(x, y, nearest_k=k))])
    mean = torch.tensor(values).mean(0)
    assert mean[0].item() == pytest.approx(1 - 2.0**-k, abs=0.012)
    assert mean[1].item() == pytest.approx(1, abs=0.06)


# -- authenticity -----------------------------------------------------------------------------------------------------


def authenticity_by_brute_force(x, y):
    across, within = distances(x, y), distances(x, x)
    within.fill_diagonal_(float("inf"))
    near = across.min(0)
    return float((near.values > within.min(1).values[near.indices]).double().mean())


def test_authenticity(normal):
    x, y = normal(150, 5), torch.cat([normal(90, 5), normal(150, 5)[:10]])
    y[:20] = x[:20]
    assert float(authenticity(x, y)) == pytest.approx(authenticity_by_brute_force(x, y))
    assert float(authenticity(x, x)) == 0


def test_authenticity_of_new_samples_is_about_a_half():
    g = torch.Generator().manual_seed(0)
    x, y = (torch.randn(2000, 4, dtype=torch.float64, generator=g) for _ in range(2))
    assert float(authenticity(x, y)) == pytest.approx(0.5, abs=0.05)


def test_authenticity_with_counts(normal):
    x, y = normal(40, 3), normal(30, 3)
    g = torch.Generator().manual_seed(3)
    u, v = torch.randint(0, 3, (40,), generator=g).double(), torch.randint(0, 3, (30,), generator=g).double()
    expected = authenticity_by_brute_force(x.repeat_interleave(u.long(), 0), y.repeat_interleave(v.long(), 0))
    assert float(authenticity(x, y, weights_x=u, weights_y=v)) == pytest.approx(expected)


# -- realism ----------------------------------------------------------------------------------------------------------


def realism_by_brute_force(x, y, k):
    radii = distances(x, x).sort(1).values[:, k]
    kept = radii <= radii.quantile(0.5, interpolation="lower")
    ratio = radii[kept, None] / distances(x[kept], y)
    return torch.where(ratio.isnan(), torch.inf, ratio).amax(0).sqrt()


@pytest.mark.parametrize("n", [60, 61])
def test_realism(normal, n):
    x, y = normal(n, 4), normal(40, 4)
    assert torch.allclose(realism(x, y, nearest_k=3), realism_by_brute_force(x, y, 3), rtol=1e-9)


def test_realism_in_float32(normal):
    x, y = (normal(200, 16) + 50).float(), (normal(100, 16) + 50).float()
    assert torch.allclose(realism(x, y), realism_by_brute_force(x, y, 5), rtol=1e-9)


def test_realism_is_at_least_one_exactly_inside_a_kept_ball(normal):
    x, y = normal(100, 3), normal(300, 3)
    radii = distances(x, x).sort(1).values[:, 5]
    kept = radii <= radii.quantile(0.5, interpolation="lower")
    inside = (distances(x[kept], y) <= radii[kept, None]).any(0)
    assert torch.equal(realism(x, y) >= 1, inside)
    assert 20 < int(inside.sum()) < 280


def test_realism_of_a_copy_is_infinite(normal):
    x = normal(50, 3)
    kept = distances(x, x).sort(1).values[:, 5].argmin()
    assert realism(x, x[kept : kept + 1]).item() == float("inf")


def test_realism_of_a_copied_outlier_is_not_infinite(normal):
    """Only the kept half of the balls speaks; an outlier's wide ball is dropped, and with it its centre."""
    x = torch.cat([normal(50, 3), torch.full((1, 3), 30.0, dtype=torch.float64)])
    got = realism(x, x[-1:])
    assert got.item() == pytest.approx(realism_by_brute_force(x, x[-1:], 5).item())
    assert got.item() < 1


def test_realism_with_counts_is_realism_of_copies(normal):
    """The median radius, too, is one of counted samples."""
    x, y = normal(40, 3), normal(200, 3)
    counts = torch.where(x.norm(dim=1) > 1.5, 3.0, 1.0).double()
    expected = realism(x.repeat_interleave(counts.long(), 0), y)
    assert torch.allclose(realism(Neighbours.of(x, counts), y), expected)


def test_realism_errors(normal):
    with pytest.raises(UsageError, match="nearest_k=5 needs at least 6"):
        realism(normal(5, 2), normal(3, 2))
    with pytest.raises(UsageError, match="x has 2 features and y has 3"):
        realism(normal(9, 2), normal(3, 3))
