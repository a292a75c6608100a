"""Where do real and generated features lie, seen in two dimensions?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...comparison import Comparison
from .album import Album, Key
from .markup import element, together
from .samples import names_of, sample_name
from .section import Section

POINTS = 4_000  # drawn, of all sets together
FITTED = 5_000  # rows a side that the axes are found from
SPARE = 14  # directions beyond the two, which make the search converge
ROUNDS = 12
GRID = 10_000  # a coordinate is a whole number up to this


@dataclass(frozen=True)
class Cloud:
    """One set's drawn rows and where they lie, (k, 2) in whole numbers from 0 to 10,000."""

    name: str
    rows: NDArray[np.int64]
    at: NDArray[np.int64]


@dataclass(frozen=True)
class Picture:
    """The sets' clouds, the real one first.

    Attributes:
        explained: the share of the features' variance along each of the two axes.
        fitted: how many real and how many generated rows the axes were found from.
    """

    clouds: tuple[Cloud, ...]
    explained: tuple[float, float]
    fitted: tuple[int, int]

    def keys(self) -> Iterator[Key]:
        """Every set's first point, then every set's second, and so on: what a budget cuts, it cuts evenly."""
        for k in range(max(len(cloud.rows) for cloud in self.clouds)):
            for cloud in self.clouds:
                if k < len(cloud.rows):
                    yield cloud.name, int(cloud.rows[k])


def picture_of(found: Comparison, seed: int) -> Picture | None:
    """Principal components of real and generated rows together; None where samples are not known."""
    sets = [one for one in found.sets if one.features is not None and len(one.features)]
    if len(sets) < 2 or sets[0] is not found.sets[0]:
        return None
    generator = torch.Generator().manual_seed(seed)
    chosen = [torch.randperm(len(one.features), generator=generator) for one in sets]
    a_candidate = -(-FITTED // (len(sets) - 1))
    fit = [one.features[rows[: FITTED if k == 0 else a_candidate]].detach().float().cpu()
           for k, (one, rows) in enumerate(zip(sets, chosen, strict=True))]  # fmt: skip
    centre, axes, explained = _axes(torch.cat(fit), generator)
    each = POINTS // 2 // (len(sets) - 1)
    drawn = [rows[: POINTS // 2 if k == 0 else each] for k, rows in enumerate(chosen)]
    places = [
        (one.features[rows].detach().float().cpu() - centre) @ axes
        for one, rows in zip(sets, drawn, strict=True)
    ]
    low, size = _frame(torch.cat(places))
    clouds = tuple(
        Cloud(
            one.name, rows.numpy(), ((at - low) / size * GRID).clamp(0, GRID).round().to(torch.int64).numpy()
        )
        for one, rows, at in zip(sets, drawn, places, strict=True)
    )
    return Picture(clouds, explained, (len(fit[0]), sum(map(len, fit[1:]))))


def picture_section(found: Comparison, picture: Picture | None) -> Section | None:
    """A canvas with a choice of candidate; what it draws is in `picture_data`."""
    if picture is None:
        return None
    first, second = picture.explained
    real, generated = picture.fitted
    lead = [
        f"Every dot is a sample; near ones have similar features. The axes are the two principal components of "
        f"{real:,} real and {generated:,} generated samples, and hold {_percent(first)} and {_percent(second)} of the "
        f"variance: sets that part here are apart, but sets that overlap here may still differ in the other "
        f"{_percent(1 - first - second)}.",
        "Good is a cloud of generated samples that lies on the real one and fills all of it.",
    ]
    canvas = element(
        "canvas",
        {
            "id": "cloud", "tabindex": "0", "role": "application",
            "aria-label": "Features in two dimensions. Arrow keys go from sample to sample, Escape ends.",
        },
    )  # fmt: skip
    tip = element("div", {"id": "tip", "hidden": True})
    live = element("p", {"id": "cloud-said", "class": "quiet", "aria-live": "polite"},
                   "Point at a dot, tap it, or use the arrow keys.")  # fmt: skip
    choice = element(
        "div", {"id": "cloud-sets", "class": "choices", "role": "group", "aria-label": "candidate"}
    )
    return Section(
        "picture",
        "Features in two dimensions",
        lead,
        together([choice, element("div", {"class": "canvas"}, canvas, tip), live]),
    )


def picture_data(found: Comparison, picture: Picture | None, album: Album) -> list[dict[str, Any]]:
    """What the canvas draws: for each set its points, their names and the numbers of their pictures (-1: none)."""
    if picture is None:
        return []
    names = names_of(found.sets)
    return [
        {
            "name": cloud.name,
            "x": cloud.at[:, 0].tolist(),
            "y": cloud.at[:, 1].tolist(),
            "names": [sample_name(names[cloud.name], row) for row in cloud.rows.tolist()],
            "t": [_number(album, (cloud.name, row)) for row in cloud.rows.tolist()],
        }
        for cloud in picture.clouds
    ]


def _number(album: Album, key: Key) -> int:
    number = album.of(key)
    return -1 if number is None else number


def _axes(x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, tuple[float, float]]:
    """(centre, two axes (d, 2), their shares of the variance), by subspace iteration: any width, no d x d matrix."""
    centre = x.mean(0)
    x = x - centre
    width = min(x.shape[1], 2 + SPARE)
    basis = torch.linalg.qr(torch.randn(x.shape[1], width, generator=generator))[0]
    for _ in range(ROUNDS):
        basis = torch.linalg.qr(x.T @ (x @ basis))[0]
    _, values, turned = torch.linalg.svd(x @ basis, full_matrices=False)
    axes = basis @ turned[:2].T
    if axes.shape[1] < 2:
        axes = torch.cat([axes, torch.zeros(len(axes), 2 - axes.shape[1])], 1)
    # of two opposite directions, the one in which the largest entry is positive
    axes = axes * axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
    total = float(x.square().sum(dtype=torch.float64))
    shares = [float(v) ** 2 / total if total > 0 else 0.0 for v in values[:2]] + [0.0]
    return centre, axes, (shares[0], shares[1])


def _frame(places: Tensor) -> tuple[Tensor, Tensor]:
    """Lower corner and size of what is drawn; the farthest thousandth lies on the frame."""
    ends = torch.quantile(places, torch.tensor([0.001, 0.999]), dim=0)
    margin = 0.02 * (ends[1] - ends[0])
    # one scale for both axes would waste most of a phone's screen; each axis fills its side
    return ends[0] - margin, (ends[1] - ends[0] + 2 * margin).clamp(min=1e-12)


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%" if share >= 0.1 else f"{100 * share:.1f}%"
