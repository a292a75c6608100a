"""Bits are eight times bytes, and minus the logarithm of what was expected."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from assay.errors import DataError, UsageError
from assay.images.coding import bits_per_pixel, likelihood_bits_per_pixel


def test_files() -> None:
    expected = torch.tensor([8 * 1000 / (512 * 768), 8 * 2500 / (512 * 768)], dtype=torch.float64)
    for sizes in ([1000, 2500], np.array([1000, 2500]), torch.tensor([1000, 2500])):
        torch.testing.assert_close(bits_per_pixel(sizes, 512, 768), expected)
    got = bits_per_pixel([1000, 2500], [10, 20], torch.tensor([30, 50]))
    torch.testing.assert_close(got, torch.tensor([8000 / 300, 20000 / 1000], dtype=torch.float64))


def test_likelihoods_of_uniform_symbols_are_their_bits() -> None:
    latents, hyper = torch.full((2, 8, 4, 4), 1 / 16), torch.full((2, 3, 2), 1 / 4)
    torch.testing.assert_close(likelihood_bits_per_pixel(latents, 64, 64), torch.full((2,), 128 * 4 / 4096))
    got = likelihood_bits_per_pixel([latents, hyper], 64, 64)
    torch.testing.assert_close(got, torch.full((2,), (128 * 4 + 6 * 2) / 4096))


def test_likelihoods_train_and_survive_zero() -> None:
    p = torch.rand(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradcheck(lambda t: likelihood_bits_per_pixel(t, 4, 4), p)
    zero = torch.tensor([[0.0, 0.5]], requires_grad=True)
    value = likelihood_bits_per_pixel(zero, 1, 1)
    value.sum().backward()
    assert float(value.detach()) == pytest.approx(1 - math.log2(1e-9), rel=1e-6)
    assert zero.grad is not None and float(zero.grad[0, 0]) == 0 and bool(zero.grad.isfinite().all())
    assert likelihood_bits_per_pixel(torch.full((1, 2), 0.5).half(), 1, 1).dtype == torch.float32


def test_an_ideal_coder_reaches_the_entropy() -> None:
    """The mean bits of symbols drawn with the probabilities they are coded by."""
    p = torch.tensor([0.5, 0.25, 0.2, 0.05])
    symbols = torch.multinomial(p, 200_000, replacement=True, generator=torch.Generator().manual_seed(1))
    got = float(likelihood_bits_per_pixel(p[symbols][None], 400, 500))
    assert got == pytest.approx(float(-(p * p.log2()).sum()), rel=5e-3)


def test_bad_input() -> None:
    with pytest.raises(
        UsageError, match=r"sizes: expected one number of bytes an image, shape \(n,\), got \(\)"
    ):
        bits_per_pixel(1000, 8, 8)
    with pytest.raises(DataError, match="sizes: expected bytes from 0, got -1 in row 1"):
        bits_per_pixel([5, -1], 8, 8)
    with pytest.raises(DataError, match="row 0"):
        bits_per_pixel([math.nan], 8, 8)
    with pytest.raises(UsageError, match="height: expected whole numbers of pixels from 1, got 0"):
        bits_per_pixel([5], 0, 8)
    with pytest.raises(UsageError, match="width: expected whole numbers"):
        bits_per_pixel([5], 8, 7.5)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"width: expected one number, or one an image, shape \(1,\)"):
        bits_per_pixel([5], 8, [8, 8])
    p = torch.ones(2, 3)
    with pytest.raises(UsageError, match="likelihoods: expected a tensor"):
        likelihood_bits_per_pixel([], 8, 8)
    with pytest.raises(UsageError, match="expected 2 images in each tensor, got 1 in 1"):
        likelihood_bits_per_pixel([p, p[:1]], 8, 8)
    with pytest.raises(UsageError, match="floating-point"):
        likelihood_bits_per_pixel(p.long(), 8, 8)
    with pytest.raises(UsageError, match="floor: expected a probability"):
        likelihood_bits_per_pixel(p, 8, 8, floor=0.0)
    with pytest.raises(UsageError, match="floor: expected a probability"):
        likelihood_bits_per_pixel(p, 8, 8, floor="1e-9")  # type: ignore[arg-type]
    for wrong in (None, 3, "p"):
        with pytest.raises(UsageError, match="likelihoods: expected a tensor"):
            likelihood_bits_per_pixel(wrong, 8, 8)  # type: ignore[arg-type]
    for wrong in ("abc", ["1"], None, [True], [1 + 2j], [[1], [2, 3]]):
        with pytest.raises(UsageError, match=r"^sizes: expected numbers"):
            bits_per_pixel(wrong, 8, 8)
        with pytest.raises(UsageError, match=r"^height: expected numbers"):
            bits_per_pixel([5], wrong, 8)  # type: ignore[arg-type]


def test_what_is_likely_below_the_floor_costs_as_much_as_the_floor() -> None:
    rare = torch.tensor([[1e-12, 0.5]])
    assert float(likelihood_bits_per_pixel(rare, 1, 1)) == pytest.approx(1 + 9 * math.log2(10), rel=1e-6)
    assert float(likelihood_bits_per_pixel(rare, 1, 1, floor=0.75)) == pytest.approx(-2 * math.log2(0.75))


def test_a_floor_below_the_precision_costs_what_it_says() -> None:
    zero = torch.tensor([[0.0, 0.5]], requires_grad=True)
    value = likelihood_bits_per_pixel(zero, 1, 1, floor=1e-60)
    assert float(value.detach()) == pytest.approx(1 + 60 * math.log2(10), rel=1e-6)
    (slope,) = torch.autograd.grad(value.sum(), zero)
    assert slope.tolist() == [[0.0, pytest.approx(-2 / math.log(2), rel=1e-6)]]
    assert likelihood_bits_per_pixel(torch.tensor([[math.nan, 0.5]]), 1, 1).isnan().all()
