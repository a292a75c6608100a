"""Spaces in which images are compared instead of that of their red, green and blue."""

from __future__ import annotations

import torch
from torch import Tensor

from ...errors import UsageError
from ..colour import in_colours, rgb_only

STUDIO_LUMA = ((65.481 / 255, 128.553 / 255, 24.966 / 255),)
YCBCR = (
    (0.299, 0.587, 0.114),
    (-0.168735892, -0.331264108, 0.5),
    (0.5, -0.418687589, -0.081312411),
)


def studio_luma(images: Tensor) -> Tensor:
    r"""Luma in studio range, on which super-resolution reports its PSNR: (B, 3, H, W) in [0, 1] -> (B, 1, H, W).

    $$ Y = \frac{65.481 R + 128.553 G + 24.966 B + 16}{255} $$

    from 16/255 for black to 235/255 for white: ITU-R BT.601 as MATLAB's `rgb2ycbcr` has it, not rounded to bytes.

    Raises:
        UsageError: images of other than three channels.
    """
    rgb_only(images)
    return in_colours(images, STUDIO_LUMA) + 16 / 255


def ycbcr(images: Tensor) -> Tensor:
    """Luma and chroma in full range, as JPEG has them: (B, 3, H, W) in [0, 1] -> (B, 3, H, W) in [0, 1], grey at 0.5.

    Raises:
        UsageError: images of other than three channels.
    """
    rgb_only(images)
    luma, chroma = in_colours(images, YCBCR).split([1, 2], dim=1)  # type: ignore[no-untyped-call]
    return torch.cat((luma, chroma + 0.5), dim=1)


def haar(images: Tensor) -> Tensor:
    """One level of the orthonormal Haar wavelet transform: (B, C, H, W) -> (B, 4 C, H / 2, W / 2).

    Bands are low pass, then differences across columns, rows and both, each of all channels. Being orthonormal it
    keeps sums of squares: squared errors stay the same, absolute ones do not.

    Raises:
        UsageError: an odd height or width.
    """
    height, width = images.shape[2:]
    if height % 2 or width % 2:
        raise UsageError(
            f"haar: expected an even height and width, got {height} x {width}; crop a row or column"
        )
    a, b = images[..., ::2, ::2], images[..., ::2, 1::2]
    c, d = images[..., 1::2, ::2], images[..., 1::2, 1::2]
    above, below, left, right = a + b, c + d, a - b, c - d
    return torch.cat((above + below, left + right, above - below, left - right), dim=1) / 2
