"""DCT subband similarity: does each frequency of the blocks vary from place to place as in the target?"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from ...errors import UsageError
from ...pair_laws import symmetric_pairs, value_on_equal
from ...pairs import pair_measure
from ...scale.each_pair import each_pair
from ...scale.separable import gaussian_taps, windowed
from ..colour import luma
from ..cosine_transform import cosine_matrix
from ..data_range import positive_range

BLOCK = 8
TAPS = gaussian_taps(3, 1.5)
SPREAD = 1.55  # of the weights over the frequencies
LEAST_WEIGHT = 0.01  # frequencies below it are left out
DC, AC = 1000.0, 300.0  # what keeps the quotients from 0 / 0, on the scale of 255
WORST = 0.05  # the share of blocks that a subband is judged by


def _frequencies() -> tuple[tuple[int, int, float], ...]:
    """(u, v, weight) of the subbands that count, weights of sum 1, the mean's first."""
    every = [
        (u, v, math.exp(-((u + 0.5) ** 2 + (v + 0.5) ** 2) / (2 * SPREAD**2)))
        for u in range(BLOCK)
        for v in range(BLOCK)
    ]
    kept = [entry for entry in every if entry[2] >= LEAST_WEIGHT]
    total = sum(weight for _, _, weight in kept)
    return tuple((u, v, weight / total) for u, v, weight in kept)


FREQUENCIES = _frequencies()
LOWEST = 1 + max(u for u, _, _ in FREQUENCIES)


def _dss_map(x: Tensor, y: Tensor, *, data_range: float) -> Tensor:
    _large_enough(x)
    spread, pattern = _similarities(x, y, scale=255.0 / positive_range(data_range))
    local = torch.cat([spread[:, :1] * pattern, spread[:, 1:]], 1)
    return torch.einsum("bkhw,k->bhw", local, _weights(local))


@pair_measure(
    domain="images",
    best="max",
    lower=-1.0,
    upper=1.0,
    laws=[symmetric_pairs, value_on_equal(1.0)],
    map=_dss_map,
    reference="Balanov, Schwartz, Moshe and Peleg 2015, IEEE ICIP",
)
def dss(x: Tensor, y: Tensor, *, data_range: float = 1.0) -> Tensor:
    r"""DCT subband similarity, for each pair.

    The coefficients of frequency (u, v) of all 8 x 8 blocks are an image of H / 8 x W / 8, a subband. With its
    variances and covariance under a Gaussian of 3 x 3 blocks and deviation 1.5, zeros beyond the border, on values of
    0 to 255,

    $$ s_{uv} = \operatorname{worst}_{5\%}\, \frac{2 \sigma_x \sigma_y + C}{\sigma_x^2 + \sigma_y^2 + C}, \qquad
       \mathrm{DSS} = \sum_{uv} w_{uv} s_{uv}, \quad
       w_{uv} \propto e^{-((u + 1/2)^2 + (v + 1/2)^2) / (2 \cdot 1.55^2)} $$

    with C = 300, and for the blocks' means, (0, 0), C = 1000 and a second factor, the worst 5% of
    $(\sigma_{xy} + C) / (\sigma_x \sigma_y + C)$. The worst 5% are the mean of the smallest such share of the blocks'
    values, at least one. Subbands whose weight is below 1% of a unit before scaling are left out.

    Args:
        x: (B, 1 or 3, H, W) images, grey or RGB, of which the brightness 0.299 R + 0.587 G + 0.114 B is taken.
        y: the targets.
        data_range: the difference between the largest and the smallest value a pixel can have: 1 or 255.

    Returns:
        (B,) at most 1, which equal images have; below 0 only where brightness is the target's negative; higher is
        better. `dss.map` gives the weighted similarity of each block, (B, H // 8, W // 8), before the worst are chosen:
        its mean is larger than the value.

    Raises:
        UsageError: images of less than 8 pixels a side, other than 1 or 3 channels, a data range that is not above
            zero.

    Complexity: O(B C H W), a sixth of it for the transform of the 5 lowest of 8 frequencies; the memory of a few
    pairs.

    FAQ:
        *Which equals what?* piq's `dss`, down to rows and columns that fill no block, which are left out. With 10
        blocks or fewer piq takes the mean of no block, NaN; here it is of the worst one.

        *Ties among the worst?* The value does not depend on which of equal values are taken; the gradient goes to
        as many of them as count.

        *The gradient on flat blocks?* Finite. A standard deviation has no slope at 0, and 0 is taken for it.
    """
    _large_enough(x)
    return each_pair(partial(_dss, scale=255.0 / positive_range(data_range)), x, y)


def _dss(x: Tensor, y: Tensor, *, scale: float) -> Tensor:
    spread, pattern = _similarities(x, y, scale=scale)
    blocks = spread.shape[-2] * spread.shape[-1]
    count = max(1, round(WORST * blocks))
    both = torch.cat([spread, pattern], 1).flatten(2)
    worst = both.topk(count, largest=False, sorted=False).values.mean(2)
    each = torch.cat([worst[:, :1] * worst[:, -1:], worst[:, 1:-1]], 1)
    # rounding may take equal images beyond 1
    return (each * _weights(each)).sum(1).clamp_max(1.0)


def _similarities(x: Tensor, y: Tensor, *, scale: float) -> tuple[Tensor, Tensor]:
    """How alike the spread is in each subband, (B, K, h, w), and the pattern of the blocks' means, (B, 1, h, w)."""
    a, b = _subbands(luma(x) * scale), _subbands(luma(y) * scale)
    # zeros beyond the border belong to the definition, so that nothing may be subtracted first: in single precision
    # the variance of bright blocks' means, a 64th of the pixels, would be all rounding
    lowest = torch.stack([a[:, :1], b[:, :1]]).to(torch.float64)
    covariance = _around(lowest[0] * lowest[1]) - _around(lowest[0]) * _around(lowest[1])
    others = torch.stack([a[:, 1:], b[:, 1:]])
    var_a, var_b = torch.cat([_variances(lowest).to(a.dtype), _variances(others)], 2)
    product = var_a * var_b
    some = product > 0
    root = torch.where(some, torch.where(some, product, 1.0).sqrt(), 0.0)
    constants = torch.full_like(root[:1, :, :1, :1], AC)
    constants[:, :1] = DC
    spread = (2 * root + constants) / (var_a + var_b + constants)
    return spread, (covariance.to(a.dtype) + DC) / (root[:, :1] + DC)


def _variances(bands: Tensor) -> Tensor:
    return (_around(bands.square()) - _around(bands).square()).relu()


def _around(bands: Tensor) -> Tensor:
    """Weighted means of 3 x 3 blocks, zeros beyond the border."""
    return windowed(functional.pad(bands, (1, 1, 1, 1)), TAPS)


def _subbands(grey: Tensor) -> Tensor:
    """(B, 1, H, W) -> (B, K, H // 8, W // 8), the subbands of `FREQUENCIES`."""
    down, across = grey.shape[-2] // BLOCK, grey.shape[-1] // BLOCK
    whole = grey[:, 0, : down * BLOCK, : across * BLOCK]
    matrix = cosine_matrix(BLOCK, grey)[:LOWEST]
    bands = matrix @ whole.reshape(-1, down, BLOCK, across * BLOCK)
    blocks = bands.reshape(-1, down, LOWEST, across, BLOCK) @ matrix.T
    return torch.stack([blocks[:, :, u, :, v] for u, v, _ in FREQUENCIES], 1)


def _weights(like: Tensor) -> Tensor:
    return like.new_tensor([weight for _, _, weight in FREQUENCIES])


def _large_enough(x: Tensor) -> None:
    if min(x.shape[-2:]) < BLOCK:
        raise UsageError(
            f"x: expected images of at least {BLOCK} x {BLOCK} pixels, one block, got {x.shape[-2]} x {x.shape[-1]}"
        )
