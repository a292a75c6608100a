"""How steep is an image at each pixel, and in which direction?

Derivatives by 3 x 3 operators: a difference of the two neighbours along one axis, a weighted mean of three rows along
the other. The operators differ in the weights, which sum to 1 here or, times 2, to the sums that Sobel published.
"""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor
from torch.nn import functional

from ..errors import UsageError

Operator = Literal["prewitt", "scharr", "sobel"]
Border = Literal["zero", "replicate", "reflect", "none"]

# weights of the outer rows and of the middle one: 2 outer + middle = 1
SMOOTHING: dict[str, tuple[float, float]] = {
    "prewitt": (1 / 3, 1 / 3),
    "scharr": (3 / 16, 10 / 16),
    "sobel": (1 / 4, 2 / 4),
}
_PADDING = {"zero": "constant", "replicate": "replicate", "reflect": "reflect"}

# squares below it count as flat: the root's slope stays finite, and so does its product with what lies behind
FLAT = 1e-24


def gradient_components(x: Tensor, operator: Operator, border: Border = "zero") -> tuple[Tensor, Tensor]:
    """Derivatives along the width and along the height, in units of x over two pixels.

    (B, C, H, W) -> two of (B, C, H, W), or of (B, C, H - 2, W - 2) without a border.

    Args:
        operator: "prewitt" (1, 1, 1) / 3, "scharr" (3, 10, 3) / 16 or "sobel" (1, 2, 1) / 4: the smoothing weights
            across the difference x[k + 1] - x[k - 1]. The integer operators are 3, 16 and 4 times these; kornia's
            normalised Sobel is half.
        border: what lies outside: "zero", copies of the outermost pixel ("replicate"), the image mirrored at it
            ("reflect"), or "none": only pixels with all neighbours.

    Raises:
        UsageError: an unknown operator or border, or images too small for it.
    """
    if operator not in SMOOTHING:
        raise UsageError(f"operator: expected one of {', '.join(SMOOTHING)}, got {operator!r}")
    if border not in get_args(Border):
        raise UsageError(f"border: expected one of {', '.join(get_args(Border))}, got {border!r}")
    need = {"none": 3, "reflect": 2}.get(border, 1)
    if min(x.shape[-2:]) < need:
        raise UsageError(
            f"x: images of {x.shape[-2]} x {x.shape[-1]} are too small for a gradient with border {border!r}, which "
            f"needs {need} pixels a side"
        )
    padded = x if border == "none" else functional.pad(x, (1, 1, 1, 1), mode=_PADDING[border])
    return _across(padded, operator), _down(padded, operator)


def gradient_spread(across: Tensor, down: Tensor, operator: Operator) -> Tensor:
    """The transpose of `gradient_components` with border "zero": two of (..., H, W) -> (..., H, W).

    An operator is odd along its difference and even across it, and zeros outside stay zeros: its transpose is minus
    itself, and what goes back to the image is minus the divergence of (across, down).
    """
    outside = (1, 1, 1, 1)
    spread = _across(functional.pad(across, outside), operator)
    return spread.add_(_down(functional.pad(down, outside), operator)).neg_()


def squared_gradient(x: Tensor, operator: Operator, border: Border = "zero") -> Tensor:
    """The sum of both derivatives' squares, shapes as `gradient_components`; no root, so smooth everywhere."""
    across, down = gradient_components(x, operator, border)
    return across.square() + down.square()


def gradient_magnitude(x: Tensor, operator: Operator, border: Border = "zero") -> Tensor:
    """Steepness, shapes as `gradient_components`; its gradient is 0 where the image is flat (magnitude below 1e-12)."""
    return root(squared_gradient(x, operator, border))


def root(squares: Tensor) -> Tensor:
    """The square root, with slope 0 instead of infinity at 0."""
    return squares.clamp_min(FLAT).sqrt()


def _across(padded: Tensor, operator: Operator) -> Tensor:
    step = padded[..., 2:] - padded[..., :-2]
    outer, middle = SMOOTHING[operator]
    return (step[..., :-2, :] + step[..., 2:, :]).mul_(outer).add_(step[..., 1:-1, :], alpha=middle)


def _down(padded: Tensor, operator: Operator) -> Tensor:
    step = padded[..., 2:, :] - padded[..., :-2, :]
    outer, middle = SMOOTHING[operator]
    return (step[..., :-2] + step[..., 2:]).mul_(outer).add_(step[..., 1:-1], alpha=middle)
