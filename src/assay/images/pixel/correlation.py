"""Do two images rise and fall together, whatever their brightness and contrast?"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from ...errors import UsageError
from ...pair_laws import map_means_value, symmetric_pairs, value_on_equal
from ...pairs import pair_measure

Over = Literal["image", "channel"]

# deviations below so many roundings of the values they come from are rounding themselves
ROUNDINGS = 32


def standardised(z: Tensor, power: Tensor, axes: tuple[int, ...]) -> Tensor:
    """z less its mean over its deviation; 0, with gradient 0, where the deviation is nothing but rounding.

    Args:
        z: (B, C, H, W).
        power: mean square of the values that z was computed from, broadcastable to z's means.
        axes: over which means are taken.
    """
    centred = z - z.mean(axes, keepdim=True)
    variance = centred.square().mean(axes, keepdim=True)
    varies = variance > (ROUNDINGS * torch.finfo(z.dtype).eps) ** 2 * power
    return torch.where(varies, centred * torch.where(varies, variance, 1.0).rsqrt(), 0.0)


def _products(x: Tensor, y: Tensor, over: str) -> Tensor:
    if over not in get_args(Over):
        raise UsageError(f'over: expected "image" or "channel", got {over!r}')
    axes = (1, 2, 3) if over == "image" else (2, 3)
    own = [standardised(z, z.detach().square().mean(axes, keepdim=True), axes) for z in (x, y)]
    return own[0] * own[1]


def _pearson_map(x: Tensor, y: Tensor, *, over: Over) -> Tensor:
    return _products(x, y, over).mean(1)


@pair_measure(
    domain="images",
    best="max",
    lower=-1.0,
    upper=1.0,
    laws=[symmetric_pairs, value_on_equal(1.0), map_means_value],
    map=_pearson_map,
    reference="Pearson 1895; as an objective for restoration: Sun et al. 2024, arXiv:2407.10172",
)
def pearson(x: Tensor, y: Tensor, *, over: Over = "image") -> Tensor:
    r"""Pearson's correlation between the values of two images, for each pair.

    $$ \rho(x, y) = \frac{\sum_k (x_k - \bar x)(y_k - \bar y)}
       {\sqrt{\sum_k (x_k - \bar x)^2 \sum_k (y_k - \bar y)^2}} $$

    over all values of a pair, or within each channel and then the mean over channels.

    Args:
        x: (B, C, H, W) images, any number of channels.
        y: (B, C, H, W) targets.
        over: "image", the default: all values together, so that differences between channels count; "channel": each by
            itself.

    Returns:
        (B,) in [-1, 1]; 1 for equal images, and for images that are brighter or of more contrast; higher is better.
        An image, or channel, that is constant to within rounding correlates with nothing: 0, with gradient 0.
        `pearson.map` gives (B, H, W), the products of standardised values, whose mean is the value.

    Raises:
        UsageError: an unknown `over`.

    Complexity: O(B C H W) time and memory.

    FAQ:
        *The loss (1 - rho) / 2?* Histoformer's. `pearson.objective()` is -rho, which has the same minima and, but for
        the factor 2, the same gradient.

        *Enough by itself?* No: 0.1 y + 0.5 is as good as y. Add a pixel distance.

        *One correlation over a whole data set?* Another quantity: means and variances of all images together, whose
        differences between images then count as agreement. `pearson.estimate` and `pearson.metric` are the mean of the
        pairs' correlations; torchmetrics' PearsonCorrCoef streams the pooled one.
    """
    return _products(x, y, over).mean((1, 2, 3)).clamp(-1.0, 1.0)
