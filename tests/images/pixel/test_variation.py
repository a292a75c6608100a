"""Total variation: counted by hand, in both norms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import UsageError
from assay.images.pixel import total_variation


def test_it_is_the_sum_of_steps_over_the_number_of_values():
    x = torch.rand(3, 2, 9, 11, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    a = x.numpy()
    down, across = np.diff(a, axis=2), np.diff(a, axis=3)
    total = np.abs(down).sum((1, 2, 3)) + np.abs(across).sum((1, 2, 3))
    assert np.allclose(total_variation(x), total / a[0].size, rtol=1e-14)
    down, across = np.diff(a, axis=2, append=a[:, :, -1:]), np.diff(a, axis=3, append=a[..., -1:])
    assert np.allclose(
        total_variation(x, norm="isotropic"), np.hypot(down, across).sum((1, 2, 3)) / a[0].size, rtol=1e-12
    )


@given(st.floats(0.1, 5), st.integers(2, 8))
def test_an_upright_edge_is_as_long_in_both_norms_and_a_diagonal_one_is_not(height, size):
    upright = torch.zeros(1, 1, size, size, dtype=torch.float64)
    upright[..., size // 2 :] = height
    for norm in ("anisotropic", "isotropic"):
        assert float(total_variation(upright, norm=norm)) * size**2 == pytest.approx(height * size)
    step = torch.eye(size, dtype=torch.float64)[None, None] * height
    assert float(total_variation(step, norm="isotropic")) < float(total_variation(step))


@pytest.mark.parametrize("norm", ["anisotropic", "isotropic"])
def test_a_constant_image_is_even_and_has_no_gradient(norm):
    x = torch.full((2, 3, 8, 8), 0.4, requires_grad=True)
    value = total_variation(x, norm=norm)
    value.sum().backward()
    assert max(value.detach().tolist()) <= 1e-11 and x.grad is not None and bool((x.grad == 0).all())


def test_one_pixel_has_no_neighbour():
    assert float(total_variation(torch.ones(1, 1, 1, 1))) == 0.0


def test_a_wrong_norm():
    with pytest.raises(UsageError, match="norm: expected"):
        total_variation(torch.ones(1, 1, 4, 4), norm="l2")
