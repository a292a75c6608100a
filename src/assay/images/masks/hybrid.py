"""Is a foreground map right pixel by pixel, in its structure, and as a region?"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from ...errors import UsageError
from ...pairs import pair_measure
from ..structure.ssim import ssim
from .overlap import iou

Border = Literal["zeros", "valid"]
EDGE = 5  # half of the window of 11
FLOOR = -100.0  # of logarithms, PyTorch's


def _draw(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Probabilities well within (0, 1), so that a small step stays inside."""
    shape = (n, 1, 24, 24)
    first, second = (torch.rand(shape, dtype=torch.float64, generator=generator) for _ in range(2))
    target = 0.05 + 0.9 * first
    return 0.6 * target + 0.4 * (0.05 + 0.9 * second), target


@pair_measure(
    domain="masks",
    best="min",
    lower=0.0,
    draw=_draw,
    reference="Qin et al. 2019, CVPR (BASNet); Qin et al. 2021, arXiv:2101.04704",
)
def segmentation_hybrid(prediction: Tensor, target: Tensor, *, border: Border = "zeros") -> Tensor:
    r"""BASNet's hybrid loss: binary cross-entropy, structural similarity and intersection over union, summed.

    $$ L = \underbrace{-\frac1N \sum_u \big(t_u \log p_u + (1 - t_u) \log (1 - p_u)\big)}_{\mathrm{BCE}}
           + (1 - \mathrm{SSIM}(p, t)) + (1 - \mathrm{IoU}(p, t)) $$

    The first sees pixels, the second the structure around boundaries (Gaussian windows of 11 x 11, sigma 1.5), the
    third the region (`iou`, soft). Logarithms are floored at -100, as in PyTorch's loss.

    Args:
        prediction: (B, C, H, W) probabilities, one channel a class; of logits take the sigmoid.
        target: likewise, truth values or probabilities.
        border: "zeros" pads both with zeros for the structural term, as BASNet's code does, so that every pixel has a
            window; "valid" takes only windows that fit (`assay.images.structure.ssim`).

    Returns:
        (B,) from 0; lower is better. A hard and right prediction has 0, a hard and wrong one about 102. Both empty: 0,
        where BASNet's code has NaN. Gradients are finite; one of a wrong and saturated pixel is large (1e12 / N), which
        half precision cannot hold: give float32, bfloat16, or probabilities away from 0 and 1.

    Raises:
        UsageError: members that are no masks of one shape, or volumes; an unknown `border`; with "valid", images
            smaller than 11 x 11.
        DataError: in `estimate`: values outside [0, 1] or NaN.

    FAQ:
        *Several side outputs?* The published training sums the loss over eight of them, resized to the target. Each is
        a member of its own: add up the objectives.

        *Is the mean over the batch the published value?* Yes: all three terms are means over equal pairs.
    """
    if border not in get_args(Border):
        raise UsageError(f"border: expected 'zeros' or 'valid', got {border!r}")
    if prediction.ndim != 4:
        raise UsageError(
            f"prediction: expected (B, C, H, W), got {tuple(prediction.shape)}: the structural term has no 3-D form; "
            "use dice or iou, or give slices"
        )
    # PyTorch's kernel stops the whole device at a value beyond, and at NaN, which the other terms pass on
    inside, fixed = (masks.nan_to_num(0.5).clamp(0.0, 1.0) for masks in (prediction, target.detach()))
    pixels = functional.binary_cross_entropy(inside, fixed, reduction="none")
    # the kernel's slope by the target is that of logarithms without the floor; beyond [0, 1] the term is as linear
    pixels = pixels + (target - fixed) * (_floored_log(1.0 - inside) - _floored_log(inside))
    pixels = pixels.flatten(1).mean(1)
    padding = (EDGE,) * 4 if border == "zeros" else (0,) * 4
    structure = ssim(functional.pad(prediction, padding), functional.pad(target, padding))
    return pixels + (1.0 - structure) + (1.0 - iou(prediction, target))


def _floored_log(x: Tensor) -> Tensor:
    some = x > 0
    return torch.where(some, torch.where(some, x, 1.0).log(), FLOOR).clamp_min(FLOOR)
