"""The nearest-neighbour entropy against scipy's tree, the normal's entropy, copies and its own derivative."""

from __future__ import annotations

import math

import pytest
import torch

from assay import DataError, UsageError
from assay.sets.knn_entropy import knn_entropy


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("d", [1, 2, 5])
def test_equals_scipys_tree(normal, k, d):
    spatial, special = pytest.importorskip("scipy.spatial"), pytest.importorskip("scipy.special")
    y = normal(300, d)
    r = spatial.cKDTree(y.numpy()).query(y.numpy(), k + 1)[0][:, k]
    ball = math.pi ** (d / 2) / special.gamma(1 + d / 2)
    expected = special.digamma(300) - special.digamma(k) + math.log(ball) + d * torch.tensor(r).log().mean()
    assert float(knn_entropy(y, nearest_k=k)) == pytest.approx(float(expected), rel=1e-10)


@pytest.mark.parametrize(("d", "tolerance"), [(1, 0.05), (2, 0.05), (4, 0.15)])
def test_is_near_the_normals_entropy(d, tolerance):
    g = torch.Generator().manual_seed(0)
    mix = torch.randn(d, d, dtype=torch.float64, generator=g)
    y = torch.randn(4000, d, dtype=torch.float64, generator=g) @ mix.T
    truth = 0.5 * d * math.log(2 * math.pi * math.e) + float(mix.slogdet().logabsdet)
    assert float(knn_entropy(y)) == pytest.approx(truth, abs=tolerance)


def test_scaling_adds_d_log_s(normal):
    y = normal(50, 4)
    assert float(knn_entropy(3 * y)) == pytest.approx(float(knn_entropy(y)) + 4 * math.log(3), rel=1e-10)


def test_counts_are_copies_while_there_are_fewer_than_k(normal):
    y, counts = normal(30, 2), torch.arange(30) % 3 + 1
    written_out = knn_entropy(y.repeat_interleave(counts, 0), nearest_k=3)
    assert float(knn_entropy(y, weights_y=counts.double())) == pytest.approx(float(written_out), rel=1e-12)


def test_copies_are_refused_with_their_rows(normal):
    y = normal(20, 3).float()
    y[7] = y[3]
    with pytest.raises(
        DataError, match=r"2 of 20 samples have 1 or more copies .*\(rows 3, 7\).*minus infinity"
    ):
        knn_entropy(y, nearest_k=1)
    assert math.isfinite(float(knn_entropy(y, nearest_k=2)))
    counts = torch.ones(20)
    counts[5] = 4
    with pytest.raises(DataError, match=r"1 of 20 samples have 3 or more copies .*\(rows 5\)"):
        knn_entropy(y, weights_y=counts)
    absent = torch.cat([torch.zeros(4), torch.ones(16)])  # the rows named are those of the caller
    y[10] = y[12]
    with pytest.raises(DataError, match=r"\(rows 10, 12\)"):
        knn_entropy(y, weights_y=absent, nearest_k=1)


def test_the_gradient_is_one_over_the_distance(normal):
    y = normal(12, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda s: knn_entropy(s, nearest_k=2), y)
    pair = torch.tensor([[0.0], [0.01], [5.0], [5.5]], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(knn_entropy(pair, nearest_k=1), pair)
    assert slope[:, 0].tolist() == pytest.approx([-2 / 4 / 0.01, 2 / 4 / 0.01, -2 / 4 / 0.5, 2 / 4 / 0.5])


def test_as_an_objective_it_spreads_samples_out(normal):
    module = knn_entropy.objective(nearest_k=1)
    y = (0.1 * normal(30, 2)).requires_grad_()
    before = module(y)
    before.backward()
    after = module((y - 1e-4 * y.grad).detach())
    assert float(after) < float(before.detach())  # higher is better: the loss is minus the value


def test_the_standard_error_is_that_of_redraws():
    def draw(seed):
        return torch.randn(100, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))

    values = torch.stack([knn_entropy(draw(seed)) for seed in range(150)])
    errors = [knn_entropy.estimate(draw(seed), half_samples=24).std_error for seed in range(300, 308)]
    assert 0.75 < float(torch.tensor(errors).mean() / values.std()) < 1.3


@pytest.mark.parametrize("bad", [0, -1, 1.5, True])
def test_a_wrong_k_is_refused(normal, bad):
    with pytest.raises(UsageError, match="nearest_k"):
        knn_entropy(normal(9, 2), nearest_k=bad)


def test_too_few_samples_are_refused(normal):
    with pytest.raises(UsageError, match="nearest_k=3 needs at least 4 samples, got 3"):
        knn_entropy(normal(3, 2))
