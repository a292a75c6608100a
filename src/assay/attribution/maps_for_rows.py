"""Heat maps of the images of a comparison that somebody is going to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import UsageError
from ..scale.nearest import nearest
from ..set_measure import Measure
from .deletion import Box
from .integrated_gradients import pixel_maps
from .pictures import overlay_png
from .pooled_map import pooled_layer, pooled_maps, seen_box
from .sample_influence import FrozenInfluence, sample_influence

if TYPE_CHECKING:
    from ..comparison import Comparison
    from ..explanation import Explanation
    from ..features.extractor import Extractor

AT_ONCE = 8
MOST_STEPS = 128
CELLS = 32  # a side, that a map of pixels is summed to before it is drawn
GREY = 0.5
SHAPE_OFF = 0.02  # relative difference in proportions beyond which a resized image is another picture


class Pictures(Protocol):
    """A set's images, such as an `assay.data.ImageSource`."""

    def decode(self, index: int) -> NDArray[np.uint8]:
        """Image `index` as uint8 (H, W, 3)."""
        ...


@dataclass(frozen=True)
class MapPicture:
    """One map.

    Attributes:
        png: the image with the map over it, orange where the image makes the value worse than its baseline does.
        influence: of the image on the value, as the map's network has it.
        of_baseline: that a sample like the baseline would have; the map sums to the difference.
        baseline: the row of the other set that it is compared with, or None for grey.
        says: a sentence for people.
    """

    png: bytes
    influence: float
    of_baseline: float
    baseline: int | None
    says: str


def maps_for(
    found: Comparison,
    explanation: Explanation,
    rows: Sequence[int],
    extractor: Extractor,
    images: Mapping[str, Pictures],
    *,
    of: Literal["generated", "real"] = "generated",
    measure: Measure | None = None,
    kind: Literal["pooled", "pixels"] | None = None,
) -> dict[tuple[str, int], MapPicture]:
    """Maps of some rows of a candidate, or of the real set: where each differs from its nearest of the other set.

    Args:
        found: a comparison that kept its sets.
        explanation: which candidate and measure; its nearest real rows are taken where it has them.
        rows: of the candidate (or of the real set), those that are shown.
        extractor: what the features were made with.
        images: by the sets' names, where their images are read from; rows are found through the sets' positions.
        of: whose rows they are. A real one is compared with its nearest generated one.
        measure: by default the one that the explanation names; with options it has to be given.
        kind: "pooled", the map before the pool; "pixels", integrated gradients; by default the first where the
            extractor has one.

    Returns:
        By (set's name, row).

    Raises:
        UsageError: sets that were not kept or have no features; another extractor than theirs, or one without a
            gradient; a row that is not there; "pooled" of an extractor without such a map; a measure that is not
            smooth, or was taken with options and is not given.

    The baseline of a map of pixels is the nearest image, resized where its size differs; where its proportions do, it
    is grey, and the picture's sentence says so.
    """
    real, candidate = _sets(found, explanation, extractor)
    own, other = (candidate, real) if of == "generated" else (real, candidate)
    for row in rows:
        if not 0 <= row < len(own.features):
            raise UsageError(f"rows: {own.name} has rows 0 to {len(own.features) - 1}, got {row}")
    for one in (own, other):
        if one.name not in images:
            raise UsageError(
                f"images: expected those of {one.name!r}, got {', '.join(map(repr, images)) or 'none'}"
            )
    if not rows:
        return {}
    measure = _measure(explanation) if measure is None else measure
    influence = sample_influence(
        measure, real.features, candidate.features, of=measure.sides[1 if of == "generated" else 0]
    )
    partners = _partners(explanation, rows, own, other, of)
    module = extractor.torch_module()
    drawn: dict[tuple[str, int], MapPicture] = {}
    sign = 1.0 if measure.best == "min" else -1.0
    boxes: dict[tuple[int, int], Box] = {}
    layer: str | None = None
    used: int | None
    looked = kind == "pixels"
    for row, partner in zip(rows, partners, strict=True):
        pixels, base = _pixels(images, own, row), _pixels(images, other, partner)
        size = (pixels.shape[0], pixels.shape[1])
        if size not in boxes:
            boxes[size] = seen_box(module, *size)
        if not looked:
            layer, looked = pooled_layer(module, *size), True
            if layer is None and kind == "pooled":
                raise UsageError(
                    f"{extractor.name} has no map that is averaged to its features; use kind='pixels'"
                )
        if layer is not None:
            one = pooled_maps(module, layer, influence, [_tensor(pixels, module)], [_tensor(base, module)])
            values, used = one.values[0], partner
            numbers = (float(one.influence), float(one.of_baseline))
        else:
            values, numbers, grey = _of_pixels(module, influence, pixels, base)
            used = None if grey else partner
        shown = (sign * values).cpu().numpy()
        drawn[own.name, row] = MapPicture(
            png=overlay_png(pixels, shown, box=boxes[size] if layer is not None else None),
            influence=numbers[0],
            of_baseline=numbers[1],
            baseline=used,
            says=_says(explanation, numbers, used, other.name),
        )
    return drawn


def _of_pixels(
    module: nn.Module, influence: FrozenInfluence, pixels: NDArray[np.uint8], base: NDArray[np.uint8]
) -> tuple[Tensor, tuple[float, float], bool]:
    """A map in cells, the influences, and whether the baseline is grey."""
    image, baseline = _tensor(pixels, module)[None], _tensor(base, module)[None]
    grey = _other_shape(pixels, base)
    if grey:
        baseline = torch.full_like(image, GREY)
    elif baseline.shape != image.shape:
        baseline = nn.functional.interpolate(
            baseline, size=image.shape[2:], mode="bicubic", antialias=True
        ).clamp(0, 1)
    found = pixel_maps(module, influence, image, baseline, most_steps=MOST_STEPS, at_once=AT_ONCE)
    cells = (min(CELLS, image.shape[2]), min(CELLS, image.shape[3]))
    values = nn.functional.adaptive_avg_pool2d(found.values[None], cells)[0, 0]
    return values, (float(found.influence), float(found.of_baseline)), grey


def _other_shape(pixels: NDArray[np.uint8], base: NDArray[np.uint8]) -> bool:
    ratio = (pixels.shape[0] * base.shape[1]) / (pixels.shape[1] * base.shape[0])
    off: bool = max(ratio, 1 / ratio) > 1 + SHAPE_OFF
    return off


def _sets(found: Comparison, explanation: Explanation, extractor: Extractor) -> tuple[Any, Any]:
    by_name = {one.name: one for one in found.sets}
    if explanation.candidate not in by_name:
        raise UsageError("found: kept no sets; maps are of a comparison with explanations")
    real, candidate = found.sets[0], by_name[explanation.candidate]
    for one in (real, candidate):
        if one.features is None or one.positions is None:
            raise UsageError(
                f"{one.name}: maps need a set of images, and this one came as features or statistics"
            )
    fingerprint, space = found.settings.get("fingerprint"), found.settings.get("features")
    if fingerprint is not None and fingerprint != extractor.fingerprint:
        raise UsageError(
            f"extractor: the comparison is by {space}, and {extractor.name} is another, or is set up otherwise"
        )
    if not explanation.name.endswith(f"[{space}]"):
        raise UsageError(f"{explanation.name}: maps are of the extractor's own features {space} only")
    return real, candidate


def _measure(explanation: Explanation) -> Measure:
    from ..measure_by_name import measures_by_name, printed_name

    (measure,) = measures_by_name(explanation.measure)
    if printed_name(measure) != explanation.name.partition("[")[0]:
        raise UsageError(
            f"measure: {explanation.name} is not {measure.name} as it is by default; pass the measure itself"
        )
    return measure


def _partners(explanation: Explanation, rows: Sequence[int], own: Any, other: Any, of: str) -> list[int]:
    if of == "generated" and explanation.nearest is not None:
        return [int(explanation.nearest.row[row]) for row in rows]
    chosen = own.features[torch.as_tensor(list(rows))]
    return [int(row) for row in nearest(chosen, other.features, 1).index[:, 0]]


def _pixels(images: Mapping[str, Pictures], one: Any, row: int) -> NDArray[np.uint8]:
    return images[one.name].decode(int(one.positions[row]))


def _tensor(pixels: NDArray[np.uint8], module: nn.Module) -> Tensor:
    first = next(module.parameters(), None)
    scaled = torch.from_numpy(np.array(pixels)).permute(2, 0, 1).float() / 255
    return scaled if first is None else scaled.to(first.device)


def _says(explanation: Explanation, numbers: tuple[float, float], partner: int | None, other: str) -> str:
    against = f"the nearest image of {other}" if partner is not None else "a grey image"
    return (
        f"{explanation.name}: this image's influence is {numbers[0]:+.3g}, that of {against} would be "
        f"{numbers[1]:+.3g}; orange marks where this image makes the value worse, blue where better"
    )
