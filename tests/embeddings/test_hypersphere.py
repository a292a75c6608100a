"""Alignment, uniformity and tolerance: against pairwise forms, and what they are in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

import assay
from assay.embeddings import alignment, info_nce, tolerance, uniformity
from assay.scale.contrast import softmax_tiles


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 3.0])
def test_alignment_is_the_mean_power_of_the_distance(normal: Callable[..., Tensor], alpha: float) -> None:
    x, y = normal(9, 4), normal(9, 4)
    expected = (normalize(x) - normalize(y)).norm(dim=1) ** alpha
    assert torch.allclose(alignment(x, y, alpha=alpha, reduction="none"), expected, rtol=1e-12)
    assert float(alignment(x, -x, alpha=alpha)) == pytest.approx(2**alpha)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_equal_partners_are_aligned_and_stay(normal: Callable[..., Tensor], alpha: float) -> None:
    x = normal(5, 3).requires_grad_()
    value = alignment(x, x.detach().clone(), alpha=alpha)
    value.backward()  # type: ignore[no-untyped-call]
    assert float(value.detach()) == 0 and x.grad is not None and not x.grad.any()


@pytest.mark.parametrize("t", [0.5, 2.0, 50.0])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_uniformity_is_the_logarithm_of_the_mean_potential(
    normal: Callable[..., Tensor], t: float, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(softmax_tiles.SIDE, "cpu", 7)
    x = normal(30, 4).to(dtype).requires_grad_()
    expected = torch.pdist(normalize(x.double())).square().mul(-t).exp().mean().log()
    got = uniformity(x, t=t)
    relative = 1e-10 if dtype == torch.float64 else 1e-5
    assert torch.allclose(got.double(), expected, rtol=relative)
    slopes = [torch.autograd.grad(value, x)[0] for value in (got, expected)]
    assert torch.allclose(slopes[0], slopes[1], rtol=100 * relative, atol=10 * relative)


@pytest.mark.parametrize("d", [2, 3, 16])
def test_uniformity_of_uniform_samples(normal: Callable[..., Tensor], d: int) -> None:
    """-2t + log 0F1(; d/2; t^2), whose terms are t^2k / (k! (d/2) (d/2 + 1) ... )."""
    t, term, total = 2.0, 1.0, 1.0
    for k in range(60):
        term *= t * t / ((k + 1) * (d / 2 + k))
        total += term
    got = uniformity(normal(3000, d), t=t)
    assert math.isclose(float(got), -2 * t + math.log(total), abs_tol=0.01)


def test_bounds_of_uniformity() -> None:
    same = torch.ones(5, 3)
    assert float(uniformity(same)) == pytest.approx(0, abs=1e-6)
    opposite = torch.tensor([[1.0, 0.0], [-3.0, 0.0]])
    assert float(uniformity(opposite, t=2.0)) == pytest.approx(-8)


def test_contrastive_loss_splits_into_alignment_and_uniformity(normal: Callable[..., Tensor]) -> None:
    """InfoNCE minus log N comes to -E[x.y] / t + E_x log E_x' exp(x.x' / t) as N grows (Wang and Isola, theorem 1)."""
    n, t = 4000, 0.5
    x = normal(n, 3)
    y = x + 0.3 * normal(n, 3)
    cosine = 1 - alignment(x, y) / 2
    s = normalize(x) @ normalize(y).T / t
    limit = -cosine / t + (s.logsumexp(1) - math.log(n)).mean()
    assert math.isclose(float(info_nce(x, y, temperature=t)) - math.log(n), float(limit), abs_tol=0.01)


def test_tolerance_is_the_mean_cosine_within_classes(normal: Callable[..., Tensor]) -> None:
    z = normal(14, 4)
    labels = torch.tensor([0, 0, 0, 1, 1, 2, 3, 3, 3, 3, 4, 5, 5, 5])
    cosine = normalize(z) @ normalize(z).T
    pairs = (labels[:, None] == labels[None, :]) & ~torch.eye(14, dtype=torch.bool)
    assert torch.allclose(tolerance(z, labels), cosine[pairs].mean(), rtol=1e-12)


def test_tolerance_of_points_is_one_and_of_opposites_minus_one() -> None:
    z = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    assert float(tolerance(z[:2], torch.tensor([7, 7]))) == pytest.approx(1)
    assert float(tolerance(z[2:], torch.tensor([7, 7]))) == pytest.approx(-1)
    assert float(tolerance(z, torch.tensor([1, 1, 2, 2]))) == pytest.approx(0)


def test_what_does_not_fit_is_refused() -> None:
    x = torch.ones(3, 2)
    with pytest.raises(assay.DataError, match="no two rows have one label"):
        tolerance(x, torch.arange(3))
    with pytest.raises(assay.UsageError, match="two rows make a pair, got 1"):
        uniformity(x[:1])
    with pytest.raises(assay.UsageError, match="t: expected a number above zero, got 0"):
        uniformity(x, t=0)
    with pytest.raises(assay.UsageError, match=r"alpha: .* got -1"):
        alignment(x, x, alpha=-1)
