"""Is the left half the right half, reversed?"""

from __future__ import annotations

from torch import Tensor

from ...errors import UsageError
from ...pair_laws import map_means_value
from ...pairs import pair_measure
from ..data_range import positive_range
from ..option_values import is_whole


def _mirror_map(x: Tensor, *, axis: int, data_range: float) -> Tensor:
    return (x - x.flip(_image_axis(axis))).abs().mean(1) / positive_range(data_range)


@pair_measure(
    domain="images",
    best="min",
    lower=0.0,
    upper=1.0,
    laws=[map_means_value],
    map=_mirror_map,
    reference="Huang, Zhang, Li and He 2017, arXiv:1704.04086 (the symmetry loss of TP-GAN)",
)
def mirror_symmetry(x: Tensor, *, axis: int = -1, data_range: float = 1.0) -> Tensor:
    r"""Mean absolute difference between an image and its mirror image, for each image.

    $$ S = \frac{1}{C H (W / 2)\, R} \sum_{c,\, i,\, j < W / 2} |x_{cij} - x_{c, i, W - 1 - j}| $$

    The middle column of an odd width mirrors itself: it adds nothing to the sum and half a column to W / 2, so that
    for every width S is the mean of |x - mirrored x| / R over all pixels.

    Args:
        x: (B, C, H, W) images, any number of channels.
        axis: which axis is reversed: -1 holds left against right, -2 top against bottom.
        data_range: R, the difference between the largest and the smallest value a pixel can have: 1 or 255.

    Returns:
        (B,) in [0, 1]; 0 exactly for images that are their own mirror image; smaller is better.
        `mirror_symmetry.map` gives |x - mirrored x| / R at each pixel, the mean over channels, (B, H, W): itself
        symmetric.

    Raises:
        UsageError: another axis than the image's two, a data range that is not above zero.

    Complexity: O(B C H W).

    FAQ:
        *Of feature maps, or of a Laplacian?* Any (B, C, H, W) tensor can be given; the published loss is also taken of
        the image's Laplacian, where a light from one side counts for less.

        *The gradient of a symmetric image?* 0: the absolute value has none at 0.
    """
    along = _image_axis(axis)
    scale = positive_range(data_range) * x[0].numel() / 2
    half = x.shape[along] // 2
    if not half:
        return (x * 0.0).sum((1, 2, 3))
    first, last = x.narrow(along, 0, half), x.narrow(along, x.shape[along] - half, half)
    return (first - last.flip(along)).abs().sum((1, 2, 3)) / scale


def _image_axis(axis: int) -> int:
    if not is_whole(axis) or axis not in (-1, -2, 2, 3):
        raise UsageError(f"axis: expected -1 (left against right) or -2 (top against bottom), got {axis!r}")
    return axis - 4 if axis > 0 else axis
