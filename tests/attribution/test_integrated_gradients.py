"""Integrated gradients: closed forms, completeness by doubling, and a clear word where the cap comes first."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

import assay
from assay.attribution import integrated_gradients, pixel_maps, sample_influence
from assay.errors import UsageError


def test_of_a_product_the_closed_form():
    """F = x0 x1 from the origin: each has half of it; a linear function's parts are weight times step."""
    x = torch.tensor([[2.0, 3.0], [1.0, -4.0]], dtype=torch.float64)
    found = integrated_gradients(lambda p: p[:, 0] * p[:, 1], x, torch.zeros_like(x))
    torch.testing.assert_close(found.values, torch.tensor([[3.0, 3.0], [-2.0, -2.0]], dtype=torch.float64))
    w = torch.tensor([0.5, -2.0], dtype=torch.float64)
    found = integrated_gradients(lambda p: p @ w, x, torch.ones_like(x))
    torch.testing.assert_close(found.values, (x - 1) * w)
    assert found.steps.tolist() == [8, 8] and float(found.residual.max()) < 1e-12


def test_steps_double_until_the_values_add_up_and_only_where_they_must():
    rows = []

    def both(p):
        rows.append(p[:, 1].tolist())
        return torch.sigmoid((p[:, 0] - 0.31) * p[:, 1].detach())

    x = torch.tensor([[1.0, 60.0], [1.0, 0.1]], dtype=torch.float64)
    b = torch.tensor([[0.0, 60.0], [0.0, 0.1]], dtype=torch.float64)
    found = integrated_gradients(both, x, b, at_once=64)
    assert int(found.steps[0]) > 8 and int(found.steps[1]) == 8
    assert sum(each.count(0.1) for each in rows) == 9 and sum(each.count(60.0) for each in rows) == int(
        found.steps[0] + 1
    )
    torch.testing.assert_close(
        found.difference, torch.sigmoid((1 - 0.31) * x[:, 1]) - torch.sigmoid(-0.31 * x[:, 1])
    )


def test_the_batch_equals_the_samples_one_by_one(pooled, generator):
    x, b = torch.rand(3, 3, 16, 16, generator=generator), torch.rand(3, 3, 16, 16, generator=generator)

    def function(p):
        return pooled(p).square().sum(1)

    together = integrated_gradients(function, x, b, at_once=5)
    for i in range(3):
        alone = integrated_gradients(function, x[i : i + 1], b[i : i + 1])
        torch.testing.assert_close(together.values[i : i + 1], alone.values, rtol=1e-4, atol=1e-6)
        assert together.steps[i] == alone.steps[0]


def test_the_cap_is_told():
    x = torch.ones(1, 1, dtype=torch.float64)
    with pytest.warns(UserWarning, match=r"1 of 1 still miss their difference by up to .*after 16 steps"):
        found = integrated_gradients(
            lambda p: torch.sigmoid((p[:, 0] - 0.33) * 500), x, torch.zeros_like(x), most_steps=16
        )
    assert float(found.residual) > 0.01 and int(found.steps) == 16


def test_no_difference_no_warning():
    x = torch.ones(2, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = integrated_gradients(lambda p: p.sum(1), x, x)
    assert float(found.residual.max()) == 0 and float(found.values.abs().max()) == 0


@pytest.mark.parametrize("measure", [assay.frechet_distance, assay.kernel_distance], ids=lambda m: m.name)
def test_pixel_maps_sum_to_the_difference_in_influence(pooled, generator, measure):
    real, made = (
        torch.rand(30, 3, 16, 16, generator=generator),
        torch.rand(30, 3, 16, 16, generator=generator),
    )
    made = 0.6 * made
    with torch.no_grad():
        x, y = pooled(real), pooled(made)
        phi = sample_influence(measure, x, y)
        expected = phi(y[:4]) - phi(x[:4])
    found = pixel_maps(pooled, phi, made[:4], real[:4])
    assert found.values.shape == (4, 16, 16)
    torch.testing.assert_close(found.influence - found.of_baseline, expected, rtol=1e-4, atol=1e-9)
    assert ((found.values.sum((1, 2)) - expected).abs() <= 0.011 * expected.abs()).all()
    assert float(found.residual.max()) <= 0.01


def test_wrong_use_is_one_sentence():
    x = torch.ones(2, 3)
    with pytest.raises(UsageError, match="baselines: expected the inputs' shape"):
        integrated_gradients(lambda p: p.sum(1), x, x[:1])
    with pytest.raises(UsageError, match="expected above zero"):
        integrated_gradients(lambda p: p.sum(1), x, x, tolerance=0)
    with pytest.raises(UsageError, match=r"function: gives \(\) for"):
        integrated_gradients(lambda p: p.sum(), x, x)
    with pytest.raises(UsageError, match="function: has no gradient"):
        integrated_gradients(lambda p: p.detach().sum(1), x, x)


def test_in_inference_mode_and_without_touching_the_module(generator):
    module = nn.Linear(3, 1)
    with torch.inference_mode():
        x = torch.rand(2, 3, generator=generator)
        found = integrated_gradients(lambda p: module(p)[:, 0], x, torch.zeros_like(x))
    torch.testing.assert_close(found.values.float(), x.clone() * module.weight.detach())
    assert module.weight.grad is None and module.weight.requires_grad


def test_rounding_beside_no_difference_is_no_residual():
    x = torch.tensor([[0.1, 0.7, -0.3]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = integrated_gradients(lambda v: (v.double() ** 2).sum(1) * 1.1, x, x[:, [1, 2, 0]])
    assert float(found.residual) <= 0.01 and float(found.difference.abs()) < 1e-6
