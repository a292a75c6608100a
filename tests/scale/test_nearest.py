"""Nearest rows and pairs within radii against brute force by subtraction in float64."""

from __future__ import annotations

import sys

import pytest
import torch

from assay.scale import nearest, pairs_within


def distances(x, y):
    return (x.double()[:, None, :] - y.double()[None, :, :]).square().sum(-1)


def drawn(n, d, *, offset=0.0, dtype=torch.float32, seed=0, spread=1.0):
    g = torch.Generator().manual_seed(seed)
    return (spread * torch.randn(n, d, generator=g, dtype=torch.float64) + offset).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("offset", [0.0, 1e3])
@pytest.mark.parametrize("k", [1, 4, 7])
def test_nearest_in_another_set(k, offset, dtype):
    x, y = drawn(60, 20, offset=offset, dtype=dtype), drawn(90, 20, offset=offset, dtype=dtype, seed=1)
    y[:10] = x[:10]
    expected = distances(x, y).sort(1)
    found = nearest(x, y, k)
    assert torch.equal(found.squared, expected.values[:, :k])
    assert torch.equal(distances(x, y).gather(1, found.index), found.squared)
    assert bool((found.squared[:10, 0] == 0).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_nearest_in_the_set_itself_leaves_self_out(offset, dtype):
    x = drawn(50, 20, offset=offset, dtype=dtype)
    x = torch.cat([x, x[:20]])  # exact copies are others at distance zero
    found = nearest(x, None, 3)
    own = distances(x, x)
    own.fill_diagonal_(torch.inf)
    assert torch.equal(found.squared, own.sort(1).values[:, :3])
    assert bool((found.index != torch.arange(70)[:, None]).all())
    assert bool((found.squared[:20, 0] == 0).all())


def test_across_several_blocks(monkeypatch):
    # the package's attribute of this name is the function
    monkeypatch.setattr(sys.modules["assay.scale.nearest"], "SHAPE", (7, 5))
    x = drawn(33, 6)
    own = distances(x, x)
    own.fill_diagonal_(torch.inf)
    for k in (1, 8, 32):
        assert torch.equal(nearest(x, None, k).squared, own.sort(1).values[:, :k])
        y = drawn(26, 6, seed=2)
        if k <= len(y):
            assert torch.equal(nearest(x, y, k).squared, distances(x, y).sort(1).values[:, :k])


def test_scale_divides_the_distances():
    x, y = drawn(30, 5), drawn(40, 5, seed=1)
    scale = torch.linspace(0.5, 3, 40, dtype=torch.float64)
    found = nearest(x, y, 2, scale=scale)
    assert torch.allclose(found.squared, (distances(x, y) / scale).sort(1).values[:, :2], rtol=1e-12)


@pytest.mark.parametrize("k", [0, 6])
def test_no_more_neighbours_than_there_are(k):
    with pytest.raises(ValueError, match="k: expected 1 to 5"):
        nearest(drawn(6, 2), None, k)


def test_a_tight_cluster_of_near_copies_in_float32():
    """Frames of one clip: fifty samples 1e-4 apart in a set that spreads over 1. A product in float32 cannot tell them
    apart (its rounding is larger than their distances), and the nearest of them are still to be found."""
    x = drawn(400, 64)
    x[:50] = x[0] + drawn(50, 64, seed=3, spread=1e-4)
    own = distances(x, x)
    own.fill_diagonal_(torch.inf)
    assert torch.equal(nearest(x, None, 5).squared, own.sort(1).values[:, :5])


def test_many_exact_copies_among_near_ones_in_float32():
    x = drawn(300, 64)
    x[:40] = x[0]
    x[40:80] = x[0] + drawn(40, 64, seed=4, spread=1e-4)
    own = distances(x, x)
    own.fill_diagonal_(torch.inf)
    found = nearest(x, None, 5)
    assert torch.equal(found.squared, own.sort(1).values[:, :5])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_pairs_within_radii(offset, dtype):
    x, y = drawn(1050, 8, offset=offset, dtype=dtype), drawn(150, 8, offset=offset, dtype=dtype, seed=1)
    y[:30] = x[:30]
    across = distances(x, y)
    radii_x, radii_y = across.quantile(0.02, 1), across.quantile(0.01, 0)
    radii_x[:10] = 0  # a ball of radius zero holds its copy and nothing else
    radii_x[10:20] = -1  # no ball
    radii_x[40] = across[40, 77]  # a sample on the surface is inside
    in_x, in_y = torch.zeros_like(across, dtype=torch.bool), torch.zeros_like(across, dtype=torch.bool)
    visits = torch.zeros_like(across)
    for i, j, a, b in pairs_within(x, y, radii_x, radii_y):
        in_x[i[a], j[a]] = True
        in_y[i[b], j[b]] = True
        visits[i, j] += 1
    assert torch.equal(in_x, across <= radii_x[:, None])
    assert torch.equal(in_y, across <= radii_y[None, :])
    assert float(visits.max()) == 1
    assert bool(in_x[:10].sum(1).eq(1).all()) and not bool(in_x[10:20].any()) and bool(in_x[40, 77])


def test_pairs_within_with_one_far_outlier():
    """One sample far away makes every product's rounding large; nothing may be lost by it."""
    x, y = drawn(200, 16), drawn(150, 16, seed=1)
    x[0] = 1e5
    across = distances(x, y)
    radii_x, radii_y = across.quantile(0.05, 1), across[1:].quantile(0.05, 0)
    in_x = torch.zeros_like(across, dtype=torch.bool)
    in_y = torch.zeros_like(across, dtype=torch.bool)
    for i, j, a, b in pairs_within(x, y, radii_x, radii_y):
        in_x[i[a], j[a]] = True
        in_y[i[b], j[b]] = True
    assert torch.equal(in_x, across <= radii_x[:, None])
    assert torch.equal(in_y, across <= radii_y[None, :])


def test_nearest_with_one_far_outlier_in_float32():
    x = drawn(200, 16)
    x[0] = 1e5
    own = distances(x, x)
    own.fill_diagonal_(torch.inf)
    assert torch.equal(nearest(x, None, 3).squared, own.sort(1).values[:, :3])
