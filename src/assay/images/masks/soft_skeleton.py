"""Is the network of vessels, roads or cracks connected as it should be? In a form that can be trained."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ...errors import UsageError
from ...pair_laws import symmetric_pairs
from ...pairs import pair_measure
from ...scale.each_pair import each_pair
from .class_mean import safe_ratio, smoothing


def soft_skeleton(masks: Tensor, iterations: int = 10) -> Tensor:
    """What openings take away from ever more eroded masks: (B, C, *places) in [0, 1], differentiable.

    Args:
        masks: (B, C, H, W) or (B, C, D, H, W) in [0, 1], or truth values.
        iterations: erosions; at least the largest radius of what is to be thinned, or its core is left out.

    Raises:
        UsageError: other shapes, iterations that are not a whole number from 0 on.
    """
    whole_numbered(iterations)
    if not isinstance(masks, Tensor) or masks.ndim not in (4, 5) or masks.is_complex():
        shown = f"{masks.dtype} {tuple(masks.shape)}" if isinstance(masks, Tensor) else type(masks).__name__
        raise UsageError(f"masks: expected a tensor (B, C, H, W) or (B, C, D, H, W), got {shown}")
    masks = masks if masks.is_floating_point() else masks.to(torch.float32)
    skeleton = None
    for _ in range(iterations + 1):
        eroded = _eroded(masks)
        left = functional.relu(masks - _dilated(eroded))
        skeleton = left if skeleton is None else skeleton + left * (1.0 - skeleton)
        masks = eroded
    assert skeleton is not None
    return skeleton


def whole_numbered(iterations: int) -> None:
    """Refuse a number of iterations that is not a whole number from 0 on."""
    if isinstance(iterations, bool) or not isinstance(iterations, int) or iterations < 0:
        raise UsageError(
            f"iterations: expected a whole number, at least the largest radius in places, got {iterations!r}"
        )


def _eroded(masks: Tensor) -> Tensor:
    """Minima over the cross of a place and its next neighbours along the axes; outside there is nothing to erode."""
    away = -masks
    if masks.ndim == 4:
        along = [functional.max_pool2d(away, k, 1, [n // 2 for n in k]) for k in ((3, 1), (1, 3))]
    else:
        kernels = ((3, 1, 1), (1, 3, 1), (1, 1, 3))
        along = [functional.max_pool3d(away, k, 1, [n // 2 for n in k]) for k in kernels]
    most = along[0]
    for other in along[1:]:
        most = torch.maximum(most, other)
    return -most


def _dilated(masks: Tensor) -> Tensor:
    """Maxima over the square, or cube, of a place and its next neighbours."""
    pool = functional.max_pool2d if masks.ndim == 4 else functional.max_pool3d
    dilated: Tensor = pool(masks, 3, 1, 1)
    return dilated


def _draw(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Masks whose values are apart, so that a small step exchanges no minimum."""
    order = torch.rand(2, n, 1, 256, generator=generator).argsort(3).to(torch.float64)
    first, second = ((order + 0.5) / 256).reshape(2, n, 1, 16, 16)
    return first, second


@pair_measure(
    domain="masks",
    best="max",
    lower=0.0,
    upper=1.0,
    laws=[symmetric_pairs],
    draw=_draw,
    reference="Shit et al. 2021, arXiv:2003.07311",
)
def soft_cldice(prediction: Tensor, target: Tensor, *, iterations: int = 10, smooth: float = 1.0) -> Tensor:
    r"""Centreline Dice by soft skeletons: the differentiable form, a class at a time, then the classes' mean.

    $$ \mathrm{clDice} = \frac{2 T_p T_s}{T_p + T_s}, \qquad
       T_p = \frac{\sum S_p t + s}{\sum S_p + s}, \qquad T_s = \frac{\sum S_t p + s}{\sum S_t + s} $$

    The soft skeleton S of a mask m starts at S_0 = relu(m_0 - open(m_0)) and adds, of every erosion m_k, what an
    opening takes away, S_k = S_{k-1} + (1 - S_{k-1}) relu(m_k - open(m_k)): minima over crosses erode, maxima over
    squares (cubes) dilate. Is the skeleton of the prediction within the target (no false branches), and that of the
    target within the prediction (no gaps)?

    Args:
        prediction: (B, C, H, W) or (B, C, D, H, W), one channel a class: probabilities in [0, 1] or truth values.
        target: likewise.
        iterations: erosions, at least the radius of the widest structure, in places.
        smooth: s, in places.

    Returns:
        (B,) in [0, 1]; higher is better. Both masks empty: 1. One empty: 2 a / (1 + a) with a = s / (s + mass of the
        other's skeleton), which is 0 for s = 0.

    Raises:
        UsageError: members that are no masks of one shape; `iterations` not a whole number from 0 on; `smooth` below 0.
        DataError: in `estimate`: values outside [0, 1] or NaN.

    Complexity: O(iterations) passes over both masks; with a gradient the memory of few pairs' passes.

    FAQ:
        *Is this the paper's loss?* The objective is its negative, so less 1: equal to its repository on one pair
        of one class. There the sums run over the whole batch, and the argument for the iterations is not used: always
        10. MONAI adds 1e-4 below the harmonic mean.

        *Why does a perfect hard mask score 1 and a perfect soft one less?* For probabilities S t is smaller than S.

        *To report?* `cldice` thins hard masks to true skeletons. A soft skeleton has gaps and is thicker than a line:
        values of the two are close, not equal. In training it goes beside `dice`, of which it takes the place of none.
    """
    smooth = smoothing(smooth)
    whole_numbered(iterations)

    def score(p: Tensor, t: Tensor) -> Tensor:
        thin_p, thin_t = soft_skeleton(p, iterations).flatten(2), soft_skeleton(t, iterations).flatten(2)
        within = (thin_p * t.flatten(2)).sum(2) + smooth
        found = (thin_t * p.flatten(2)).sum(2) + smooth
        precision = safe_ratio(within, thin_p.sum(2) + smooth, 1.0)
        recall = safe_ratio(found, thin_t.sum(2) + smooth, 1.0)
        return safe_ratio(2 * precision * recall, precision + recall, 0.0).mean(1)

    return each_pair(score, prediction, target)
