"""Resizing: the definition of antialiased bicubic, and the two implementations against it and each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("PIL")

from PIL import Image

from assay.errors import UsageError
from assay.features import get_extractor
from assay.features.resize import RESIZES, resize_array, resize_tensor
from assay.features.resized_first import resized_first


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


@pytest.mark.parametrize(
    "height,width,size", [(31, 47, 299), (301, 257, 64), (299, 299, 298), (77, 5, 31), (2, 3, 7)]
)
def test_floats_equal_pillows_bicubic_on_float_channels(height, width, size):
    image = np.random.default_rng(2).integers(0, 256, (height, width, 3), dtype=np.uint8)
    expected = [
        np.asarray(
            Image.fromarray(image[:, :, c].astype(np.float32)).resize((size, size), Image.Resampling.BICUBIC)
        )
        for c in range(3)
    ]
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    np.testing.assert_allclose(resize_array(image, size), expected, atol=255e-7)
    np.testing.assert_allclose(resize_tensor(tensor, size)[0].numpy(), expected, atol=255e-4)


@pytest.mark.parametrize("height,width,size", [(31, 47, 64), (301, 257, 64), (64, 64, 64), (1, 5, 3)])
def test_legacy_pytorch_is_interpolate(height, width, size):
    image = np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    expected = torch.nn.functional.interpolate(
        tensor, size=(size, size), mode="bilinear", align_corners=False
    )[0]
    rule = RESIZES["legacy-pytorch"]
    np.testing.assert_allclose(rule.array(image, size), expected, atol=1e-3)
    np.testing.assert_allclose(rule.tensor(tensor, size)[0], expected, atol=1e-3)


@pytest.mark.parametrize("height,width,size", [(31, 47, 64), (301, 257, 64), (32, 32, 299), (1, 5, 3)])
def test_legacy_tensorflow_is_the_corner_grid(height, width, size):
    """Against the definition: output i lies at i * inputs / outputs, between the pixel there and the next."""
    image = np.random.default_rng(4).integers(0, 256, (height, width, 3), dtype=np.uint8)

    def matrix_of(inputs):
        weights = np.zeros((size, inputs))
        for i in range(size):
            at = i * inputs / size
            low = int(at)
            weights[i, low] += 1 - (at - low)
            weights[i, min(low + 1, inputs - 1)] += at - low
        return weights

    expected = matrix_of(height) @ image.transpose(2, 0, 1).astype(float) @ matrix_of(width).T
    rule = RESIZES["legacy-tensorflow"]
    np.testing.assert_allclose(rule.array(image, size), expected, atol=5e-3)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].double().requires_grad_()
    out = rule.tensor(tensor, size)
    np.testing.assert_allclose(out[0].detach(), expected, atol=5e-3)
    out.sum().backward()
    assert tensor.grad.sum().item() == pytest.approx(3 * size * size, rel=1e-5)


def test_rules_on_bytes_are_pillows_own():
    image = np.random.default_rng(5).integers(0, 256, (50, 81, 3), dtype=np.uint8)
    for name, filter_ in (("bilinear", Image.Resampling.BILINEAR), ("bicubic", Image.Resampling.BICUBIC)):
        expected = np.asarray(Image.fromarray(image).resize((24, 24), filter_)).transpose(2, 0, 1)
        np.testing.assert_array_equal(RESIZES[f"legacy-pil-{name}"].array(image, 24), expected)
        assert RESIZES[f"legacy-pil-{name}"].tensor is None


@pytest.mark.parametrize("height,width,new", [(50, 81, (38, 24)), (81, 50, (24, 38)), (24, 30, (30, 24))])
def test_short_side_then_central_square(height, width, new):
    image = np.random.default_rng(6).integers(0, 256, (height, width, 3), dtype=np.uint8)
    whole = np.asarray(Image.fromarray(image).resize(new, Image.Resampling.BICUBIC))
    top, left = round((whole.shape[0] - 24) / 2), round((whole.shape[1] - 24) / 2)
    expected = whole[top : top + 24, left : left + 24].transpose(2, 0, 1)
    np.testing.assert_array_equal(RESIZES["legacy-pil-short-side"].array(image, 24), expected)


@pytest.mark.parametrize("name", RESIZES)
def test_every_rule_gives_float32_of_the_size(name):
    image = np.random.default_rng(7).integers(0, 256, (9, 13, 3), dtype=np.uint8)
    found = RESIZES[name].array(image, 11)
    assert found.shape == (3, 11, 11) and found.dtype == np.float32 and found.flags["C_CONTIGUOUS"]
    assert found.min() >= 0 and found.max() <= 255
    flat = np.full((7, 5, 3), 93, np.uint8)
    np.testing.assert_allclose(RESIZES[name].array(flat, 11), 93, atol=1e-4)


def test_clean_clips_what_rings():
    edge = np.zeros((8, 8, 3), np.uint8)
    edge[:, 4:] = 255
    assert resize_array(edge, 32).max() > 256 and RESIZES["clean"].array(edge, 32).max() == 255


def test_sets_of_different_sizes_come_to_one():
    plain = get_extractor("pixels", device="cpu")
    small = resized_first(plain, 16)
    rng = np.random.default_rng(8)
    same, other = (rng.integers(0, 256, s, dtype=np.uint8) for s in ((16, 16, 3), (40, 23, 3)))
    np.testing.assert_array_equal(small.transform(same), plain.transform(same))
    found = small.transform(other)
    expected = np.clip(resize_array(other, 16), 0, 255) / 255
    assert np.abs(found - expected).max() <= 0.501 / 255 and np.allclose(
        found * 255, np.rint(found * 255), atol=1e-4
    )
    x = torch.from_numpy(other).permute(2, 0, 1)[None].float() / 255
    assert (small.torch_module()(x).view(3, 16, 16) - torch.from_numpy(expected)).abs().max() <= 1e-4
    assert (
        small.name == "pixels@16"
        and small.fingerprint != resized_first(plain, 17).fingerprint != plain.fingerprint
    )
    assert get_extractor("pixels", device="cpu", size=16).fingerprint == small.fingerprint
    for wrong in (0, 1.5, True, 5000):
        with pytest.raises(UsageError, match="size must be a whole number from 1 to 4096"):
            resized_first(plain, wrong)
