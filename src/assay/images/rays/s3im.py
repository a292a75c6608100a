"""Stochastic structural similarity: structure among rays that are no neighbours."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from ...batch_laws import symmetric
from ...batch_objective import batch_objective
from ...errors import UsageError
from ...scale.kept import kept
from ..data_range import positive_range
from ..option_values import is_whole

SIGMA = 1.5  # of the window


@batch_objective(
    best="max",
    samples=("prediction", "target"),
    lower=-1.0,
    upper=1.0,
    laws=[symmetric],
    exceptions={"order_is_irrelevant": "which rays share a window depends on their places in the batch"},
    reference="Xie et al. 2023, arXiv:2308.07032",
)
def s3im(
    prediction: Tensor,
    target: Tensor,
    *,
    data_range: float = 1.0,
    kernel: int = 4,
    stride: int = 4,
    repeats: int = 10,
    patch_height: int | None = None,
    seed: int = 0,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Structural similarity of a batch of rays laid out as a virtual image, in their own order and in random ones.

    $$ \mathrm{S3IM} = \operatorname{mean}_{\text{windows, channels}}
       \frac{(2 \mu_p \mu_t + C_1)(2 \sigma_{pt} + C_2)}{(\mu_p^2 + \mu_t^2 + C_1)(\sigma_p^2 + \sigma_t^2 + C_2)},
       \qquad C_1 = (0.01 R)^2,\ C_2 = (0.03 R)^2 $$

    over windows of K x K places, every `stride` places, of one image of h rows: the batch in its own order, followed
    by `repeats` - 1 random rearrangements of it, the same for prediction and target, filled row by row. As a loss it is
    1 - S3IM, added to the squared error with a factor.

    Args:
        prediction: (N, C) colours of N rays, or of pixels drawn from anywhere.
        target: (N, C) what they should be.
        data_range: R, the difference between the largest and the smallest value a colour can have: 1 or 255.
        kernel: K. The window is Gaussian, of deviation 1.5 around place K // 2, zeros beyond the border.
        stride: between windows.
        repeats: how often the batch is laid out, once in its own order.
        patch_height: h; the whole number below the square root of N unless given, 64 for the published 4096 rays.
        seed: of the rearrangements, where there is no generator.
        generator: on the CPU, draws new rearrangements at every call.

    Returns:
        A scalar in [-1, 1], 1 for equal colours; higher is better. `.objective()` is minus it, whose gradient is that
        of the published loss.

    Raises:
        UsageError: prediction and target of two shapes, sizes below 1, a kernel that the layout is too small for.

    Complexity: O(N C `repeats`) time and memory for stride = kernel.

    FAQ:
        *Which equals what?* 1 minus the module `S3IM` of the authors' code after `torch.manual_seed(seed)`, with
        patches of h x N / h rays. There too, windows reach from one rearrangement into the next: rows of the layout
        are `repeats` N / h rays long. The authors' window of 4 is centred on its third place, and so is this one.

        *Fixed rearrangements in training?* Rays are drawn at random already: one fixed rearrangement of random rays is
        a random one. Give a generator where the batch is always the same.

        *Rays that do not fill the layout?* The last N repeats mod h places of the last rearrangement are left out.

        *On several processes?* `.objective()` lays out the rays of all of them; a generator must then stand at the
        same state everywhere.

        *The gradient on black or equal colours?* Finite: C_1 and C_2 keep the denominators from zero; at equal colours
        it is 0.
    """
    if prediction.shape != target.shape:
        raise UsageError(
            f"target: expected one colour a ray, the shape of prediction, {tuple(prediction.shape)}, "
            f"got {tuple(target.shape)}"
        )
    for name, value in (("kernel", kernel), ("stride", stride), ("repeats", repeats)):
        if not is_whole(value) or value < 1:
            raise UsageError(f"{name}: expected a whole number of at least 1, got {value!r}")
    if patch_height is not None and (not is_whole(patch_height) or patch_height < 1):
        raise UsageError(
            f"patch_height: expected a whole number of at least 1, or None, got {patch_height!r}"
        )
    rays = len(prediction)
    height = math.isqrt(rays) if patch_height is None else patch_height
    width = rays * repeats // height
    margin = (kernel - 1) // 2
    if min(height, width) + 2 * margin < kernel:
        raise UsageError(
            f"patch_height: {rays} rays laid out {repeats} times in {height} rows do not hold a window of {kernel} x "
            f"{kernel}; give more rays, or another patch_height or kernel"
        )
    order = _order(rays, repeats, seed, generator)[: height * width].to(prediction.device)
    p, t = (
        rows[order].T.reshape(-1, 1, height, width) / positive_range(data_range)
        for rows in (prediction, target)
    )
    window = _window(kernel).to(p)[None, None]
    # as what both factors lack of 1, which no rounding takes beyond it
    images = torch.cat([p, t, p * p + t * t, (p - t).square()])
    moments = functional.conv2d(images, window, stride=stride, padding=margin)
    mean_p, mean_t, squares, difference = moments.chunk(4)
    gap, means = (mean_p - mean_t).square(), mean_p.square() + mean_t.square()
    luminance = 1 - gap / (means + 0.01**2)
    contrast = 1 - (difference - gap).clamp_min(0.0) / (squares - means + 0.03**2)
    return (luminance * contrast).mean()


def _order(rays: int, repeats: int, seed: int, generator: torch.Generator | None) -> Tensor:
    if generator is not None:
        return _drawn(rays, repeats, generator)
    return _seeded(rays, repeats, seed)


@kept(4)
def _seeded(rays: int, repeats: int, seed: int) -> Tensor:
    return _drawn(rays, repeats, torch.Generator().manual_seed(seed))


def _drawn(rays: int, repeats: int, generator: torch.Generator) -> Tensor:
    return torch.cat(
        [torch.arange(rays), *(torch.randperm(rays, generator=generator) for _ in range(repeats - 1))]
    )


def _window(size: int) -> Tensor:
    taps = torch.exp(-(torch.arange(size, dtype=torch.float64) - size // 2).square() / (2 * SIGMA**2))
    return torch.outer(taps, taps) / taps.sum() ** 2
