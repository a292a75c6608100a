"""Pairs of the vectors of images in strips of rows against the whole matrix."""

from __future__ import annotations

import pytest
import torch

from assay.errors import UsageError
from assay.scale import row_strips
from assay.scale.row_strips import column_best, nearest_rows, row_log_sums, squared_distances, strips

SIZES = [1, 13, 70, 7 * 13, 4 * 7 * 13, 1 << 19]


def drawn(b=4, n=7, m=13, d=5):
    g = torch.Generator().manual_seed(0)
    return (
        torch.randn(b, n, d, dtype=torch.float64, generator=g, requires_grad=True),
        torch.randn(b, m, d, dtype=torch.float64, generator=g, requires_grad=True),
    )


@pytest.fixture(params=SIZES, autouse=True)
def size(request, monkeypatch):
    monkeypatch.setitem(row_strips.PAIRS, "cpu", request.param)
    return request.param


def test_every_row_of_every_image_comes_once_and_no_strip_is_too_large(size):
    x, y = drawn()
    seen = torch.zeros(4, 7)
    for b, i in strips(x, y):
        seen[b, i] += 1
        rows, images = i.stop - i.start, b.stop - b.start
        assert images * rows * 13 <= max(size, 13)
    assert bool((seen == 1).all())


def same_gradients(found, expected, slope, inputs):
    for got, wanted in zip(
        torch.autograd.grad((found * slope).sum(), inputs),
        torch.autograd.grad((expected * slope).sum(), inputs),
        strict=True,
    ):
        assert torch.allclose(got, wanted, rtol=1e-10, atol=1e-13)


def test_log_sums():
    x, y = drawn()
    slope = torch.randn(4, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found, expected = row_log_sums(x, y), (x @ y.mT).logsumexp(-1)
    assert torch.allclose(found, expected, rtol=1e-12)
    same_gradients(found, expected, slope, [x, y])


def test_log_sums_of_large_products_do_not_overflow():
    x, y = (1e3 * t.detach() for t in drawn())
    assert torch.allclose(row_log_sums(x.float(), y.float()), (x @ y.mT).logsumexp(-1).float(), rtol=1e-5)


def log_shares(x, y):
    return -squared_distances(x, y) - (-squared_distances(x, y)).logsumexp(-1, keepdim=True)


def test_column_best():
    x, y = drawn()
    slope = torch.randn(4, 13, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found, expected = column_best(x, y, log_shares), log_shares(x, y).amax(1)
    assert torch.allclose(found, expected, rtol=1e-12)
    same_gradients(found, expected, slope, [x, y])


def test_of_equal_rows_the_first_gets_the_gradient():
    x, y = drawn()
    x = x.detach()[:, :1].repeat(1, 7, 1).requires_grad_()
    (slope,) = torch.autograd.grad(column_best(x, y, lambda a, b: a @ b.mT).sum(), x)
    assert torch.allclose(slope[:, 0], y.sum(1))
    assert bool((slope[:, 1:] == 0).all())


def test_squared_distances():
    x, y = drawn()
    expected = 0.25 * (x[:, :, None] - y[:, None]).square().sum(-1)
    assert torch.allclose(squared_distances(x, y, 0.25), expected, rtol=1e-10)


def test_nearest_rows():
    x, y = drawn()
    apart = (x[:, :, None] - y[:, None]).square().sum(-1)
    assert torch.equal(nearest_rows(x, y), apart.argmin(-1))
    allowed = torch.rand(4, 13, generator=torch.Generator().manual_seed(2)) < 0.5
    expected = torch.where(allowed[:, None], apart, torch.inf).argmin(-1)
    assert torch.equal(nearest_rows(x, y, allowed), expected)
    far = 1e4 + 1e-2 * torch.arange(13.0)[None, :, None].repeat(1, 1, 3)  # an offset costs no digits
    assert torch.equal(nearest_rows(far, far), torch.arange(13)[None])


def test_second_derivatives_are_refused():
    x, y = drawn()
    for value in (row_log_sums(x, y), column_best(x, y, log_shares)):
        (slope,) = torch.autograd.grad(value.sum(), x, create_graph=True)
        with pytest.raises(UsageError, match="no second derivative"):
            slope.sum().backward()
