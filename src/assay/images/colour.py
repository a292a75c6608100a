"""What colour is a pixel in the terms a definition asks for?

RGB here is what image files hold (sRGB, gamma included), channels on axis 1, in the order red, green, blue.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import UsageError
from ..scale.kept import kept

Matrix = tuple[tuple[float, float, float], ...]

# ITU-R BT.601 luma; also the first row of NTSC's YIQ
LUMA: Matrix = ((0.299, 0.587, 0.114),)

# to four digits, as by piq
YIQ: Matrix = (*LUMA, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))

# to three digits, as in the authors' code of FSIM and HaarPSI: up to 0.0014 of the range away from the above
YIQ_THREE_DIGITS: Matrix = (*LUMA, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))

# Geusebroek et al. 2001, "Color invariance": L is brightness, M and N oppose yellow to blue and red to green
LMN: Matrix = ((0.06, 0.63, 0.27), (0.30, 0.04, -0.35), (0.34, -0.60, 0.17))

# linear sRGB to CIE XYZ under D65
XYZ: Matrix = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)

D50 = (0.9642, 1.0, 0.8251)
D65 = (0.95047, 1.0, 1.08883)

# below it, hue is noise and the square of the chroma underflows in single precision
NO_CHROMA = 1e-18


def grey_or_rgb(x: Tensor) -> None:
    """Refuse images of other than one or three channels."""
    if x.shape[1] not in (1, 3):
        raise UsageError(
            f"x: expected images of 1 (grey) or 3 (RGB) channels, got {x.shape[1]}; choose three of them, or give "
            "each channel as a grey image of its own: x.reshape(-1, 1, H, W)"
        )


def rgb_only(x: Tensor) -> None:
    """Refuse images of other than three channels."""
    if x.shape[1] != 3:
        advice = "repeat a grey image: x.expand(-1, 3, -1, -1)" if x.shape[1] == 1 else "choose three of them"
        raise UsageError(f"x: expected images of 3 channels (RGB), got {x.shape[1]}; {advice}")


def in_colours(x: Tensor, matrix: Matrix) -> Tensor:
    """Linear combinations of the three channels, one a row of the matrix: (B, 3, H, W) -> (B, rows, H, W)."""
    product = _matrix(matrix, x.dtype, str(x.device)) @ x.flatten(2)
    return product.reshape(x.shape[0], len(matrix), *x.shape[2:])


def luma(x: Tensor) -> Tensor:
    """Brightness 0.299 R + 0.587 G + 0.114 B of RGB images, grey images as they are: (B, 1 or 3, H, W) -> (B, 1, H, W).

    Raises:
        UsageError: another number of channels.
    """
    grey_or_rgb(x)
    return x if x.shape[1] == 1 else in_colours(x, LUMA)


def rgb_to_yiq(x: Tensor) -> Tensor:
    """NTSC's brightness Y and colour differences I, Q, in the units of x: (B, 3, H, W) -> (B, 3, H, W)."""
    rgb_only(x)
    return in_colours(x, YIQ)


def rgb_to_lmn(x: Tensor) -> Tensor:
    """Brightness L and opponent colours M, N, in the units of x: (B, 3, H, W) -> (B, 3, H, W)."""
    rgb_only(x)
    return in_colours(x, LMN)


def rgb_to_lab(x: Tensor, white: tuple[float, float, float] = D65) -> Tensor:
    """CIE L*a*b* of sRGB images in [0, 1]: (B, 3, H, W) -> (B, 3, H, W), L* in [0, 100].

    Args:
        x: sRGB, below 0 continued as a straight line.
        white: XYZ of the reference white. D65 is sRGB's own, under which grey has a* = b* = 0.
    """
    rgb_only(x)
    # each branch is fed only what it is defined on: a power's slope at 0 would turn a zero weight into NaN
    dark = x <= 0.04045
    linear = torch.where(dark, x / 12.92, ((torch.where(dark, 1.0, x) + 0.055) / 1.055) ** 2.4)
    relative = in_colours(
        linear, tuple((a / w, b / w, c / w) for (a, b, c), w in zip(XYZ, white, strict=True))
    )
    low = relative <= 216 / 24389
    root = torch.where(low, (24389 / 27 * relative + 16) / 116, torch.where(low, 1.0, relative) ** (1 / 3))
    return in_colours(
        root, ((0.0, 116.0, 0.0), (500.0, -500.0, 0.0), (0.0, 200.0, -200.0))
    ) - _lightness_offset(root.dtype, str(root.device))


def hsv_cone(x: Tensor) -> Tensor:
    """HSV without its seam: (S V cos H, S V sin H, V) of RGB images, in the units of x: (B, 3, H, W) -> (B, 3, H, W).

    The hue is an angle, undefined for grey, and jumps from 360 to 0 degrees; its cone coordinates are continuous
    everywhere. At grey their gradient is that of 0, 0 and the mean of the channels that share the maximum.
    """
    rgb_only(x)
    value, low = x.amax(1, keepdim=True), x.amin(1, keepdim=True)
    chroma = value - low
    coloured = chroma > NO_CHROMA
    safe = torch.where(coloured, chroma, 1.0)
    red, green, blue = x[:, :1], x[:, 1:2], x[:, 2:]
    sixth = torch.where(
        red == value,
        (green - blue) / safe,
        torch.where(green == value, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    angle = torch.where(coloured, sixth, 0.0) * (torch.pi / 3)
    shown = torch.where(coloured, chroma, 0.0)
    return torch.cat((shown * angle.cos(), shown * angle.sin(), value), 1)


@kept(64)
def _matrix(matrix: Matrix, dtype: torch.dtype, device: str) -> Tensor:
    return torch.tensor(matrix, dtype=dtype, device=device)


@kept(16)
def _lightness_offset(dtype: torch.dtype, device: str) -> Tensor:
    return torch.tensor([16.0, 0.0, 0.0], dtype=dtype, device=device)[:, None, None]
