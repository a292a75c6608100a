"""Moments and the other statistics as monoids: any split, any order, any size, large offsets."""

from __future__ import annotations

import pytest
import torch

from assay import Moments, Neighbours, Samples, UsageError
from assay.sets import Predictions
from assay.statistics import STATISTICS, Directions

ALL = [Moments, Samples, Neighbours, Directions, Predictions]


def test_every_statistic_is_tested():
    assert set(STATISTICS.values()) >= set(ALL)
    assert {c for c in STATISTICS.values() if c.__module__.startswith("assay.")} == set(ALL)


@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize(("n", "d"), [(200, 6), (5, 12), (12, 12)])
def test_moments_are_weighted_mean_and_covariance(normal, n, d, offset):
    x = normal(n, d)
    w = torch.randint(1, 5, (n,), generator=torch.Generator().manual_seed(1)).double()
    copies = x.repeat_interleave(w.long(), 0)
    got = Moments.of(x + offset, w)
    assert torch.allclose(got.mean - offset, copies.mean(0), atol=1e-11)
    assert torch.allclose(got.covariance(), copies.T.cov(), rtol=1e-8, atol=1e-9)
    assert float(got.weight) == len(copies)
    assert torch.allclose(got.variance_sum(), copies.T.cov().trace(), rtol=1e-8)
    root = got.root()
    assert torch.allclose(
        root.T @ root, got.dense_scatter(), atol=1e-8 * float(got.dense_scatter().abs().max())
    )


def test_moments_of_any_split_at_a_large_offset(normal):
    x = normal(300, 5).float() + 1e4
    whole = Moments.of(x.double())
    parts = [Moments.of(p) for p in x.split([1, 2, 3, 4, 90, 200])]
    left = parts[0]
    for p in parts[1:]:
        left = left.merge(p)
    right = parts[-1]
    for p in reversed(parts[:-1]):
        right = p.merge(right)
    for merged in (left, right):
        assert torch.allclose(merged.covariance(), whole.covariance(), rtol=1e-9, atol=1e-10)


def test_single_samples_merge_to_thin_and_then_full_moments(normal):
    x = normal(9, 6)
    merged = Moments.of(x[:1])
    kinds = []
    for row in x[1:]:
        merged = merged.merge(Moments.of(row[None]))
        kinds.append(merged.rows is not None)
    assert kinds[0] and not kinds[-1]
    assert torch.allclose(merged.covariance(), x.T.cov(), rtol=1e-10)


def test_moments_from_published_covariances(normal):
    x = normal(50, 4)
    given = Moments.from_covariance(x.mean(0).float(), x.T.cov(), 50)
    assert given.mean.dtype == torch.float64
    assert torch.allclose(given.scatter, Moments.of(x).scatter, rtol=1e-6)


def test_gradient_through_moments(normal):
    for n, d in ((9, 3), (3, 9)):
        x, w = normal(n, d).requires_grad_(), (1 + normal(n).abs()).requires_grad_()
        assert torch.autograd.gradcheck(
            lambda a, b: (Moments.of(a, b).dense_scatter(), Moments.of(a, b).mean), [x, w]
        )


def test_half_precision_is_summed_in_float64():
    x = torch.full((5000, 2), 3.0, dtype=torch.float16)
    x[::2] += 0.5
    assert Moments.of(x).mean.tolist() == [3.25, 3.25]  # a float16 sum of these overflows
    assert Samples.of(x).features.dtype == torch.float32


@pytest.mark.parametrize("kind", ALL, ids=lambda k: k.__name__)
def test_statistics_of_two_feature_spaces_or_kinds_do_not_merge(normal, kind):
    a, b = (kind.of(normal(9, d).softmax(1)) for d in (3, 4))
    with pytest.raises(UsageError, match="3 and 4 features"):
        a.merge(b)
    other = Samples if kind is not Samples else Moments
    with pytest.raises(UsageError, match="one type"):
        a.merge(other.of(normal(9, 3)))


@pytest.mark.parametrize("kind", ALL, ids=lambda k: k.__name__)
def test_tensors_lead_back(normal, kind):
    for n in (3, 20):
        made = kind.of(normal(n, 5).softmax(1), torch.full((n,), 2.0))
        back = kind.from_tensors(made.tensors())
        assert all(torch.equal(a, back.tensors()[name]) for name, a in made.tensors().items())
        assert float(back.weight) == 2 * n and back.width == 5
