"""Which earlier values are nearest to a value, in reading order?"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from ...scale.kept import kept


@kept(8)
def places_back(rows: int, width: int, channels: int, count: int, device: str) -> Tensor:
    """For values (row, column, channel) in reading order, how far back their `count` nearest earlier ones lie.

    Nearest by the sum of the absolute differences of the three coordinates; among equally near, the earlier first.

    Args:
        rows: how many rows are told apart: from row `count` on, all are alike.
        width, channels: of the image.
        count: neighbours a value.
        device: of the answer.

    Returns:
        (rows, width, channels, count) places back in reading order, 0 where there is no such neighbour.
    """
    offsets = torch.tensor(_earlier_offsets(channels, count))
    down, across, over = offsets.unbind(1)
    # columns farther than `count` from both borders are alike
    columns = min(width, 2 * count + 1)
    row = torch.arange(rows)[:, None, None, None]
    column = torch.arange(columns)[:, None, None]
    channel = torch.arange(channels)[:, None]
    inside = (row + down >= 0) & (column + across >= 0) & (column + across < columns)
    inside = inside & (channel + over >= 0) & (channel + over < channels)
    candidates = len(offsets)
    order = torch.where(inside, torch.arange(candidates), candidates)
    first = order.topk(count, dim=-1, largest=False, sorted=True).values
    steps = -((down * width + across) * channels + over)
    back = torch.cat([steps, steps.new_zeros(1)])[first]
    at = torch.arange(width)
    from_right = columns - width + at
    near = torch.where(at < count, at, torch.maximum(from_right, torch.full_like(at, count)))
    return back[:, near].to(device)


def _earlier_offsets(channels: int, count: int) -> list[tuple[int, int, int]]:
    """Offsets (row, column, channel) of the values that may be among the nearest, nearest first.

    Nothing farther than `count` can be: a path of single steps to it passes `count` earlier values that are nearer.
    """
    layers = min(count, channels - 1)
    every = [
        (abs(i) + abs(j) + abs(k), i, j, k)
        for i, j, k in itertools.product(
            range(-count, 1), range(-count, count + 1), range(-layers, layers + 1)
        )
        if (i, j, k) < (0, 0, 0) and abs(i) + abs(j) + abs(k) <= count
    ]
    return [(i, j, k) for _, i, j, k in sorted(every)]
