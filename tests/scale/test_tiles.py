"""All pairs by tiles against the whole matrix, at tile sizes that divide nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from assay.scale import (
    bilinear,
    cosine,
    linear,
    polynomial,
    rbf,
    reporting,
    row_logsumexp,
    row_sum,
    squared_distance,
    tiles,
)
from assay.scale.kernels import Kernel
from assay.scale.tiles import quadratic_forms

KERNELS = [
    polynomial(width=3),
    polynomial(1, 0.3, 0.0),
    rbf(1.3),
    rbf([0.7, 2.0]),
    linear(),
    cosine(),
    squared_distance(),
]
by_name = pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.name)


@pytest.fixture
def small_tiles(monkeypatch):
    """Tiles of 5 x 7, and of 4 x 4 for a set against itself, so that a dozen samples make many odd ones."""
    monkeypatch.setattr(tiles, "ROWS", 5)
    monkeypatch.setattr(tiles, "COLUMNS", 7)
    monkeypatch.setattr(tiles, "SQUARE", 4)


@by_name
def test_bilinear_of_two_sets(normal, small_tiles, kernel):
    x, y, u, v = normal(13, 3), normal(17, 3), normal(13), normal(17)
    assert float(bilinear(x, y, u, v, kernel)) == pytest.approx(float(u @ kernel(x, y) @ v), rel=1e-11)


@by_name
def test_bilinear_of_a_set_with_itself(normal, small_tiles, kernel):
    x, u = normal(13, 3), normal(13)
    assert float(bilinear(x, None, u, None, kernel)) == pytest.approx(float(u @ kernel(x, x) @ u), rel=1e-11)


@by_name
def test_row_sum_and_logsumexp(normal, small_tiles, kernel):
    x, y, v = normal(13, 3), normal(17, 3), normal(17).abs()
    v[4] = 0
    whole = kernel(x, y)
    assert torch.allclose(row_sum(x, y, kernel, v), whole @ v, rtol=1e-11)
    assert torch.allclose(row_sum(x, y, kernel), whole.sum(1), rtol=1e-11)
    assert torch.allclose(row_logsumexp(x, y, kernel, v), torch.logsumexp(whole + v.log(), 1), rtol=1e-11)
    assert torch.allclose(row_logsumexp(x, y, kernel), torch.logsumexp(whole, 1), rtol=1e-11)


@by_name
def test_gradients_of_bilinear(normal, small_tiles, kernel):
    leaves = [t.requires_grad_() for t in (normal(9, 2), normal(11, 2), normal(9), normal(11))]
    assert torch.autograd.gradcheck(lambda x, y, u, v: bilinear(x, y, u, v, kernel), leaves)
    x, _, u, _ = leaves
    assert torch.autograd.gradcheck(lambda x, u: bilinear(x, None, u, None, kernel), [x, u])


@by_name
@pytest.mark.parametrize("reduce", [row_sum, row_logsumexp], ids=lambda f: f.__name__)
def test_gradients_of_row_reductions(normal, small_tiles, kernel, reduce):
    leaves = [t.requires_grad_() for t in (normal(6, 2), normal(9, 2), normal(9).abs() + 0.1)]
    assert torch.autograd.gradcheck(lambda x, y, v: reduce(x, y, kernel, v), leaves)


def test_a_kernel_without_a_slope_is_differentiated_automatically(normal, small_tiles):
    plain = rbf(1.3)
    slow = Kernel("rbf without slope", plain.form, shift_invariant=True)
    grads = []
    for kernel in (plain, slow):
        g = torch.Generator().manual_seed(1)
        x, y = (torch.randn(n, 2, dtype=torch.float64, generator=g, requires_grad=True) for n in (9, 11))
        one = torch.ones(9, dtype=torch.float64), torch.ones(11, dtype=torch.float64)
        grads.append(torch.autograd.grad(bilinear(x, y, *one, kernel), [x, y]))
    for mine, theirs in zip(*grads, strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-10)


def test_logsumexp_bears_large_values_and_absent_columns(normal, small_tiles):
    x, y = 30 * normal(8, 3), 30 * normal(15, 3)
    whole = x @ y.T
    assert float(whole.abs().max()) > 710  # where exp overflows in float64
    assert torch.allclose(row_logsumexp(x, y, linear()), torch.logsumexp(whole, 1), rtol=1e-12)
    nothing = row_logsumexp(x, y, linear(), torch.zeros(15))
    assert bool((nothing == -torch.inf).all())
    first = torch.zeros(15)
    first[14] = 1  # all but the last tile's columns absent
    assert torch.allclose(row_logsumexp(x, y, linear(), first), whole[:, 14], rtol=1e-12)


def test_logsumexp_in_float32_of_a_large_common_value():
    x = torch.full((3, 1), 100.0)
    y = torch.linspace(99, 101, 7)[:, None]
    expected = torch.logsumexp((x.double() @ y.double().T), 1)
    assert torch.allclose(row_logsumexp(x, y, linear()), expected, rtol=1e-6)


def test_quadratic_forms(normal, small_tiles):
    x, w = normal(13, 3), (normal(13, 6) > 0).double()
    for kernel in KERNELS[:4]:
        forms, rows = quadratic_forms(x, w, kernel)
        whole = kernel(x, x)
        assert torch.allclose(forms, torch.einsum("ib,ij,jb->b", w, whole, w), rtol=1e-11)
        assert torch.allclose(rows, whole.sum(1), rtol=1e-11)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (4, 4), (13, 9), (12, 21)])
def test_every_pair_is_visited_once(small_tiles, n, m):
    seen = torch.zeros(n, m, dtype=torch.int64)
    for i, j, mirrored in tiles.tiles(n, m, symmetric=False, what="test"):
        seen[i, j] += 1
        assert not mirrored
    assert bool((seen == 1).all())
    seen = torch.zeros(n, n, dtype=torch.int64)
    visits = 0
    for i, j, mirrored in tiles.tiles(n, n, symmetric=True, what="test"):
        visits += 1
        seen[i, j] += 1
        if mirrored:
            seen[j, i] += 1
    assert bool((seen == 1).all())
    blocks = -(-n // 4)
    assert visits == blocks * (blocks + 1) // 2  # each tile or its mirror image, never both


def test_progress_reaches_its_total_and_stops_with_the_block(normal, small_tiles):
    said = []
    with reporting(lambda what, done, total: said.append((what, done, total))):
        bilinear(normal(13, 2), normal(9, 2), torch.ones(13), torch.ones(9), linear())
    assert [done for _, done, _ in said] == list(range(1, 7))
    assert {total for *_, total in said} == {6}
    bilinear(normal(13, 2), normal(9, 2), torch.ones(13), torch.ones(9), linear())
    assert len(said) == 6


@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_float32_distance_kernels_bear_an_offset(normal, offset):
    x, y = (normal(900, 24) + offset).float(), (normal(800, 24) + offset).float()
    u, v = torch.ones(900), torch.ones(800)
    expected = bilinear(x.double(), y.double(), u, v, rbf(4.0))
    assert float(bilinear(x, y, u, v, rbf(4.0))) == pytest.approx(float(expected), rel=1e-5)


PEAK = r"""
import re, torch
torch.set_num_threads(1)
from assay.scale import bilinear, nearest, polynomial, pairs_within
g = torch.Generator().manual_seed(0)
warm, x = torch.randn(300, 16, generator=g), torch.randn(20_000, 16, generator=g)
def go(z):
    z = z.clone().requires_grad_()
    u = torch.ones(len(z), dtype=torch.float64)
    bilinear(z, None, u, None, polynomial(width=16)).backward()
def peak():
    # not `ru_maxrss`, which a process begins with that of the one that started it
    return int(re.search(r"VmHWM:\s+(\d+) kB", open("/proc/self/status").read())[1])
go(warm)
before = peak()
go(x)
print((peak() - before) / 1024)
"""


STATUS = Path("/proc/self/status")


@pytest.mark.skipif(
    not STATUS.is_file() or "VmHWM" not in STATUS.read_text(), reason="peak memory is read from Linux's /proc"
)
def test_memory_does_not_grow_with_the_pairs():
    """20,000 samples: the matrix alone would be 1,526 MiB, its gradient as much again."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK], capture_output=True, text=True, check=True, timeout=600
    )
    assert float(done.stdout) < 150
