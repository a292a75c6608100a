"""Does a map point at what matters? Replace what it scores highest and watch the score fall; look where it points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import UsageError

Box = tuple[int, int, int, int]  # top, left, height, width


@dataclass(frozen=True)
class Deletion:
    """A score while the image is replaced, cell by cell.

    Attributes:
        share: (k + 1,) how much of the map's cells are replaced, from 0 to 1.
        score: (B, k + 1) float64, the score at each share.
        area: (B,) float64, the mean of the score over the shares by trapezoids; the lower, the sooner it falls.
    """

    share: Tensor
    score: Tensor
    area: Tensor


def deletion(
    score: Callable[[Tensor], Tensor],
    images: Tensor,
    maps: Tensor,
    fill: Tensor,
    *,
    steps: int = 12,
    box: Box | None = None,
) -> Deletion:
    """The score while an image's cells give way to those of another, the map's highest first.

    Args:
        score: images (B, 3, H, W) -> (B,).
        images: (B, C, H, W).
        maps: (B, h, w) signed, a value a cell; cells cover the box evenly.
        fill: as images: what takes the cells' place, such as the nearest real images or the images blurred. Images
            and fill exchanged make it the insertion test.
        steps: k, in how many steps the cells are replaced.
        box: (top, left, height, width) that the maps lie over; all of the image by default.

    Raises:
        UsageError: shapes that do not fit; a box beyond the image; a number of steps below 1; maps with NaN.

    Source: Petsiuk et al. 2018, arXiv:1806.07421.
    """
    if images.ndim != 4 or fill.shape != images.shape:
        raise UsageError(
            f"fill: expected the images' shape {tuple(images.shape)}, (B, C, H, W), got {tuple(fill.shape)}"
        )
    _fits(maps, len(images))
    if steps < 1:
        raise UsageError(f"steps: expected at least 1, got {steps}")
    rank = ranks(maps)
    cells = maps.shape[1] * maps.shape[2]
    share = torch.arange(steps + 1, dtype=torch.float64) / steps
    found = []
    with torch.no_grad():
        for part in share.tolist():
            gone = on_pixels(rank < round(part * cells), images.shape[2], images.shape[3], box)
            found.append(score(torch.where(gone[:, None].to(images.device), fill, images)).to(torch.float64))
    scores = torch.stack(found, 1)
    return Deletion(share, scores, torch.trapezoid(scores, share.to(scores.device), dim=1))


def points_at(maps: Tensor, region: Tensor, *, box: Box | None = None) -> Tensor:
    """Whether each map's highest cell lies in the region: the pointing game.

    Args:
        maps: (B, h, w).
        region: (B, H, W) bool, the pixels that are to be pointed at.
        box: (top, left, height, width) of the image that the maps lie over; all of it by default.

    Returns:
        (B,) bool: at least half of the highest cell's pixels are in the region; the first of equal cells counts.

    Raises:
        UsageError: shapes that do not fit.

    Source: Zhang et al. 2016, arXiv:1608.00507.
    """
    _fits(maps, len(region))
    return (
        share_in(region, maps.shape[1], maps.shape[2], box)
        .flatten(1)
        .gather(1, maps.flatten(1).argmax(1, keepdim=True).to(region.device))[:, 0]
        >= 0.5
    )


def share_in(region: Tensor, height: int, width: int, box: Box | None = None) -> Tensor:
    """(B, height, width): how much of each cell's pixels is in a region (B, H, W) of the image."""
    cells = torch.arange(height * width).view(1, height, width)
    which = on_pixels(cells, region.shape[1], region.shape[2], box, outside=height * width)[0].flatten()
    count = torch.zeros(height * width + 1, dtype=torch.float64).index_add_(
        0, which, torch.ones(len(which), dtype=torch.float64)
    )
    inside = torch.zeros(len(region), height * width + 1, dtype=torch.float64).index_add_(
        1, which, region.flatten(1).to("cpu", torch.float64)
    )
    return (inside / count.clamp_min(1))[:, :-1].view(-1, height, width).to(region.device)


def on_pixels(cells: Tensor, height: int, width: int, box: Box | None = None, *, outside: int = 0) -> Tensor:
    """(B, h, w) values of cells -> (B, height, width), each pixel that of its cell, `outside` beyond the box."""
    top, left, tall, wide = (0, 0, height, width) if box is None else box
    if min(top, left) < 0 or min(tall, wide) < 1 or top + tall > height or left + wide > width:
        raise UsageError(f"box: expected (top, left, height, width) within {height} x {width}, got {box}")
    out = cells.new_full((len(cells), height, width), outside)
    rows = torch.arange(tall, device=cells.device) * cells.shape[1] // tall
    columns = torch.arange(wide, device=cells.device) * cells.shape[2] // wide
    out[:, top : top + tall, left : left + wide] = cells[:, rows][:, :, columns]
    return out


def ranks(maps: Tensor) -> Tensor:
    """(B, h, w) int64: 0 for each map's highest cell; of equal ones the first."""
    flat = maps.flatten(1)
    order = flat.argsort(dim=1, descending=True, stable=True)
    places = torch.arange(flat.shape[1], device=maps.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, places).view(maps.shape)


def _fits(maps: Tensor, count: int) -> None:
    if maps.ndim != 3 or len(maps) != count:
        raise UsageError(f"maps: expected (B, h, w) with B = {count}, got {tuple(maps.shape)}")
    if bool(maps.isnan().any()):
        raise UsageError("maps: hold NaN, which has no rank")
