"""Bounds on mutual information: double loops, Gaussians whose best critic is known, limits."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from assay import UsageError
from assay.sets.mutual_information import (
    info_nce_bound,
    interpolated_bound,
    mi_bounds,
    nwj_bound,
    separable_info_nce_bound,
)


def by_loops(scores, alpha, log_q):
    """Leave-one-out candidates in both expectations, one pair at a time."""
    n, e, q = len(scores), scores.exp(), log_q.exp()
    joint, apart = [], []
    for i in range(n):
        for j in range(n):
            if j != i:
                paired = (e[i].sum() - e[i, j]) / (n - 1)
                unpaired = (e[i].sum() - e[i, i]) / (n - 1)
                joint.append(scores[i, i] - (alpha * paired + (1 - alpha) * q[i]).log())
                apart.append(e[i, j] / (alpha * unpaired + (1 - alpha) * q[i]))
    return 1 + sum(joint) / len(joint) - sum(apart) / len(apart)


@pytest.mark.parametrize("alpha", [0.0, 0.01, 0.5, 0.99])
def test_interpolated_equals_the_double_loop(normal, alpha):
    scores, log_q = 2 * normal(7, 7), normal(7)
    got = interpolated_bound(scores, alpha=alpha, log_baseline=log_q)
    assert float(got) == pytest.approx(float(by_loops(scores, alpha, log_q)), rel=1e-10)


def test_the_ends_are_info_nce_and_nwj(normal):
    scores = normal(9, 9)
    from_cross_entropy = math.log(9) - float(cross_entropy(scores, torch.arange(9)))
    assert float(interpolated_bound(scores, alpha=1.0)) == pytest.approx(from_cross_entropy, rel=1e-12)
    off = scores[~torch.eye(9, dtype=torch.bool)]
    nwj = float(scores.diagonal().mean() - off.exp().mean() / math.e)
    assert float(interpolated_bound(scores, alpha=0.0)) == pytest.approx(nwj, rel=1e-12)
    bounds = mi_bounds(scores, alpha=0.3)
    assert bounds.keys() == {"info_nce", "nwj", "interpolated"}
    assert float(bounds["info_nce"]) == pytest.approx(from_cross_entropy)
    assert float(bounds["nwj"]) == pytest.approx(nwj)
    assert float(bounds["interpolated"]) == pytest.approx(float(interpolated_bound(scores, alpha=0.3)))


def gaussian_scores(information, d, n, seed):
    """log p(x|y) / p(x) of pairs of correlated normals with this mutual information: the best critic."""
    rho = math.sqrt(1 - math.exp(-2 * information / d))
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, dtype=torch.float64, generator=g)
    y = rho * x + math.sqrt(1 - rho**2) * torch.randn(n, d, dtype=torch.float64, generator=g)
    gap = (x[None] - rho * y[:, None]).square().sum(2) / (1 - rho**2)
    return 0.5 * (x.square().sum(1)[None] - gap - d * math.log(1 - rho**2))


def test_bias_falls_and_variance_rises_as_alpha_falls():
    truth, n = 5.0, 32
    draws = [gaussian_scores(truth, 10, n, seed) for seed in range(150)]
    means, spreads = [], []
    for alpha in (1.0, 0.3, 0.03, 0.0):
        values = torch.stack([interpolated_bound(s, alpha=alpha, log_baseline=torch.zeros(n)) for s in draws])
        if alpha == 0:
            assert torch.allclose(values, torch.stack([nwj_bound(s + 1) for s in draws]))
        means.append(float(values.mean()))
        spreads.append(float(values.std()))
        if alpha > 0:
            assert float(values.max()) < 1 + math.log(n / alpha)
    assert means == sorted(means) and means[0] < math.log(n)
    assert abs(means[-1] - truth) < 3.5 * spreads[-1] / len(draws) ** 0.5
    assert spreads == sorted(spreads)


def test_no_critic_gets_above_the_truth():
    truth, n = 1.0, 24
    for temper in (0.5, 1.0, 1.5):
        for alpha in (0.2, 0.8):
            values = torch.stack(
                [interpolated_bound(temper * gaussian_scores(truth, 5, n, s), alpha=alpha) for s in range(80)]
            )
            assert float(values.mean()) < truth + 3.5 * float(values.std()) / 80**0.5


def test_large_scores_stay_finite_with_their_gradients(normal):
    scores = (300 * normal(8, 8).float()).requires_grad_()
    for bound in (info_nce_bound(scores), interpolated_bound(scores, alpha=0.5)):
        (slope,) = torch.autograd.grad(bound, scores)
        assert bool(bound.detach().isfinite()) and bool(slope.isfinite().all())


def test_gradients(normal):
    scores, log_q = normal(5, 5).requires_grad_(), normal(5).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda s, q: interpolated_bound(s, alpha=0.3, log_baseline=q), (scores, log_q)
    )
    assert torch.autograd.gradcheck(nwj_bound, (scores,))
    assert torch.autograd.gradcheck(info_nce_bound, (scores,))


def test_separable_is_the_matrix_without_the_matrix(normal):
    a, b = normal(40, 6).requires_grad_(), normal(40, 6).requires_grad_()
    mine, dense = separable_info_nce_bound(a, b, temperature=0.5), info_nce_bound(a @ b.T / 0.5)
    assert float(mine.detach()) == pytest.approx(float(dense.detach()), rel=1e-10)
    for left, right in zip(
        torch.autograd.grad(mine, (a, b)), torch.autograd.grad(dense, (a, b)), strict=True
    ):
        assert torch.allclose(left, right, atol=1e-12)


def test_half_precision_is_worked_in_float32(normal):
    scores = normal(6, 6).bfloat16()
    value = interpolated_bound(scores)
    assert value.dtype == torch.float32
    assert float(value) == pytest.approx(float(interpolated_bound(scores.double())), rel=1e-5)


def test_bad_input_is_refused(normal):
    with pytest.raises(UsageError, match=r"scores: expected anchors by candidates \(N, N\)"):
        info_nce_bound(normal(4, 5))
    with pytest.raises(UsageError, match="at least 3 pairs, got 2"):
        interpolated_bound(normal(2, 2))
    with pytest.raises(UsageError, match="at least 2 pairs"):
        nwj_bound(normal(1, 1))
    with pytest.raises(UsageError, match="alpha: expected a number from 0 to 1"):
        interpolated_bound(normal(4, 4), alpha=1.5)
    with pytest.raises(UsageError, match=r"log_baseline: expected one number an anchor, shape \(4,\)"):
        mi_bounds(normal(4, 4), log_baseline=normal(3))
    with pytest.raises(UsageError, match="temperature"):
        separable_info_nce_bound(normal(4, 2), normal(4, 2), temperature=0.0)
    with pytest.raises(UsageError, match="features"):
        separable_info_nce_bound(normal(4, 2), normal(4, 3))
