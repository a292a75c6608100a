"""Resizing: the definition of antialiased bicubic, and the two implementations against it and each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("PIL")

from assay.features.resize import resize_array, resize_tensor


def keys(t, a=-0.5):
    t = np.abs(t)
    near = (a + 2) * t**3 - (a + 3) * t**2 + 1
    far = a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))


def matrix(inputs, outputs):
    """Rows of weights from the definition: centres of output pixels, the kernel widened when shrinking."""
    scale = inputs / outputs
    widen = max(scale, 1.0)
    centres = (np.arange(outputs) + 0.5) * scale
    weights = keys((np.arange(inputs)[None] + 0.5 - centres[:, None]) / widen)
    return weights / weights.sum(1, keepdims=True)


@pytest.mark.parametrize(
    "height,width,size", [(64, 50, 17), (28, 28, 224), (300, 257, 224), (5, 9, 8), (1, 1, 4)]
)
def test_both_forms_are_the_definition(height, width, size):
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    rows, columns = matrix(height, size), matrix(width, size)
    expected = rows @ image.transpose(2, 0, 1).astype(float) @ columns.T
    np.testing.assert_allclose(resize_array(image, size), expected, atol=255e-5)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    np.testing.assert_allclose(resize_tensor(tensor, size)[0].numpy(), expected, atol=255e-4)


def test_the_right_size_is_left_exactly_as_it_is():
    image = np.random.default_rng(1).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    np.testing.assert_array_equal(resize_array(image, 12), image.transpose(2, 0, 1))
    tensor = torch.rand(2, 3, 12, 12)
    assert resize_tensor(tensor, 12) is tensor
