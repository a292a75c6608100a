"""Published protocols against their formulas in plain numpy, and against the packages that print them."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from assay import DataError, UsageError, inception_score, kernel_distance, rbf
from assay.sets import cmmd, inception_score_splits, kid_subsets, precision, recall


def peer(name):
    """A package's module, or a skip where it (or what it needs) cannot be imported here."""
    try:
        return __import__(name, fromlist=["_"])
    except Exception as error:
        sys.modules.pop(name, None)
        pytest.skip(f"{name}: {error}")


def dense_mmd(x, y, kernel):
    """Unbiased, with the diagonal taken out."""
    n, m = len(x), len(y)
    k_xx, k_yy = kernel(x, x), kernel(y, y)
    np.fill_diagonal(k_xx, 0)
    np.fill_diagonal(k_yy, 0)
    return k_xx.sum() / (n * (n - 1)) + k_yy.sum() / (m * (m - 1)) - 2 * kernel(x, y).mean()


# -- kernel distance over subsets -------------------------------------------------------------------------------------


def test_subsets_are_the_kernel_distance_of_the_rows_drawn(normal):
    x, y = normal(60, 5), normal(50, 5) + 0.3
    got = kid_subsets(x, y, subsets=7, subset_size=20, generator=torch.Generator().manual_seed(3))
    g = torch.Generator().manual_seed(3)
    expected = []
    for _ in range(7):
        a, b = (s[torch.randperm(len(s), generator=g)[:20]].numpy() for s in (x, y))
        expected.append(dense_mmd(a, b, lambda p, q: (p @ q.T / 5 + 1) ** 3))
    assert got.values.numpy() == pytest.approx(np.array(expected), rel=1e-9)
    assert got.mean == pytest.approx(np.mean(expected)) and got.std == pytest.approx(np.std(expected))
    assert "over 7 parts" in str(got)


def test_kernel_options_reach_the_kernel(normal):
    x, y = normal(20, 4), normal(20, 4) + 0.3
    got = kid_subsets(x, y, subsets=1, subset_size=20, degree=2, gamma=0.5, coef0=0.2)
    expected = dense_mmd(x.numpy(), y.numpy(), lambda p, q: (0.5 * p @ q.T + 0.2) ** 2)
    assert got.mean == pytest.approx(expected, rel=1e-9) and got.std == 0


def test_subsets_have_the_expectation_of_the_whole(normal):
    x, y = normal(300, 4), normal(300, 4) + 0.2
    got = kid_subsets(x, y, subsets=300, subset_size=50)
    error = got.std / 300**0.5
    assert abs(got.mean - float(kernel_distance(x, y))) < 4.5 * error
    again = kid_subsets(x, y, subsets=300, subset_size=50)
    assert again.mean == got.mean


def test_torch_fidelity_prints_the_same_kid(normal):
    module = peer("torch_fidelity.metric_kid")
    x, y = normal(40, 6), normal(40, 6) + 0.3
    theirs = module.kid_features_to_metric(
        x, y, kid_subsets=3, kid_subset_size=40, kid_kernel="poly", kid_kernel_poly_degree=3,
        kid_kernel_poly_gamma=None, kid_kernel_poly_coef0=1, rng_seed=1, verbose=False,
    )  # fmt: skip
    mine = kid_subsets(x, y, subsets=3, subset_size=40)
    assert mine.mean == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-9)


def test_clean_fid_prints_the_same_kid_and_shrinks_its_subsets_silently(normal):
    module = peer("cleanfid.fid")
    x, y = normal(40, 6), normal(40, 6) + 0.3
    theirs = module.kernel_distance(x.numpy(), y.numpy(), num_subsets=2, max_subset_size=1000)
    assert kid_subsets(x, y, subsets=1, subset_size=40).mean == pytest.approx(theirs, rel=1e-9)
    with pytest.raises(UsageError, match="fewer than subset_size=1000"):
        kid_subsets(x, y)


def test_torchmetrics_takes_the_same_subsets_formula(normal):
    module = peer("torchmetrics.image.kid")
    x, y = normal(30, 6), normal(30, 6) + 0.3
    assert kid_subsets(x, y, subsets=1, subset_size=30).mean == pytest.approx(
        float(module.poly_mmd(x, y)), rel=1e-9
    )


def test_bad_subsets_are_one_sentence(normal):
    x = normal(20, 3)
    with pytest.raises(UsageError, match="x has 3 features and y has 2"):
        kid_subsets(x, x[:, :2], subset_size=10)
    with pytest.raises(UsageError, match="subsets >= 1 and subset_size >= 2, got 0 and 10"):
        kid_subsets(x, x, subsets=0, subset_size=10)
    with pytest.raises(DataError, match="NaN"):
        kid_subsets(x, x * torch.nan, subset_size=10)


# -- inception score over splits --------------------------------------------------------------------------------------


def by_splits(p, splits):
    """As the original defines it: rows in order, the part's mean as the marginal."""
    n, out = len(p), []
    for s in range(splits):
        part = p[s * n // splits : (s + 1) * n // splits]
        out.append(np.exp((part * (np.log(part) - np.log(part.mean(0)))).sum(1).mean()))
    return np.mean(out), np.std(out)


@pytest.mark.parametrize(("n", "splits"), [(100, 10), (103, 10), (17, 4), (9, 1)])
def test_splits_are_the_originals(normal, n, splits):
    p = (2 * normal(n, 6)).softmax(1)
    got = inception_score_splits(p, splits=splits, shuffle=False)
    assert (got.mean, got.std) == pytest.approx(by_splits(p.numpy(), splits), rel=1e-9)
    if splits == 1:
        assert got.mean == pytest.approx(float(inception_score(p)), rel=1e-12)


def test_shuffling_matters_where_samples_are_sorted(normal):
    p = (torch.eye(10, dtype=torch.float64).repeat_interleave(30, 0) * 8 + 0.1 * normal(300, 10)).softmax(1)
    assert inception_score_splits(p, shuffle=False).mean < 1.1 < 5 < inception_score_splits(p).mean
    g = torch.Generator().manual_seed(4)
    order = torch.randperm(300, generator=torch.Generator().manual_seed(4))
    shuffled = inception_score_splits(p, generator=g)
    assert shuffled.mean == inception_score_splits(p[order], shuffle=False).mean


def test_torch_fidelity_prints_the_same_inception_score(normal):
    module = peer("torch_fidelity.metric_isc")
    logits = 2 * normal(103, 6)
    theirs = module.isc_features_to_metric(logits, splits=10, shuffle=True, rng_seed=2020)
    order = np.random.RandomState(2020).permutation(103)
    mine = inception_score_splits(logits[order].softmax(1), shuffle=False)
    assert mine.mean == pytest.approx(theirs["inception_score_mean"], rel=1e-9)
    assert mine.std == pytest.approx(theirs["inception_score_std"], rel=1e-7)


def test_bad_splits_are_one_sentence(normal):
    with pytest.raises(UsageError, match="splits: expected 1 to 5"):
        inception_score_splits(normal(5, 3).softmax(1))
    with pytest.raises(DataError, match="not class probabilities"):
        inception_score_splits(normal(50, 3))


# -- CMMD -------------------------------------------------------------------------------------------------------------


def dense_cmmd(x, y):
    """The published formula over all pairs: means of the kernel with the diagonal, times 1000."""
    x, y = (s / np.linalg.norm(s, axis=1, keepdims=True) for s in (x, y))

    def mean(a, b):
        return np.exp(-((a[:, None] - b[None]) ** 2).sum(2) / 200).mean()

    return 1000 * (mean(x, x) + mean(y, y) - 2 * mean(x, y))


def test_cmmd_is_the_published_formula(normal):
    x, y = 3 * normal(40, 8), 3 * normal(30, 8) + 1
    assert float(cmmd(x, y)) == pytest.approx(dense_cmmd(x.numpy(), y.numpy()), rel=1e-9)
    unit = [torch.nn.functional.normalize(s, dim=1) for s in (x, y)]
    assert float(cmmd(*unit)) == pytest.approx(float(cmmd(x, y)), rel=1e-12)
    related = 1000 * kernel_distance(*unit, kernel=rbf(10.0), biased=True)
    assert float(related) == pytest.approx(float(cmmd(x, y)), rel=1e-9)


def test_cmmd_keeps_its_digits_in_float32(normal):
    """Kernel values lie between 0.98 and 1; without their 1 the difference of means has not cancelled yet."""
    x, y = normal(600, 64), normal(600, 64) + 0.05
    exact = float(cmmd(x, y))
    narrow = abs(float(cmmd(x.float(), y.float())) - exact) / exact
    unit = [torch.nn.functional.normalize(s.float(), dim=1) for s in (x, y)]
    plain = abs(1000 * float(kernel_distance(*unit, kernel=rbf(10.0), biased=True)) - exact) / exact
    assert narrow < 1e-5 and narrow < plain


def test_cmmd_is_corrected_for_its_bias_and_its_interval_holds_zero(normal):
    """Two sets of one distribution: the biased form is above zero, the corrected one is around it."""
    corrected, held = [], 0
    for _ in range(40):
        e = cmmd.estimate(normal(60, 8), normal(60, 8))
        corrected.append(e.corrected)
        held += e.low <= 0 <= e.high
        assert e.value > 0
    mean = torch.tensor(corrected)
    assert abs(float(mean.mean())) < 4 * float(mean.std()) / 40**0.5
    assert held >= 36


def test_cmmd_relabelled_at_once_is_one_by_one(normal):
    x, y = normal(25, 4), normal(20, 4) + 1
    test = cmmd.permutation_test(x, y, permutations=50)
    assert test.value == pytest.approx(float(cmmd(x, y)), rel=1e-3)
    assert test.p_value == pytest.approx(1 / 51)
    assert float(test.relabelled.max()) < test.value


# -- precision and recall ---------------------------------------------------------------------------------------------


def in_manifold(made, real, k):
    """Kynkäänniemi et al. 2019, equation 1: is a sample within some real one's distance to its k-th neighbour?"""
    within = np.sqrt(((real[:, None] - real[None]) ** 2).sum(2))
    radii = np.sort(within, 1)[:, k]  # place 0 is the sample itself
    across = np.sqrt(((made[:, None] - real[None]) ** 2).sum(2))
    return (across <= radii[None]).any(1).mean()


@pytest.mark.parametrize("k", [1, 3, 5])
def test_precision_and_recall_are_the_definition(normal, k):
    x, y = normal(70, 5), 0.8 * normal(60, 5) + 0.7
    expected = in_manifold(y.numpy(), x.numpy(), k), in_manifold(x.numpy(), y.numpy(), k)
    assert float(precision(x, y, nearest_k=k)) == pytest.approx(expected[0], abs=1e-12)
    assert float(recall(x, y, nearest_k=k)) == pytest.approx(expected[1], abs=1e-12)
    assert 0.1 < expected[0] < 1 and 0.1 < expected[1] < 1


def test_torch_fidelity_counts_the_same_precision_and_recall(normal):
    module = peer("torch_fidelity.metric_prc")
    x, y = normal(70, 5), 0.8 * normal(60, 5) + 0.7
    theirs = module.calculate_precision_recall_full(y, x, neighborhood=3)
    assert float(precision(x, y, nearest_k=3)) == pytest.approx(theirs[0], abs=1e-6)
    assert float(recall(x, y, nearest_k=3)) == pytest.approx(theirs[1], abs=1e-6)
