"""The preprocessing in words: what each mode keeps, pads and cuts, and its differentiable form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from assay.errors import UsageError
from assay.features.preprocessing import Preprocessing

SHORTEST = Preprocessing("shortest", (32, 32), (28, 28), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
ALL = [
    SHORTEST,
    replace(SHORTEST, offset="floor"),
    replace(SHORTEST, interpolation="bilinear"),
    replace(SHORTEST, resize="shortest", size=(20, 32)),
    replace(SHORTEST, resize="longest", crop=(32, 32), fill=(10, 200, 90)),
    replace(SHORTEST, resize="squash", crop=None),
    replace(SHORTEST, resize="none", crop=(40, 40)),
    replace(SHORTEST, bytes=False),
]


@pytest.mark.parametrize("preprocessing", ALL, ids=str)
def test_the_differentiable_form_is_the_same_but_for_rounding(preprocessing, sizes, as_tensor):
    """Half a grey level for most pixels and two at edges, in units of the standard deviation."""
    for image in sizes:
        bytes_ = torch.from_numpy(preprocessing.of_array(image))
        x = as_tensor(image).requires_grad_()
        floats = preprocessing.of_tensor(x)[0]
        assert bytes_.shape == floats.shape and bytes_.dtype == torch.float32
        apart = (bytes_ - floats.detach()).abs() * torch.tensor(preprocessing.std)[:, None, None] * 255
        assert apart.max() <= 2.0 and apart.mean() <= 0.5, (image.shape, apart.max(), apart.mean())
        if not preprocessing.bytes:
            assert apart.max() <= 0.03
        floats.square().sum().backward()
        assert x.grad.isfinite().all() and x.grad.abs().sum() > 0


def test_what_is_cut_and_what_is_filled():
    image = np.zeros((10, 20, 3), np.uint8)
    image[:, 10:] = 255
    keep = Preprocessing("longest", (20, 20), (20, 20), fill=(255, 0, 51))
    out = keep.of_array(image)
    assert out.shape == (3, 20, 20)
    assert (out[0, :5] == 1).all() and (out[1, :5] == 0).all() and (out[2, 15:] == np.float32(0.2)).all()
    assert (out[:, 5:15, :10] == 0).all() and (out[:, 5:15, 10:] == 1).all()
    odd = Preprocessing("none", (0, 0), (9, 17))
    # margins of 1 and 3: halves of a pixel go to the even side here, and down there
    assert (odd.of_array(image)[0, 0] == (np.arange(2, 19) >= 10)).all()
    assert (replace(odd, offset="floor").of_array(image)[0, 0] == (np.arange(1, 18) >= 10)).all()


def test_crop_takes_the_center_or_the_whole_image():
    assert SHORTEST.cropped(None) is SHORTEST and SHORTEST.cropped("center") is SHORTEST
    whole = SHORTEST.cropped("none")
    assert (whole.resize, whole.size, whole.crop, whole.output) == ("squash", (28, 28), None, (28, 28))
    square = whole.cropped("center")
    assert (square.resize, square.size, square.crop) == ("shortest", (28, 28), (28, 28))


def test_lanczos_has_no_gradient_and_wrong_images_are_named():
    with pytest.raises(UsageError, match="Lanczos"):
        replace(SHORTEST, interpolation="lanczos").of_tensor(torch.rand(1, 3, 50, 50))
    for wrong in (torch.zeros(3, 8, 8), torch.zeros(1, 1, 8, 8), torch.zeros(1, 3, 8, 8).byte()):
        with pytest.raises(UsageError, match=r"\(B, 3, H, W\) with values in \[0, 1\], not torch"):
            SHORTEST.of_tensor(wrong)
