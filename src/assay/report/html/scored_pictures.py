"""The worst pairs as pictures: what was measured of both images, and where they differ.

An image larger than a window is shown in part, at its own pixels, where it differs most: shrinking would hide what is
to be seen. Pictures are lossless, because compression is what many of them are judged for.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

from ...errors import MissingExtra
from .album import BUDGET

if TYPE_CHECKING:
    from ...pairs import PairMeasure
    from ...scoring.scores import Scores

SIDE = 400  # pixels of a window
STEP = 8  # between places a window is tried at
PNG_AROUND = 2048  # bytes of a PNG beside its rows: the colours and headers
NEARLY_ALL = 0.998  # of a map's places that are not drawn brightest
# black over purple and orange to pale yellow: its lightness rises all the way, for every kind of colour vision
HEAT = (
    (0, 0, 4), (40, 11, 84), (101, 21, 110), (159, 42, 99), (212, 72, 66), (245, 125, 21), (250, 193, 39),
    (252, 255, 164),
)  # fmt: skip


@dataclass(frozen=True)
class Pictured:
    """One pair, with the numbers of its pictures.

    Attributes:
        candidate, row: which pair.
        restored, target: numbers among the page's pictures.
        maps: by what it is called, the number of each map.
        size: (height, width) as measured.
        window: (top, left, height, width) of what is shown; None for all of it.
    """

    candidate: str
    row: int
    restored: int
    target: int
    maps: tuple[tuple[str, int], ...]
    size: tuple[int, int]
    window: tuple[int, int, int, int] | None


@dataclass(frozen=True)
class PicturedPairs:
    """The worst pairs as far as the page has room for them.

    Attributes:
        pairs: in the order they are shown in.
        pictures: PNG in base64.
        limits: what the brightest place of each kind of map is.
        left_out: how many pairs found no room.
    """

    pairs: tuple[Pictured, ...]
    pictures: tuple[str, ...]
    limits: tuple[tuple[str, float], ...]
    left_out: int


@dataclass(frozen=True)
class _Window:
    candidate: str
    row: int
    y: Tensor
    x: Tensor
    maps: tuple[tuple[str, Tensor], ...]
    size: tuple[int, int]
    at: tuple[int, int, int, int] | None

    def without_images(self) -> _Window:
        """The same, its images drawn and not needed any more."""
        nothing = torch.empty(0)
        return replace(self, y=nothing, x=nothing)


def pictured_pairs(
    found: Scores, chosen: Sequence[tuple[str, int]], by: str, budget: int = BUDGET
) -> PicturedPairs:
    """Read the chosen pairs again and draw them as far as the budget goes: a pair with its maps, or not at all.

    Maps can be drawn when the brightest place of all is known, so their numbers wait, for the pairs that are shown: a
    few bytes a character of the budget, however many pairs are chosen.

    Args:
        found: the scores.
        chosen: (candidate, pair), the most important first.
        by: the measure whose map is drawn, where it has one; else the first that has.
        budget: characters of base64 in all.

    Raises:
        MissingExtra: without Pillow.
    """
    measure = _mapped(found, by)
    album = _Pictures()
    spent = 0
    taken: list[tuple[_Window, int, int]] = []
    limits: dict[str, float] = {}
    for candidate, row in chosen:
        window = _window(found, candidate, row, measure)
        restored, target = _picture(window.y), _picture(window.x)
        spent += album.cost([restored, target]) + sum(_most_of_a_map(values) for _, values in window.maps)
        if spent > budget:
            break  # those that follow matter less, and are not even read
        for name, values in window.maps:
            limits[name] = max(limits.get(name, 0.0), float(torch.quantile(_few(values), NEARLY_ALL)))
        taken.append((window.without_images(), album.put(restored), album.put(target)))
    pairs = tuple(
        Pictured(
            window.candidate,
            window.row,
            restored,
            target,
            tuple((name, album.put(_heat(values, limits[name]))) for name, values in window.maps),
            window.size,
            window.at,
        )
        for window, restored, target in taken
    )
    return PicturedPairs(pairs, tuple(album.pictures), tuple(limits.items()), len(chosen) - len(pairs))


class _Pictures:
    """Pictures in base64, each once."""

    def __init__(self) -> None:
        self.pictures: list[str] = []
        self._numbers: dict[bytes, int] = {}

    def cost(self, pictures: Sequence[bytes]) -> int:
        """Characters that those of them add which are not there yet."""
        return sum(_characters(len(each)) for each in dict.fromkeys(pictures) if each not in self._numbers)

    def put(self, picture: bytes) -> int:
        """The picture's number."""
        if picture not in self._numbers:
            self._numbers[picture] = len(self.pictures)
            self.pictures.append(base64.b64encode(picture).decode())
        return self._numbers[picture]


def _characters(size: int) -> int:
    """How long so many bytes are in base64."""
    return 4 * ((size + 2) // 3)


def _most_of_a_map(values: Tensor) -> int:
    """Characters that a map takes at most, however it will be drawn: a byte a place, which need not get smaller."""
    height, width = values.shape
    raw = height * (width + 1)
    return _characters(raw + raw // 64 + PNG_AROUND)


def _mapped(found: Scores, by: str) -> tuple[str, PairMeasure] | None:
    order = [by, *(name for name in found.measures if name != by)]
    for name in order:
        if found.measures[name].map_function is not None and len(found.measures[name].members) == 2:
            return name, found.measures[name]
    return None


def _window(found: Scores, candidate: str, row: int, mapped: tuple[str, PairMeasure] | None) -> _Window:
    goal = found.settings["real"]["name"]
    y, x = (
        found.seen.of(found.images[name].read(found.places[name][row])[0].unit(), name)
        for name in (candidate, goal)
    )
    height, width = y.shape[-2:]
    difference = (y - x).abs().mean(0)
    maps = [("difference", difference)]
    if mapped is not None:
        name, measure = mapped
        with torch.no_grad():
            values = measure.map(y[None], x[None])[0].float()
        if measure.best == "max":
            values = (float(values.max()) if measure.upper is None else measure.upper) - values
        maps.insert(0, (name, _over(values.clamp(min=0), height, width)))
    if max(height, width) <= SIDE:
        return _Window(candidate, row, y, x, tuple(maps), (height, width), None)
    tall, wide = min(SIDE, height), min(SIDE, width)
    down = avg_pool2d(difference.square()[None, None], (tall, 1), (STEP, 1))  # a box is two lines
    means = avg_pool2d(down, (1, wide), (1, STEP))[0, 0]
    top, left = (STEP * int(k) for k in np.unravel_index(int(means.argmax()), means.shape))
    part = (slice(top, top + tall), slice(left, left + wide))
    return _Window(
        candidate,
        row,
        y[:, part[0], part[1]].clone(),  # a view would keep the whole image until the page is made
        x[:, part[0], part[1]].clone(),
        tuple((name, values[part].clone()) for name, values in maps),
        (height, width),
        (top, left, tall, wide),
    )


def _over(values: Tensor, height: int, width: int) -> Tensor:
    """A map (h, w) over an image: where it is little smaller, its windows' centres; else spread over all of it."""
    h, w = values.shape
    if 0 <= height - h <= height // 4 and 0 <= width - w <= width // 4:
        top, left = (height - h) // 2, (width - w) // 2
        edges = (left, width - w - left, top, height - h - top)
        return pad(values[None, None], edges, mode="replicate")[0, 0] if any(edges) else values
    return interpolate(values[None, None], (height, width), mode="bilinear", align_corners=False)[0, 0]


def _few(values: Tensor) -> Tensor:
    """At most a million of the values: a quantile takes no more."""
    flat = values.flatten()
    return flat[:: 1 + len(flat) // 1_000_000]


def _picture(unit: Tensor) -> bytes:
    levels = (255 * unit.clamp(0, 1)).round().to(torch.uint8)
    shown = levels if len(levels) == 3 else levels[:1].expand(3, -1, -1)
    return _png(_pillow().fromarray(np.ascontiguousarray(shown.permute(1, 2, 0).numpy())))


def _heat(values: Tensor, limit: float) -> bytes:
    share = (values / (limit or 1.0)).clamp(0, 1)
    image = _pillow().fromarray((255 * share).round().to(torch.uint8).numpy())
    image.putpalette(palette().tobytes())
    return _png(image)


def palette() -> NDArray[np.uint8]:
    """(256, 3): the colours of a map from nothing to its limit."""
    at = np.linspace(0, len(HEAT) - 1, 256)
    channels = [np.interp(at, range(len(HEAT)), [colour[c] for colour in HEAT]) for c in range(3)]
    return np.stack(channels, 1).round().astype(np.uint8)


def _png(image: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtra("pillow", "images", "the pictures of a report") from None
    return Image


def importance(found: Scores, worst: int, by: str) -> Iterable[tuple[str, int]]:
    """Every candidate's worst pair, then every candidate's second, and so on: a budget cuts all alike."""
    orders = {candidate: found.worst_pairs(candidate, by)[:worst] for candidate in found.restored}
    for k in range(worst):
        for candidate, order in orders.items():
            if k < len(order):
                yield candidate, order[k]
