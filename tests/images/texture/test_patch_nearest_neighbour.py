"""Patches of the hole and their nearest outside: against brute force, and what may surprise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from assay.errors import UsageError
from assay.images.texture import patch_nearest_neighbour
from assay.scale import row_strips


def drawn(n=2, c=3, h=12, w=12, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, c, h, w, dtype=torch.float64, generator=g)


def hole_of(n=2, h=12, w=12):
    hole = torch.zeros(n, 1, h, w, dtype=torch.bool)
    hole[:, :, 4:8, 5:9] = True
    return hole


def by_loops(x, y, hole, size, outside_only=True):
    """One image, in numpy."""

    def places(z):
        return [(a, b) for a in range(z.shape[1] - size + 1) for b in range(z.shape[2] - size + 1)]

    def patch(z, at):
        return z[:, at[0] : at[0] + size, at[1] : at[1] + size]

    total, count = 0.0, 0
    for i in places(x):
        if not patch(hole, i).any():
            continue
        free = [j for j in places(y) if not outside_only or not patch(hole, j).any()]
        total += min(((patch(x, i) - patch(y, j)) ** 2).sum() for j in free)
        count += 1
    return total / count


@pytest.mark.parametrize("size", [1, 2, 3])
def test_equals_brute_force_on_12_x_12_maps(size):
    x, y, hole = drawn(), drawn(seed=1), hole_of()
    found = patch_nearest_neighbour(x, y, hole, size=size)
    for b in range(2):
        expected = by_loops(x[b].numpy(), y[b].numpy(), hole[b].numpy(), size)
        assert float(found[b]) == pytest.approx(expected, rel=1e-12)


def test_an_exemplar_of_another_size():
    x, y, hole = drawn(), drawn(h=7, w=15, seed=1), hole_of()
    found = patch_nearest_neighbour(x, y, hole, candidates="all")
    expected = [
        by_loops(x[b].numpy(), y[b].numpy(), hole[b].numpy(), 3, outside_only=False) for b in range(2)
    ]
    assert np.allclose(found, expected, rtol=1e-12)


def test_0_where_every_patch_of_the_hole_exists_outside():
    tile = drawn(h=4, w=4).float()
    x = tile.repeat(1, 1, 4, 4)
    hole = torch.zeros(2, 1, 16, 16)
    hole[:, :, 5:8, 5:8] = 1.0
    assert patch_nearest_neighbour(x, x, hole).tolist() == [0.0, 0.0]
    x[:, :, 6, 6] += 1
    # the nine patches over the changed place, of the 25 that touch the hole, are 3 channels away by 1
    assert patch_nearest_neighbour(x, x, hole).tolist() == pytest.approx([9 * 3 / 25] * 2, rel=1e-5)


def test_strips_change_nothing(monkeypatch):
    x, y, hole = drawn(), drawn(seed=1), hole_of()
    whole = patch_nearest_neighbour(x, y, hole)
    for pairs in (1, 700, 100 * 100 + 5):
        monkeypatch.setitem(row_strips.PAIRS, "cpu", pairs)
        assert torch.equal(patch_nearest_neighbour(x, y, hole), whole)


def test_the_gradient_holds_the_nearest_fixed_and_moves_both():
    x, y, hole = drawn(1), drawn(1, seed=1), hole_of(1)
    inputs = (x.requires_grad_(), y.requires_grad_())
    assert torch.autograd.gradcheck(lambda a, b: patch_nearest_neighbour(a, b, hole), inputs, fast_mode=True)
    (slope,) = torch.autograd.grad(patch_nearest_neighbour(x, x.detach(), hole).sum(), x)
    assert bool((slope[:, :, :2] == 0).all()), "what no patch of the hole holds does not move"


def test_the_map_is_where_the_value_comes_from():
    x, y, hole = drawn(), drawn(seed=1), hole_of()
    found = patch_nearest_neighbour.map(x, y, hole)
    assert found.shape == (2, 10, 10)
    assert bool((found[:, 0] == 0).all())
    inside = (found > 0).sum((1, 2))
    assert torch.allclose(found.sum((1, 2)) / inside, patch_nearest_neighbour(x, y, hole))
    assert inside.tolist() == [36, 36]


def test_no_hole_is_0_and_nothing_outside_is_infinite():
    x = drawn().requires_grad_()
    none = patch_nearest_neighbour(x, drawn(seed=1), torch.zeros(2, 1, 12, 12))
    assert none.tolist() == [0.0, 0.0]
    everything = torch.zeros(2, 1, 12, 12)
    everything[1] = 1.0
    value = patch_nearest_neighbour(x, drawn(seed=1), everything)
    assert value.tolist() == [0.0, float("inf")]
    (slope,) = torch.autograd.grad(value.sum(), x)
    assert bool((slope == 0).all())
    with pytest.raises(ValueError, match="rows 1"):
        patch_nearest_neighbour.estimate(x.detach(), drawn(seed=1), everything)


def test_hole_may_be_of_any_type():
    x, y, hole = drawn(), drawn(seed=1), hole_of()
    expected = patch_nearest_neighbour(x, y, hole)
    for kind in (torch.float32, torch.uint8, torch.int64):
        assert torch.equal(patch_nearest_neighbour(x, y, hole.to(kind)), expected)


def test_bad_input():
    x, hole = drawn(), hole_of()
    with pytest.raises(UsageError, match=r"hole: expected the shape \(2, 1, 12, 12\)"):
        patch_nearest_neighbour(x, x, hole[:, :, :5])
    with pytest.raises(UsageError, match='pass candidates="all"'):
        patch_nearest_neighbour(x, x[:, :, :9], hole)
    with pytest.raises(UsageError, match="candidates: expected"):
        patch_nearest_neighbour(x, x, hole, candidates="inside")
    with pytest.raises(UsageError, match="hold no patch of 13 x 13"):
        patch_nearest_neighbour.objective(size=13)(x, x, hole)
