"""Natural scene statistics: how the locally normalised brightness of an image is distributed."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from ...errors import UsageError
from ...scale.separable import gaussian_taps, windowed
from ..colour import luma
from ..data_range import positive_range
from ..option_values import true_or_false
from .generalised_gaussian import shape_of_ratio
from .half_size import half_size_sharp, half_size_smooth

Convention = Literal["matlab", "cpp"]

TAPS = gaussian_taps(7, 7 / 6)
REACH = 3
SMALLEST = 16
# rows and columns to the neighbour: to the right, below, and on the two diagonals
SHIFTS = ((0, 1), (1, 0), (1, 1), (-1, 1))


def brisque_features(
    images: Tensor, *, data_range: float = 1.0, convention: Convention = "matlab", rounded: bool = False
) -> Tensor:
    r"""The 36 natural scene statistics that BRISQUE judges an image by.

    On a scale of 0 to 255, with the local mean and deviation $\mu, \sigma$ under a 7 x 7 Gaussian window of deviation
    7/6,

    $$ \hat I = \frac{I - \mu}{\sigma + 1} $$

    At each of two scales, the second of half the size, come 18 numbers:

    | features | of | fitted by their moments |
    |---|---|---|
    | 0, 1 | $\hat I$ | shape and variance of a generalised Gaussian |
    | 2-5 | $\hat I$ times its neighbour to the right | shape, mean, left and right variance of an asymmetric one |
    | 6-9, 10-13, 14-17 | below, and on the diagonals | the same |

    | convention | beyond the border | neighbours over the border | features 0, 1 | half the size |
    |---|---|---|---|---|
    | "matlab" | zeros | from the other side | a symmetric fit | bicubic, filtered |
    | "cpp" | the edge repeated | none | an asymmetric fit, its mean variance | bicubic, not filtered |

    Args:
        images: (B, 1 or 3, H, W) in [0, data_range], at least 16 x 16. Of RGB the luma is taken.
        data_range: the value of white.
        convention: of the authors' MATLAB program, or of their C++ program, as OpenCV carries it on.
        rounded: whether the luma is rounded to whole numbers of 0 to 255, as it is where an 8-bit image is turned
            to grey; the gradient is that without rounding.

    Returns:
        (B, 36), of the images' precision, float32 for whole numbers; worked in float64.

    Raises:
        UsageError: images of another shape or smaller, a data range that is not above zero, another convention,
            `rounded` neither True nor False.

    Complexity: O(H W) time and memory.

    FAQ:
        *How far from the published programs?* Theirs take the shape from a table in steps of 0.001, here the moment
        equation is solved: shapes differ by less than 0.001, all else follows. That is what makes the gradient exist.

        *Flat regions?* There the normalised brightness is 0, and a product of zeros is neither to the left nor to the
        right. The published programs count what rounding leaves of those zeros, so that saturated skies change their
        variances at random; both agree on images without exactly flat windows.

        *A black image?* Has no spread: variances and means are 0, the shapes 10, the largest, and its gradient is 0.

        *Odd sides?* MATLAB's half of 301 is 151, the C++ program's 150, made there with slightly shifted samples,
        here without the last row or column.
    """
    white = positive_range(data_range)
    true_or_false(rounded, "rounded")
    if convention not in ("matlab", "cpp"):
        raise UsageError(f'convention: expected "matlab" or "cpp", got {convention!r}')
    if (
        not isinstance(images, Tensor)
        or images.ndim != 4
        or images.is_complex()
        or images.dtype == torch.bool
    ):
        shown = (
            f"{images.dtype} {tuple(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
        )
        raise UsageError(
            f"images: expected a tensor (B, 1 or 3, H, W) of values in [0, data_range], got {shown}"
        )
    if min(images.shape[2:]) < SMALLEST:
        raise UsageError(
            f"images: {images.shape[2]} x {images.shape[3]} is too small, expected at least {SMALLEST} x {SMALLEST}"
        )
    # the model multiplies what rounding does to a feature by hundreds
    grey = luma(images.to(torch.float64))[:, 0] * (255.0 / white)
    if rounded:
        grey = grey + (grey.round() - grey).detach()
    half = half_size_smooth(grey) if convention == "matlab" else half_size_sharp(grey)
    features = torch.cat([_statistics(grey, convention), _statistics(half, convention)], 1)
    return features.to(images.dtype if images.is_floating_point() else torch.float32)


def normalised(grey: Tensor, convention: Convention) -> Tensor:
    """Brightness (B, H, W) of 0 to 255 less its local mean, over its local deviation plus 1."""
    both = torch.stack([grey, grey.square()], 1)
    mode = "constant" if convention == "matlab" else "replicate"
    mean, square = windowed(functional.pad(both, (REACH,) * 4, mode=mode), TAPS).unbind(1)
    variance = square - mean.square()
    there = variance > 0
    deviation = torch.where(there, torch.where(there, variance, 1.0).sqrt(), 0.0)
    difference = grey - mean
    # in a flat window it is 0, and what arithmetic leaves of that has no sign that means anything
    flat = difference.abs() <= 16 * torch.finfo(grey.dtype).eps * 255
    return difference.masked_fill(flat, 0.0) / (deviation + 1)


def _statistics(grey: Tensor, convention: Convention) -> Tensor:
    """(B, 18)."""
    values = normalised(grey, convention)
    count = grey.shape[1] * grey.shape[2]
    if convention == "matlab":
        found = [_symmetric(values)]
        found += [_asymmetric(values * values.roll(shift, (1, 2)), count) for shift in SHIFTS]
        return torch.cat(found, 1)
    shape, _, left, right = _asymmetric(values, count).unbind(1)
    found = [torch.stack([shape, (left + right) / 2], 1)]
    found += [_asymmetric(_neighbours(values, *shift), count) for shift in SHIFTS]
    return torch.cat(found, 1)


def _neighbours(x: Tensor, down: int, right: int) -> Tensor:
    """Every value times the one `down` rows and `right` columns from it, where there is one."""
    rows, columns = x.shape[1] - abs(down), x.shape[2] - right
    first, second = max(0, -down), max(0, down)
    return x[:, first : first + rows, :columns] * x[:, second : second + rows, right:]


def _symmetric(x: Tensor) -> Tensor:
    """Shape and variance, (B, 2)."""
    square, size = x.square().mean((1, 2)), x.abs().mean((1, 2))
    return torch.stack([_shape(square, size, torch.ones_like(size)), square], 1)


def _asymmetric(x: Tensor, count: int) -> Tensor:
    """Shape, mean, left and right variance, (B, 4); what is missing of `count` values is 0."""
    below, above = x.clamp_max(0), x.clamp_min(0)
    squares_left, squares_right = below.square().sum((1, 2)), above.square().sum((1, 2))
    left = squares_left / (x < 0).sum((1, 2)).clamp_min(1)
    right = squares_right / (x > 0).sum((1, 2)).clamp_min(1)
    low, high = _root(left), _root(right)
    sum_of_squares = left + right
    # Lasmar et al.'s correction for the sides' ratio, symmetric in them, so that a side may be 0
    sides = (low * left + high * right) * (low + high)
    there = sum_of_squares > 0
    correction = torch.where(there, sides, 1.0) / torch.where(there, sum_of_squares, 1.0).square()
    size = (above.sum((1, 2)) - below.sum((1, 2))) / count
    shape = _shape((squares_left + squares_right) / count, size, correction)
    inverse = 1 / shape
    spread = torch.lgamma(2 * inverse) - (torch.lgamma(inverse) + torch.lgamma(3 * inverse)) / 2
    return torch.stack([shape, (high - low) * spread.exp(), left, right], 1)


def _shape(square: Tensor, size: Tensor, correction: Tensor) -> Tensor:
    """The shape with E[x^2] / (E[|x|]^2 correction) = Gamma(1/a) Gamma(3/a) / Gamma(2/a)^2."""
    there = size > 0
    ratio = torch.where(there, square, 1.0).log() - 2 * torch.where(there, size, 1.0).log() - correction.log()
    return shape_of_ratio(torch.where(there, ratio, 0.0))


def _root(x: Tensor) -> Tensor:
    there = x > 0
    return torch.where(there, torch.where(there, x, 1.0).sqrt(), 0.0)
