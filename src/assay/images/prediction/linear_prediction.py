"""How differently are two images predicted, value by value, from the values before?"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ...errors import UsageError
from ...pair_laws import map_means_value, symmetric_pairs, value_on_equal
from ...pairs import pair_measure
from ...scale.each_pair import each_pair
from ...scale.kept import kept
from ..data_range import positive_range
from ..option_values import is_number, is_whole
from .causal_neighbours import places_back

RIDGE = 80 / 127.5  # the authors'
NUDGE = 1e-6  # added to every coefficient, so that none at all has a direction
WORKED = 1 << 20  # numbers in the largest tensor of a step


def _lasi_map(
    x: Tensor, y: Tensor, *, data_range: float, neighbours: int, decay: float, ridge: float
) -> Tensor:
    distances = _checked(x, data_range, neighbours, decay, ridge)
    parts = [distances(a[None], b[None]) for a, b in zip(x, y, strict=True)]
    return torch.cat(parts).mean(2)


def _draw(n: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    x = torch.rand(n, 2, 7, 6, dtype=torch.float64, generator=generator)
    return x, 0.7 * x + 0.3 * torch.rand(x.shape, dtype=torch.float64, generator=generator)


@pair_measure(
    domain="images",
    best="min",
    lower=0.0,
    upper=2.0,
    laws=[symmetric_pairs, value_on_equal(0.0), map_means_value],
    map=_lasi_map,
    draw=_draw,
    reference="Severo, Theis and Balle 2024, arXiv:2310.05986 (LASI)",
)
def linear_prediction_distance(
    x: Tensor,
    y: Tensor,
    *,
    data_range: float = 1.0,
    neighbours: int = 10,
    decay: float = 0.8,
    ridge: float = RIDGE,
) -> Tensor:
    r"""Distance between the linear predictors of every value of two images (LASI), for each pair.

    Values are read row by row, in a row pixel by pixel, in a pixel channel by channel, on a scale of -1 to 1. The
    vector $n_j$ holds the N earlier values nearest to value j, by the sum of the absolute differences of row, column
    and channel, the earlier first among equally near; 0 where there are fewer than N. What predicts value i from its
    neighbours is learnt from all earlier values, the near ones most:

    $$ w_i = \Big(r I + \sum_{j < i} \omega^{|i - j|_1} n_j n_j^\top\Big)^{-1} \sum_{j < i} \omega^{|i - j|_1} x_j n_j,
       \qquad d(x, y) = \operatorname{mean}_i
       \Big| \frac{w_i(x) + \epsilon}{|w_i(x) + \epsilon|} - \frac{w_i(y) + \epsilon}{|w_i(y) + \epsilon|} \Big|_2 $$

    with $\epsilon = 10^{-6}$ added to every coefficient.

    Args:
        x: (B, C, H, W) images, any number of channels.
        y: the targets.
        data_range: the largest value a pixel can have: 1 or 255. Values are mapped from [0, data_range] to [-1, 1].
        neighbours: N.
        decay: omega, in (0, 1].
        ridge: r, above zero: 80 / 127.5 is the authors'.

    Returns:
        (B,) in [0, 2]; 0 for equal images; smaller is better. `linear_prediction_distance.map` gives the mean over
        the channels at each pixel, (B, H, W).

    Raises:
        UsageError: fewer than N + 1 values in an image, a number of neighbours below 1, a decay outside (0, 1], a ridge
            or data range that is not above zero.

    Complexity: O(C H W (N^3 + N^2 (W + C + k))) time for each image, in steps of k rows such that a step holds some
    4 million numbers; the sums over all earlier values are carried from step to step. The backward pass goes through
    each step again.

    FAQ:
        *Which equals what?* `LASI(shape, N).compute_distance` of the authors' package on (H, W, C) arrays of values
        2 x / R - 1, to rounding. On bytes, as its front page calls it, the products of neighbours are formed in bytes
        and wrap around at 256.

        *How does the result depend on the scale of the values?* Through the ridge alone: on values of -1 to 1 it holds
        the coefficients of smooth places back.

        *A flat image?* Every place has a predictor, for the ridge keeps the matrix invertible. Mid-grey is 0 on the
        scale and predicts nothing: all its coefficients are epsilon. Against a black image that is far away, although
        both are flat.

        *The gradient on equal, flat or black images?* Finite; 0 at equal images, where a norm has no slope. Within a
        thousandth of mid-grey the directions turn fast: the slope there is up to 1000 times that elsewhere.
    """
    distances = _checked(x, data_range, neighbours, decay, ridge)
    return each_pair(partial(_mean, distances), x, y)


def _mean(distances: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
    return distances(x, y).mean((1, 2, 3))


def _checked(
    x: Tensor, data_range: float, neighbours: int, decay: float, ridge: float
) -> Callable[[Tensor, Tensor], Tensor]:
    """The function of two batches of images; options and sizes are refused here."""
    scale = 2.0 / positive_range(data_range)
    if not is_whole(neighbours) or neighbours < 1:
        raise UsageError(f"neighbours: expected a whole number of at least 1, got {neighbours!r}")
    if not is_number(decay) or not 0.0 < decay <= 1.0:
        raise UsageError(f"decay: expected a number in (0, 1], got {decay!r}")
    if not is_number(ridge) or not 0.0 < ridge < float("inf"):
        raise UsageError(
            f"ridge: expected a number above 0, got {ridge!r}: flat images have no inverse without it"
        )
    if x[0].numel() <= neighbours:
        raise UsageError(
            f"x: images of {x[0].numel()} values are too small for {neighbours} neighbours; give fewer neighbours"
        )
    return partial(_distances, scale=scale, count=neighbours, decay=decay, ridge=ridge)


def _distances(x: Tensor, y: Tensor, *, scale: float, count: int, decay: float, ridge: float) -> Tensor:
    """(B, C, H, W) -> (B, H, C, W), how far apart the two predictors of each value point."""
    pairs, channels, height, width = x.shape
    # both images in one batch, in reading order
    values = torch.cat([x, y]).permute(0, 2, 3, 1) * scale - 1.0
    entries = count * (count + 1) // 2 + count
    step = max(1, min(WORKED // (2 * pairs * channels * width * entries), 32, height))
    state = values.new_zeros(2 * pairs, 1, channels * width * entries)
    found = []
    for start in range(0, height, step):
        work = partial(
            _step, start=start, rows=min(step, height - start), count=count, decay=decay, ridge=ridge
        )
        if values.requires_grad and torch.is_grad_enabled() and not torch.compiler.is_compiling():
            state, apart = checkpoint(work, values, state, use_reentrant=False, preserve_rng_state=False)
        else:
            state, apart = work(values, state)
        found.append(apart)
    return found[0] if len(found) == 1 else torch.cat(found, 1)


def _step(
    values: Tensor, state: Tensor, *, start: int, rows: int, count: int, decay: float, ridge: float
) -> tuple[Tensor, Tensor]:
    """Some rows' distances, and the sums that the rows below them begin with.

    Args:
        values: (2 B, H, W, C), the first and the second members.
        state: (2 B, 1, C W K), the sums over all rows above as one row, the one before `start`.
    """
    channels, width = values.shape[3], values.shape[2]
    near = _neighbourhoods(values, start, rows, count)
    here = values[:, start : start + rows].transpose(2, 3)[..., None]
    # each product of two neighbours once, and of each with the value: K numbers
    row = torch.cat([near, here], -1)
    products = torch.cat([row[..., k:] * near[..., k : k + 1] for k in range(count)], -1)
    size = products.shape[-1]
    # reading order has three ways to come before: an earlier channel, column or row
    both = _earlier_and_all(channels, decay, values) @ products.flatten(3)
    before, pixels = both.reshape(*both.shape[:3], width, size).chunk(2, 2)
    left, whole = (_earlier_and_all(width, decay, values) @ pixels).chunk(2, 3)
    # the sums of the rows above stand in for one row before these
    lines = torch.cat([state, whole.flatten(2)], 1)
    above = _earlier_and_all(rows + 1, decay, values)[1 : rows + 1] @ lines
    further = torch.pow(decay, torch.arange(rows, -1, -1, dtype=values.dtype, device=values.device))
    carried = further @ lines
    sums = before + left + above.view_as(left)
    spread = sums.flatten(0, -2) @ _unpacked(count, values.dtype, str(values.device))
    matrix = spread[:, : count * count].reshape(-1, count, count)
    matrix = matrix + ridge * torch.eye(count, dtype=values.dtype, device=values.device)
    solved = torch.linalg.solve_ex(matrix, spread[:, count * count :])[0] + NUDGE
    directions = solved / torch.linalg.vector_norm(solved, dim=-1, keepdim=True)
    first, second = directions.view(*left.shape[:-1], count).chunk(2)
    square = (first - second).square().sum(-1)
    differ = square > 0
    apart = torch.where(differ, torch.where(differ, square, 1.0).sqrt(), 0.0)
    return carried[:, None], apart


def _neighbourhoods(values: Tensor, start: int, rows: int, count: int) -> Tensor:
    """(2 B, rows, C, W, N), zeros where there is no neighbour."""
    images, height, width, channels = values.shape
    told = min(height, count + 1)
    device = values.device
    table = places_back(told, width, channels, count, str(device))
    back = table[torch.arange(start, start + rows, device=device).clamp_max(told - 1)]
    place = torch.arange(start * width * channels, (start + rows) * width * channels, device=device)
    index = (place.reshape(rows, width, channels, 1) - back).transpose(1, 2)
    near = values.flatten(1)[:, index.flatten()].reshape(images, rows, channels, width, count)
    return near * (back > 0).transpose(1, 2)


@kept(8)
def _unpacked(count: int, dtype: torch.dtype, device: str) -> Tensor:
    """(K, N^2 + N) of zeros and ones: from each product once to the matrix and the right-hand side."""
    spread = torch.zeros(count * (count + 1) // 2 + count, count * count + count, dtype=dtype)
    entry = 0
    for k in range(count):
        for other in range(k, count + 1):
            places = (count * count + k,) if other == count else (k * count + other, other * count + k)
            for place in places:
                spread[entry, place] = 1.0
            entry += 1
    return spread.to(device)


def _earlier_and_all(size: int, decay: float, like: Tensor) -> Tensor:
    """decay ^ |i - j|, (2 size, size): of the earlier j < i alone, then of all."""
    at = torch.arange(size, dtype=like.dtype, device=like.device)
    powers = torch.pow(decay, (at[:, None] - at).abs())
    return torch.cat([powers.tril(-1), powers])
