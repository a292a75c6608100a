"""The gradient of structural similarity, written by hand, has the second derivative of the plain operations."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from assay.images import ssim
from assay.images.structure.local_similarity import local_terms, mean_similarity
from assay.images.structure.ssim_conventions import WINDOWS
from assay.scale import each_pair


def hessian_product(values: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
    first = torch.autograd.grad(values.sum(), (x, y), create_graph=True)
    return torch.autograd.grad(first[0].pow(3).sum() + (first[0] * first[1]).sum(), (x, y))


@pytest.mark.parametrize("luminance", [True, False])
@pytest.mark.parametrize("convention", sorted(WINDOWS))
def test_it_is_that_of_the_plain_operations(normal, monkeypatch, convention, luminance):
    window = WINDOWS[convention]
    monkeypatch.setattr(each_pair, "CHUNK_BYTES", {"cpu": 2 * 14 * 13 * 8})  # two channels at a time
    x, y = (normal(3, 2 * 14 * 13).view(3, 2, 14, 13).sigmoid().requires_grad_() for _ in range(2))
    bright, contrast = local_terms(x, y, window, 1.0)
    plain = (bright * contrast if luminance else contrast).mean((2, 3))
    found = hessian_product(mean_similarity(x, y, window, 1.0, luminance=luminance), x, y)
    for a, b in zip(found, hessian_product(plain, x, y), strict=True):
        assert float(b.abs().max()) > 1e-9
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-15)


def test_a_penalty_under_autocast_is_worked_in_full_precision(normal):
    """Under autocast as losses are computed there; the backward pass comes after it, as PyTorch asks."""
    x, y = (normal(2, 14 * 13).view(2, 1, 14, 13).sigmoid().float().requires_grad_() for _ in range(2))
    found = []
    for cast in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=cast):
            (slope,) = torch.autograd.grad(ssim(x, y).sum(), x, create_graph=True)
            penalty = slope.square().sum()
        found.append(torch.autograd.grad(penalty, (x, y)))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=0)
