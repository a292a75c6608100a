"""How much does a place tell an eye that sees both images?"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ...scale.kept import kept
from ...scale.separable import uniform_taps, windowed

NOISE = 0.4  # variance of the noise in the eye, on the scale of 255
FLAT = 1e-15  # variances below it are none
TINY = 1e-12  # what keeps a band of zeros invertible
TAPS = uniform_taps(3)


def local_information(x: Tensor, y: Tensor, parent: Tensor | None) -> Tensor:
    r"""Bits that an eye with noise learns at each place from both images, under a Gaussian scale mixture.

    With the 3 x 3 neighbourhood u of a place in the target's band, and its parent in the next coarser band, K values of
    covariance C over the band with eigenvalues $\lambda_k$, $s = u^\top C^{-1} u / K$, and the image's band taken for
    the target's times g with noise of variance v,

    $$ \sum_{k=1}^K \log_2 \Big(1 + \frac{(v + (1 + g^2) n) s \lambda_k + n v}{n^2}\Big) $$

    Args:
        x: (B, H, W) a band of the image.
        y: (B, H, W) that of the target.
        parent: (B, h, w) the target's next coarser band, twice as bright, or None.

    Returns:
        (B, H - 2, W - 2), at least 0.
    """
    mean_x, mean_y, square_x, square_y, product = windowed(torch.stack([x, y, x * x, y * y, x * y]), TAPS)
    var_x, var_y = (square_x - mean_x * mean_x).relu(), (square_y - mean_y * mean_y).relu()
    covariance = product - mean_x * mean_y
    known = var_y >= FLAT
    related = known & (var_x >= FLAT)
    gain = torch.where(related, covariance / torch.where(known, var_y, 1.0), 0.0)
    noise = torch.where(known, (var_x - gain * covariance).relu(), var_x)
    height, width = var_y.shape[-2:]
    around = [y[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    if parent is not None:
        around.append(_enlarged(parent, y.shape[-2], y.shape[-1])[:, 1:-1, 1:-1])
    u = torch.stack(around, 1).flatten(2)
    spread = u @ u.mT / u.shape[2]
    # an image that holds NaN has a value that is none; eigenvalues would refuse the others of the batch with it
    spread = torch.where(spread.isfinite().all(2, keepdim=True).all(1, keepdim=True), spread, 0.0)
    precision = torch.finfo(u.dtype).eps
    # a band that is flat, or one that a fine band determines, has no inverse
    ridge = precision * spread.diagonal(dim1=1, dim2=2).sum(1) + TINY
    inverse = torch.linalg.inv_ex(spread + ridge[:, None, None] * torch.eye(u.shape[1]).to(spread))[0]
    size = (u * (inverse @ u)).mean(1).unflatten(1, (height, width))
    values = torch.linalg.eigvalsh(spread).relu()
    slope = (noise + (1 + gain * gain) * NOISE) * size / NOISE**2
    rest = noise / NOISE
    bits = torch.zeros_like(size)
    for k in range(u.shape[1]):
        bits = bits + torch.log1p(slope * values[:, k, None, None] + rest)
    return bits / 0.6931471805599453


def _enlarged(band: Tensor, height: int, width: int) -> Tensor:
    rows, columns = (
        _enlarging(count, size, band.dtype, str(band.device))
        for count, size in zip(band.shape[-2:], (height, width), strict=True)
    )
    return rows @ band @ columns.mT


@kept(32)
def _enlarging(count: int, size: int, dtype: torch.dtype, device: str) -> Tensor:
    """(size, count): linear interpolation at quarter steps, one step extrapolated at each end, every second value."""
    unit = torch.eye(count, dtype=torch.float64)[None]
    inner = interpolate(unit, size=4 * count - 3, mode="linear", align_corners=False)[0]
    first, last = 2 * inner[:, :1] - inner[:, 1:2], 2 * inner[:, -1:] - inner[:, -2:-1]
    whole = torch.cat([first, inner, last], 1)[:, ::2].T
    return whole[:size].contiguous().to(device=device, dtype=dtype)
