"""The Vendi score against the package `vendi_score` and closed forms."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch

from assay import UsageError, vendi_score

ORDERS = [0.5, 1.0, 2.0, math.inf]


def by_kernel(x, order):
    """From the n x n kernel, which is never formed in the library."""
    u = x.numpy() / np.linalg.norm(x.numpy(), axis=1, keepdims=True)
    values = np.linalg.eigvalsh(u @ u.T / len(u))
    values = values[values > 1e-10]
    if order == 1:
        return float(np.exp(-(values * np.log(values)).sum()))
    if order == math.inf:
        return float(1 / values.max())
    return float((values**order).sum() ** (1 / (1 - order)))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("n", "d"), [(50, 8), (9, 30), (8, 8)])
def test_equals_the_kernel_form(normal, n, d, order):
    x = normal(n, d) @ torch.diag(torch.linspace(0.2, 2, d, dtype=torch.float64))
    assert float(vendi_score(x, order=order)) == pytest.approx(by_kernel(x, order), rel=1e-9)


@pytest.fixture
def peer():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from vendi_score import vendi
        except Exception as error:
            pytest.skip(f"vendi_score cannot be imported: {error}")
    return vendi


@pytest.mark.parametrize("order", [1.0, 2.0])
def test_equals_the_package_through_the_small_side(normal, peer, order):
    x = normal(40, 6)
    assert float(vendi_score(x, order=order)) == pytest.approx(
        float(peer.score_dual(x.numpy(), q=order)), rel=1e-9
    )


def test_the_package_drops_the_order_in_its_score_of_samples(normal, peer):
    """Its `score_X` passes q=1 on whatever it was given; the dual form beside it honours it, and so does this one."""
    x = normal(40, 6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            theirs = float(peer.score_X(x.numpy(), q=2))
        except AttributeError as error:
            pytest.skip(f"score_X does not run with this scipy: {error}")
    assert theirs == pytest.approx(float(vendi_score(x, order=1)), rel=1e-9)
    assert float(vendi_score(x, order=2)) < theirs - 0.01


@pytest.mark.parametrize("order", ORDERS)
def test_orthogonal_samples_count_themselves(order):
    assert float(vendi_score(3 * torch.eye(7, dtype=torch.float64), order=order)) == pytest.approx(7)
    assert float(vendi_score(torch.eye(4, 9, dtype=torch.float64), order=order)) == pytest.approx(4)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("n", [3, 50])
def test_samples_of_one_direction_are_one(normal, n, order):
    x = normal(1, 8) * torch.arange(1, n + 1, dtype=torch.float64)[:, None]
    assert float(vendi_score(x, order=order)) == pytest.approx(1, abs=1e-9)


def test_two_kinds_in_unequal_shares_are_the_exponential_of_their_entropy():
    x = torch.eye(2, dtype=torch.float64)
    got = vendi_score(x, weights_y=torch.tensor([3.0, 1.0]))
    assert float(got) == pytest.approx(math.exp(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25))))


def test_it_falls_with_the_order(normal):
    x = normal(60, 9)
    values = [float(vendi_score(x, order=q)) for q in (0.1, 0.5, 1, 1.5, 2, 8, math.inf)]
    assert values == sorted(values, reverse=True)
    assert float(vendi_score(x, order=1 + 1e-6)) == pytest.approx(values[2], rel=1e-5)


@pytest.mark.parametrize("order", [0.5, 1.0, 2.0])
@pytest.mark.parametrize(("n", "d"), [(12, 4), (4, 9)])
def test_gradients_by_samples_and_counts(normal, n, d, order):
    x, w = normal(n, d).requires_grad_(), (1 + normal(n).abs()).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: vendi_score(a, order=order, weights_y=b), [x, w])


def test_gradient_is_finite_where_eigenvalues_meet_or_vanish():
    for x in (torch.eye(5, dtype=torch.float64), torch.ones(6, 4, dtype=torch.float64)):
        for order in (0.5, 1.0, 2.0, math.inf):
            leaf = x.clone().requires_grad_()
            (grad,) = torch.autograd.grad(vendi_score(leaf, order=order), leaf)
            assert bool(torch.isfinite(grad).all())


@pytest.mark.parametrize("order", [0.0, -0.1, float("nan")])
def test_orders_that_are_not_above_zero_are_refused(normal, order):
    """Order 0 is a rank: it has no gradient, and no influences to read a spread from."""
    with pytest.raises(UsageError, match="order"):
        vendi_score(normal(5, 2), order=order)


def test_a_zero_vector_is_no_direction(normal):
    """It adds neither a direction nor a NaN; the docstring asks for none."""
    x = torch.cat([normal(6, 3), torch.zeros(1, 3, dtype=torch.float64)])
    assert math.isfinite(float(vendi_score(x)))
