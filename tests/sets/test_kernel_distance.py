"""The kernel distance against double loops, sklearn's kernels, Gaussian integrals and its own null distribution."""

from __future__ import annotations

import math

import pytest
import torch

from assay import UsageError, kernel_distance, median_bandwidth, polynomial, rbf
from assay.scale import cosine, linear


def by_loops(x, y, k, u=None, v=None, biased=False):
    """The definition, sample by sample and count by count: every sample is written out as often as it counts."""
    x = x.repeat_interleave(u.long(), 0) if u is not None else x
    y = y.repeat_interleave(v.long(), 0) if v is not None else y
    within = []
    for z in (x, y):
        total = sum(k(a, b) for i, a in enumerate(z) for j, b in enumerate(z) if biased or i != j)
        within.append(total / (len(z) ** 2 if biased else len(z) * (len(z) - 1)))
    across = sum(k(a, b) for a in x for b in y) / (len(x) * len(y))
    return float(within[0] + within[1] - 2 * across)


KERNELS = {
    "cubic": (None, lambda a, b: (a @ b / len(a) + 1) ** 3),
    "quadratic": (polynomial(2, 0.5, 0.3), lambda a, b: (0.5 * (a @ b) + 0.3) ** 2),
    "rbf": (rbf(1.7), lambda a, b: torch.exp(-(a - b).square().sum() / (2 * 1.7**2))),
    "several bandwidths": (
        rbf([0.5, 2.0, 8.0]),
        lambda a, b: sum(torch.exp(-(a - b).square().sum() / (2 * s * s)) for s in (0.5, 2.0, 8.0)) / 3,
    ),
    "linear": (linear(), lambda a, b: a @ b),
    "cosine": (cosine(), lambda a, b: a @ b / (a.norm() * b.norm())),
}


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("name", KERNELS)
def test_equals_the_double_loop(normal, name, biased):
    kernel, plain = KERNELS[name]
    x, y = normal(9, 4), normal(7, 4) + 0.5
    got = float(kernel_distance(x, y, kernel=kernel, biased=biased))
    assert got == pytest.approx(by_loops(x, y, plain, biased=biased), rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("name", KERNELS)
def test_counts_are_copies_in_the_double_loop(normal, name, biased):
    kernel, plain = KERNELS[name]
    x, y = normal(6, 3), normal(5, 3) + 0.5
    u, v = torch.tensor([1.0, 3, 0, 2, 1, 1]), torch.tensor([2.0, 0, 1, 1, 4])
    got = float(kernel_distance(x, y, weights_x=u, weights_y=v, kernel=kernel, biased=biased))
    assert got == pytest.approx(by_loops(x, y, plain, u, v, biased), rel=1e-10, abs=1e-12)


def test_fractional_counts_follow_the_formula(normal):
    x, y = normal(6, 3), normal(5, 3)
    u, v = normal(6).abs() + 0.6, normal(5).abs() + 0.6
    k = polynomial(width=3)
    within = [(w @ k(z, z) @ w - w @ k.diagonal(z)) / (w.sum() * (w.sum() - 1)) for z, w in ((x, u), (y, v))]
    expected = within[0] + within[1] - 2 * u @ k(x, y) @ v / (u.sum() * v.sum())
    assert float(kernel_distance(x, y, weights_x=u, weights_y=v)) == pytest.approx(float(expected), rel=1e-12)


@pytest.mark.parametrize("kernel", ["polynomial_kernel", "rbf_kernel"])
def test_equals_sklearn_kernels(normal, kernel):
    pairwise = pytest.importorskip("sklearn.metrics.pairwise")
    x, y = normal(1300, 8), normal(700, 8) + 0.1  # more rows than one tile has
    if kernel == "polynomial_kernel":
        k, mine = lambda a, b: pairwise.polynomial_kernel(a, b, degree=3), None
    else:
        k, mine = lambda a, b: pairwise.rbf_kernel(a, b, gamma=1 / (2 * 3.0**2)), rbf(3.0)
    xx, yy, xy = k(x, x), k(y, y), k(x, y)
    n, m = len(x), len(y)
    expected = (
        (xx.sum() - xx.trace()) / (n * (n - 1)) + (yy.sum() - yy.trace()) / (m * (m - 1)) - 2 * xy.mean()
    )
    assert float(kernel_distance(x, y, kernel=mine)) == pytest.approx(expected, rel=1e-9)
    # float32 products; sums over tiles in float64
    assert float(kernel_distance(x.float(), y.float(), kernel=mine)) == pytest.approx(
        expected, rel=2e-4, abs=1e-7
    )


def gaussian_rbf(s, d, v, w, shift):
    """E k(x, y) of isotropic Gaussians with variances v, w whose means are `shift` apart."""
    total = s * s + v + w
    return (s * s / total) ** (d / 2) * math.exp(-shift * shift / (2 * total))


@pytest.mark.parametrize("s", [2.0, 4.0])
def test_rbf_of_gaussians_has_a_closed_form(s):
    d, n, variance, shift = 6, 3000, 2.0, 1.5
    expected = gaussian_rbf(s, d, 1, 1, 0) + gaussian_rbf(s, d, 2, 2, 0) - 2 * gaussian_rbf(s, d, 1, 2, shift)
    g = torch.Generator().manual_seed(0)
    x = torch.randn(n, d, dtype=torch.float64, generator=g)
    y = variance**0.5 * torch.randn(n, d, dtype=torch.float64, generator=g)
    y[:, 0] += shift
    estimate = kernel_distance.estimate(x, y, kernel=rbf(s))
    assert estimate.value == estimate.corrected
    assert abs(estimate.value - expected) < 3.5 * estimate.std_error
    assert estimate.std_error < 0.1 * expected  # or the line above would say little


def test_a_common_offset_does_not_reach_a_distance_kernel(normal):
    x, y = normal(80, 16), normal(70, 16) + 0.4
    expected = float(kernel_distance(x, y, kernel=rbf(4.0)))
    far = kernel_distance((x + 1024).float(), (y + 1024).float(), kernel=rbf(4.0))
    # samples near 1024 are themselves rounded by 6e-5 in float32
    assert float(far) == pytest.approx(expected, rel=1e-3)


def test_biased_of_equal_sets_is_zero_and_unbiased_below(normal):
    x = normal(40, 5)
    assert float(kernel_distance(x, x, biased=True)) == pytest.approx(0, abs=1e-12)
    assert float(kernel_distance(x, x)) < 0


@pytest.mark.parametrize("kernel", [None, rbf(2.0)], ids=["cubic", "rbf"])
def test_gradients_by_samples_and_weights(normal, kernel):
    x, y = normal(7, 3), normal(6, 3)
    u, v = torch.ones(7, dtype=torch.float64) * 1.5, normal(6).abs() + 0.5
    leaves = [t.clone().requires_grad_() for t in (x, y, u, v)]
    assert torch.autograd.gradcheck(
        lambda a, b, c, e: kernel_distance(a, b, weights_x=c, weights_y=e, kernel=kernel), leaves
    )


def test_one_sample_is_refused_only_without_a_diagonal(normal):
    with pytest.raises(UsageError, match="y: expected at least 2 samples, got 1"):
        kernel_distance(normal(5, 2), normal(1, 2))
    assert float(kernel_distance(normal(5, 2), normal(1, 2), biased=True)) >= 0


def test_a_kernel_must_be_a_kernel(normal):
    with pytest.raises(UsageError, match="kernel: expected an assay Kernel"):
        kernel_distance(normal(5, 2), normal(5, 2), kernel="rbf")
    for bad in (0.0, -1.0, [], [1.0, float("inf")], float("nan")):
        with pytest.raises(UsageError, match="bandwidth"):
            rbf(bad)


# -- the bandwidth ----------------------------------------------------------------------------------------------------


def test_median_bandwidth_is_the_median_distance(normal):
    x = normal(41, 3)
    distances = sorted(float((x[i] - x[j]).norm()) for i in range(41) for j in range(i))
    assert median_bandwidth(x) == pytest.approx(distances[(len(distances) - 1) // 2])
    assert isinstance(median_bandwidth(x.float().requires_grad_()), float)


def test_median_bandwidth_of_nothing_to_measure(normal):
    with pytest.raises(UsageError, match="at least 2 samples"):
        median_bandwidth(normal(1, 3))
    with pytest.raises(UsageError, match="equal"):
        median_bandwidth(torch.ones(9, 3))


def test_median_bandwidth_looks_at_a_limited_number(normal):
    x = normal(500, 3)
    assert median_bandwidth(x, limit=100) == pytest.approx(median_bandwidth(x), rel=0.2)


# -- the permutation test ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("kernel", [None, rbf(2.0)], ids=["cubic", "rbf"])
def test_permutation_value_is_the_measure_and_relabelled_values_are_measures(normal, kernel, biased):
    x, y = normal(25, 3), normal(18, 3) + 0.2
    test = kernel_distance.permutation_test(
        x, y, permutations=3, kernel=kernel, biased=biased, generator=torch.Generator().manual_seed(4)
    )
    expected = kernel_distance(x, y, kernel=kernel, biased=biased)
    assert test.value == pytest.approx(float(expected), rel=1e-9)
    pooled, g = torch.cat([x, y]), torch.Generator().manual_seed(4)
    for value in test.relabelled:
        order = torch.randperm(len(pooled), generator=g)
        again = kernel_distance(pooled[order[:25]], pooled[order[25:]], kernel=kernel, biased=biased)
        assert float(value) == pytest.approx(float(again), rel=1e-8)


def test_p_is_uniform_where_both_sets_have_one_distribution():
    p = []
    for seed in range(120):
        g = torch.Generator().manual_seed(seed)
        x, y = (torch.randn(n, 3, dtype=torch.float64, generator=g) for n in (20, 15))
        p.append(kernel_distance.permutation_test(x, y, permutations=99, generator=g).p_value)
    p = torch.tensor(p)
    # Kolmogorov and Smirnov's distance over 120 draws is above 0.15 once in a hundred times
    gap = (p.sort().values - torch.linspace(0, 1, len(p))).abs().max()
    assert float(gap) < 0.16
    assert 0.0 <= float((p <= 0.05).float().mean()) <= 0.11


def test_p_is_small_where_they_differ(normal):
    test = kernel_distance.permutation_test(normal(60, 4), normal(50, 4) + 1.0, permutations=200)
    assert test.p_value == pytest.approx(1 / 201)
    assert "p = 0.00498" in str(test)


def test_a_measure_where_more_is_better_is_tested_downwards(normal):
    from assay.sets import coverage

    test = coverage.permutation_test(normal(40, 3), normal(40, 3) + 6, permutations=40)
    assert test.p_value == pytest.approx(1 / 41)


def test_permutation_test_errors(normal):
    from assay import vendi_score

    with pytest.raises(UsageError, match="one set"):
        vendi_score.permutation_test(normal(5, 2), normal(5, 2))
    with pytest.raises(UsageError, match="permutations"):
        kernel_distance.permutation_test(normal(5, 2), normal(5, 2), permutations=0)
    with pytest.raises(UsageError, match="features"):
        kernel_distance.permutation_test(normal(5, 2), normal(5, 3))
