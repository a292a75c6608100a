"""`dss` equals piq's, also where few blocks or ties decide."""

from __future__ import annotations

import pytest
import torch

from assay.errors import UsageError
from assay.images.subbands import dss


@pytest.mark.parametrize("size,expected", [((57, 70), 0.9928507540960538), ((161, 130), 0.9919501226561928)])
def test_it_equals_piq(size, expected, formula_pair):
    # piq 0.8.0, dss: its sum over subbands is in float32, whatever the images' precision
    x, y = formula_pair(*size)
    assert dss(x, y).item() == pytest.approx(expected, abs=1e-7)
    assert dss(x.float() * 255, y.float() * 255, data_range=255).item() == pytest.approx(expected, abs=1e-5)


def test_a_single_block_is_its_own_worst(formula_pair):
    x, y = formula_pair(8, 8)
    assert dss(x, y).isfinite().all() and dss(y, y).item() == pytest.approx(1.0)


def test_the_map_is_of_blocks_and_its_mean_above_the_worst(formula_pair):
    x, y = formula_pair(57, 70)
    local = dss.map(x, y)
    assert local.shape == (1, 7, 8)
    assert local.mean().item() > dss(x, y).item() > local.min().item() - 0.05


@pytest.mark.parametrize(
    "first,second", [(0.0, 0.0), (0.3, 0.3), (0.3, 0.7), (0.0, None), (None, 0.0), (None, None)]
)
def test_gradients_are_finite_on_flat_blocks_and_ties(first, second):
    noise = torch.rand(1, 1, 40, 40, generator=torch.Generator().manual_seed(0))
    x, y = (
        (noise.clone() if v is None else torch.full_like(noise, v)).requires_grad_() for v in (first, second)
    )
    value = dss(x, y)
    slopes = torch.autograd.grad(value.sum(), (x, y))
    assert all(bool(s.isfinite().all()) for s in slopes)
    if first == second:
        assert (
            value.item() == pytest.approx(1.0, abs=1e-6) and max(float(s.abs().max()) for s in slopes) < 1e-6
        )


def test_what_is_refused():
    with pytest.raises(UsageError, match="8 x 8"):
        dss(torch.rand(1, 1, 7, 20), torch.rand(1, 1, 7, 20))
    with pytest.raises(UsageError, match="channels"):
        dss(torch.rand(1, 4, 20, 20), torch.rand(1, 4, 20, 20))


def test_bright_blocks_are_told_apart_in_single_precision():
    bright = 0.999 + 0.001 * torch.rand(4, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    assert dss(bright, bright.clone()).tolist() == [1.0] * 4
    other = bright.flip(0)
    torch.testing.assert_close(
        dss(bright, other), dss(bright.double(), other.double()).float(), rtol=0, atol=1e-5
    )
