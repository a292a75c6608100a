"""`mirror_symmetry` is the mean difference from the mirror image, for even and odd sizes."""

from __future__ import annotations

import pytest
import torch

from assay.errors import UsageError
from assay.images.symmetry import mirror_symmetry


@pytest.mark.parametrize("height,width", [(6, 8), (5, 7), (4, 1), (1, 5), (1, 1)])
@pytest.mark.parametrize("axis", [-1, -2, 2, 3])
def test_it_is_the_mean_over_the_whole_image(height, width, axis):
    x = torch.rand(3, 3, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = (x - x.flip(axis)).abs().mean((1, 2, 3))
    torch.testing.assert_close(mirror_symmetry(x, axis=axis), expected)
    torch.testing.assert_close(mirror_symmetry.map(x, axis=axis).mean((1, 2)), expected)
    torch.testing.assert_close(mirror_symmetry(255 * x, axis=axis, data_range=255), expected)


def test_zero_exactly_for_symmetric_images_with_a_gradient_of_zero():
    half = torch.rand(2, 3, 5, 4, generator=torch.Generator().manual_seed(0))
    for x in (torch.cat([half, half.flip(-1)], -1), torch.zeros(2, 3, 5, 7), torch.rand(2, 3, 5, 1)):
        x.requires_grad_()
        value = mirror_symmetry(x)
        (slope,) = torch.autograd.grad(value.sum(), x)
        assert not value.any() and not slope.any()


def test_a_mirrored_image_is_as_symmetric():
    x = torch.rand(2, 1, 6, 7, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(mirror_symmetry(x.flip(-1)), mirror_symmetry(x))


def test_what_is_refused():
    x = torch.rand(1, 1, 4, 4)
    for options in (
        {"axis": 1},
        {"axis": 0},
        {"axis": 2.0},
        {"axis": -1.0},
        {"axis": True},
        {"data_range": 0},
    ):
        with pytest.raises(UsageError, match=next(iter(options))):
            mirror_symmetry(x, **options)
