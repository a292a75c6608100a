"""Chamfer distance against scipy's tree, dense distances, truncation, padding and gradients through the winners."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay import UsageError
from assay.pair_laws import PairInputs, laws_of_pairs
from assay.sets.chamfer import chamfer_distance, chamfer_distances


def dense(x, y, truncate=None, squared=True):
    d = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    d = d if truncate is None else d.clamp_max(truncate)
    d = d.square() if squared else d
    return d.amin(-1).mean(-1) + d.amin(-2).mean(-1)


@pytest.mark.parametrize("squared", [True, False])
def test_equals_scipys_tree(normal, squared):
    spatial = pytest.importorskip("scipy.spatial")
    x, y = normal(700, 3), normal(450, 3) * 1.2
    a = spatial.cKDTree(y.numpy()).query(x.numpy())[0]
    b = spatial.cKDTree(x.numpy()).query(y.numpy())[0]
    expected = (a**2).mean() + (b**2).mean() if squared else a.mean() + b.mean()
    assert float(chamfer_distance(x, y, squared=squared)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("truncate", [None, 0.7])
@pytest.mark.parametrize("squared", [True, False])
def test_value_and_gradient_equal_dense(normal, truncate, squared):
    x, y = normal(20, 3).requires_grad_(), normal(15, 3).requires_grad_()
    mine, theirs = chamfer_distance(x, y, truncate=truncate, squared=squared), dense(x, y, truncate, squared)
    assert float(mine.detach()) == pytest.approx(float(theirs.detach()), rel=1e-12)
    for a, b in zip(torch.autograd.grad(mine, (x, y)), torch.autograd.grad(theirs, (x, y)), strict=True):
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-12)


def test_copies_are_at_zero_in_float32_and_have_no_gradient(normal):
    x = (normal(60, 32) + 20).float()
    y = x[torch.randperm(60)].clone().requires_grad_()
    for squared in (True, False):
        value = chamfer_distance(x, y, squared=squared)
        assert float(value.detach()) == 0.0
        assert float(torch.autograd.grad(value, y)[0].abs().max()) == 0.0


def test_a_sample_counted_zero_times_is_nobodys_nearest(normal):
    x, y = normal(10, 2), normal(8, 2) + 3
    near = torch.cat([y, x])
    weights = torch.cat([torch.ones(8), torch.zeros(10)])
    assert float(chamfer_distance(x, near, weights_y=weights)) == pytest.approx(float(chamfer_distance(x, y)))


def test_an_outlier_is_bounded_by_truncation(normal):
    x = normal(50, 3)
    y = x.clone()
    y[0] += 1e6
    assert float(chamfer_distance(x, y, truncate=2.0)) <= 2 * 4.0 / 50
    assert float(chamfer_distance(x, y)) > 1e9


def test_the_interval_is_for_this_number_of_samples():
    def draw(seed):
        g = torch.Generator().manual_seed(seed)
        return (torch.randn(100, 2, dtype=torch.float64, generator=g) for _ in "xy")

    values = torch.stack([chamfer_distance(*draw(seed)) for seed in range(100)])
    spreads = [chamfer_distance.estimate(*draw(seed), half_samples=24).std_error for seed in range(200, 208)]
    # a half's nearest samples are farther, which makes its spread larger, in two dimensions by up to 2
    assert 0.9 < float(torch.tensor(spreads).mean() / values.std()) < 2.1


# -- many clouds ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("law", laws_of_pairs(chamfer_distances), ids=lambda law: law.__name__)
def test_batched_keeps_the_laws_of_pairs(law):
    @settings(max_examples=3)
    @given(st.integers(8, 12), st.integers(4, 9), st.integers(0, 2**16))
    def kept(n, size, seed):
        g = torch.Generator().manual_seed(seed)
        clouds = [torch.randn(n, k, 3, dtype=torch.float64, generator=g) for k in (size, size + 3)]
        law(chamfer_distances, PairInputs(tuple(clouds), torch.ones(n, dtype=torch.float64), seed))

    kept()


def test_batched_equals_one_by_one_and_padding_is_ignored(normal):
    x, y = normal(4, 20, 3), normal(4, 17, 3)
    n, m = torch.tensor([20, 3, 11, 1]), torch.tensor([5, 17, 1, 9])
    got = chamfer_distances(x, y, lengths_x=n, lengths_y=m, squared=False)
    for b in range(4):
        one = chamfer_distance(x[b, : n[b]], y[b, : m[b]], squared=False)
        assert float(got[b]) == pytest.approx(float(one), rel=1e-12)
    assert torch.allclose(chamfer_distances(x, y), dense(x, y))


def test_bad_input_is_refused(normal):
    x = normal(2, 5, 3)
    with pytest.raises(UsageError, match="truncate: expected a distance above zero"):
        chamfer_distance(normal(5, 2), normal(5, 2), truncate=0.0)
    with pytest.raises(UsageError, match=r"expected clouds x \(B, N, d\)"):
        chamfer_distances(x, normal(2, 5, 2))
    with pytest.raises(UsageError, match="floating-point"):
        chamfer_distances(x.long(), x.long())
    with pytest.raises(UsageError, match="lengths_y: expected 1 to 5"):
        chamfer_distances(x, x, lengths_y=torch.tensor([0, 6]))
    with pytest.raises(UsageError, match="lengths_x: expected whole numbers"):
        chamfer_distances(x, x, lengths_x=torch.tensor([1, 2, 3]))


def test_clouds_at_once_and_over_tiles_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small clouds are held whole, large ones go through tiles: value and gradient are the same, padding or not."""
    draw = torch.Generator().manual_seed(3)
    x = torch.randn(5, 12, 3, generator=draw, requires_grad=True)
    y = torch.randn(5, 9, 3, generator=draw)
    lengths = {"lengths_x": torch.tensor([12, 1, 3, 12, 7]), "lengths_y": torch.tensor([9, 9, 1, 4, 2])}
    found = []
    for block in (2**22, 3 * 12 * 9, 1):
        monkeypatch.setattr("assay.sets.chamfer.BLOCK", block)
        value = chamfer_distances(x, y, squared=False, **lengths)
        found.append((value.detach(), torch.autograd.grad(value.sum(), x)[0]))
    for value, slope in found[1:]:
        assert torch.allclose(value, found[0][0], rtol=1e-6)
        assert torch.allclose(slope, found[0][1], rtol=1e-6)
    assert bool((found[0][1][1, 1:] == 0).all())  # padding moves nothing
