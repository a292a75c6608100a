"""A few pairs at a time give what all at once give, value, gradient and second derivative."""

from __future__ import annotations

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from assay.errors import UsageError
from assay.scale import each_pair as module
from assay.scale.each_pair import each_pair
from assay.scale.first_derivative import differentiable_once


def function(x, y):
    return (x.sin() * y.square()).mean((1, 2))


@pytest.fixture(params=[1, 3, 7])
def pairs_at_once(request, monkeypatch):
    """How many pairs of 4 x 5 doubles a chunk holds."""
    monkeypatch.setattr(module, "CHUNK_BYTES", {"cpu": request.param * 4 * 5 * 8})
    return request.param


@pytest.mark.parametrize("wanted", [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.usefixtures("pairs_at_once")
def test_chunks_are_the_whole(normal, wanted):
    x, y = (normal(7, 20).view(7, 4, 5).requires_grad_(w) for w in wanted)
    values, whole = each_pair(function, x, y), function(x, y)
    torch.testing.assert_close(values, whole, rtol=0, atol=1e-15)
    slope = torch.arange(1.0, 8.0, dtype=values.dtype)
    inputs = [t for t in (x, y) if t.requires_grad]
    if inputs:
        found = torch.autograd.grad(values, inputs, slope)
        for a, b in zip(found, torch.autograd.grad(whole, inputs, slope), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-14)


@pytest.mark.parametrize("pairs_at_once", [2], indirect=True)
@pytest.mark.usefixtures("pairs_at_once")
def test_a_member_that_does_not_count_has_gradient_zero(normal):
    x, y = (normal(7, 20).view(7, 4, 5).requires_grad_() for _ in range(2))
    each_pair(lambda a, _b: a.mean((1, 2)), x, y).sum().backward()
    assert not bool(y.grad.any()) and bool(x.grad.all())


@pytest.mark.parametrize("wanted", [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("pairs_at_once", [2], indirect=True)
@pytest.mark.usefixtures("pairs_at_once")
def test_a_second_derivative_is_that_of_the_whole(normal, wanted):
    """By the members and by the cotangent, through a function that is curved in both members."""
    x, y = (normal(7, 20).view(7, 4, 5).requires_grad_(w) for w in wanted)
    slope = torch.arange(1.0, 8.0, dtype=x.dtype).requires_grad_()
    inputs = [t for t in (x, y) if t.requires_grad]

    def curvatures(values):
        first = torch.autograd.grad(values, inputs, slope, create_graph=True)
        return torch.autograd.grad(sum(g.pow(3).sum() for g in first), [*inputs, slope])

    found, whole = curvatures(each_pair(function, x, y)), curvatures(function(x, y))
    for a, b in zip(found, whole, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-14)
        assert bool(b.any())


@pytest.mark.parametrize("pairs_at_once", [2], indirect=True)
@pytest.mark.usefixtures("pairs_at_once")
def test_a_second_derivative_of_one_tensor_given_twice(normal):
    x = normal(7, 20).view(7, 4, 5).requires_grad_()

    def curvature(values):
        (first,) = torch.autograd.grad(values.sum(), x, create_graph=True)
        return torch.autograd.grad(first.square().sum(), x)[0]

    torch.testing.assert_close(
        curvature(each_pair(function, x, x)), curvature(function(x, x)), rtol=0, atol=1e-14
    )


@pytest.mark.parametrize("pairs_at_once", [2], indirect=True)
@pytest.mark.usefixtures("pairs_at_once")
def test_a_function_that_refuses_a_second_derivative_refuses_it_here(normal):
    x, y = normal(7, 20).view(7, 4, 5).requires_grad_(), normal(7, 20).view(7, 4, 5)

    def once(x, y):
        return differentiable_once(function(x, y), "this function")

    (slope,) = torch.autograd.grad(each_pair(once, x, y).sum(), x, create_graph=True)
    with pytest.raises(UsageError, match="this function has no second derivative"):
        slope.square().sum().backward()


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("pairs_at_once", [2], indirect=True)
@pytest.mark.usefixtures("pairs_at_once")
def test_within_a_checkpoint(normal, graph):
    """It hands out what was saved for the way back once."""
    x, y = (normal(7, 20).view(7, 4, 5).requires_grad_() for _ in range(2))
    values = checkpoint(lambda x, y: each_pair(function, x, y), x, y, use_reentrant=False)
    found = torch.autograd.grad(values.sum(), (x, y), create_graph=graph)
    for a, b in zip(found, torch.autograd.grad(function(x, y).sum(), (x, y)), strict=True):
        torch.testing.assert_close(a.detach(), b, rtol=0, atol=1e-14)


@pytest.mark.parametrize("changed", [0, 1])
@pytest.mark.parametrize("pairs_at_once", [2], indirect=True)
@pytest.mark.usefixtures("pairs_at_once")
def test_a_member_changed_between_value_and_gradient_is_noticed(normal, changed):
    x, y = normal(7, 20).view(7, 4, 5).requires_grad_(), normal(7, 20).view(7, 4, 5)
    members = [x * 1, y]
    values = each_pair(function, *members)
    with torch.no_grad():
        members[changed].add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        values.sum().backward()
