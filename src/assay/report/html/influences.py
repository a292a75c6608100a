"""Is a value made by a few samples or by all?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ...comparison import Comparison
from ...explanation import Explanation
from .markup import Html, element
from .scale import Scale, scale_of, ticks
from .section import Section

BINS = 48
TAIL = 0.005  # of the samples at either end, gathered in the last bins
HEIGHT = 64


def influences_section(found: Comparison) -> Section | None:
    """A card a measure: histograms of each candidate's influences, and of the real set's, on one scale."""
    usable = [e for e in found.explanations if _finite(e.of_generated) or _finite(e.of_real)]
    if not usable:
        return None
    cards = [_card([e for e in usable if e.name == name]) for name in dict.fromkeys(e.name for e in usable)]
    lead = [
        "How much single samples move the value. Coloured bars make it worse, grey ones better. A long coloured tail: "
        "a few samples do the harm and are worth looking at. An even hill: all of the set is off.",
        "The last bar at either end holds everything beyond it.",
    ]
    return Section("influences", "Who did it", lead, element("div", {"class": "cards"}, *cards))


def _finite(values: NDArray[np.float32] | None) -> bool:
    """Whether there is anything to draw: of a value that overflows no influence is a number."""
    return values is not None and len(values) > 0 and bool(np.isfinite(values).all())


def _card(explained: Sequence[Explanation]) -> Html:
    drawn = [
        (f"{each.candidate}, generated" if side == "g" else f"real, against {each.candidate}", values, each)
        for each in explained
        for side, values in (("g", each.of_generated), ("r", each.of_real))
        if values is not None and _finite(values)
    ]
    pooled = np.concatenate([values for _, values, _ in drawn])
    low, high = np.quantile(pooled, [TAIL, 1 - TAIL]).tolist()
    rough = scale_of([min(low, 0.0), max(high, 0.0)])
    width = (rough.high - rough.low) / BINS
    # zero is an edge: no bar has samples of both kinds
    first, last = math.floor(rough.low / width + 1e-9), math.ceil(rough.high / width - 1e-9)
    edges: NDArray[np.float64] = np.multiply(width, np.arange(first, last + 1), dtype=np.float64)
    scale = Scale(float(edges[0]), float(edges[-1]))
    lines = [
        element(
            "div",
            {"class": "histogram"},
            element("span", {"class": "who", "title": who}, who),
            _histogram(values, edges, scale, each.direction == "lower is better", who),
        )
        for who, values, each in drawn
    ]
    marks = [
        element("text", {"x": scale.percent(tick), "y": 12, "text-anchor": "middle"}, label)
        for tick, label in ticks(scale)
    ]
    short, bracket, space = explained[0].name.partition("[")
    return element(
        "article",
        {"class": "card"},
        element("h3", {}, short, element("span", {"class": "space"}, f"{bracket}{space}")),
        *lines,
        element("svg", {"class": "axis", "height": 16, "aria-hidden": "true"}, *marks),
    )


def _histogram(
    values: NDArray[np.float32], edges: NDArray[np.float64], scale: Scale, worse_up: bool, who: str
) -> Html:
    clipped = np.clip(values.astype(np.float64), edges[0], edges[-1])
    counts, sums = (np.histogram(clipped, edges, weights=w)[0].tolist() for w in (None, clipped))
    top = max(counts)
    bars = []
    for count, total, (start, end) in zip(counts, sums, pairwise(edges.tolist()), strict=True):
        if count == 0:
            continue
        height = max(1.0, (HEIGHT - 4) * count / top)
        worse = total > 0 if worse_up else total < 0
        x, wide = scale.at(start), scale.at(end) - scale.at(start)
        title = element("title", {}, f"{count:,} samples from {start:.3g} to {end:.3g}")
        bar = element(
            "rect",
            {
                "class": "worse" if worse else "better",
                "x": f"{x:.2f}%", "width": f"{max(wide - 0.25, 0.1):.2f}%",
                "y": f"{HEIGHT - height:.1f}", "height": f"{height:.1f}",
            },
        )  # fmt: skip
        bars.append(element("g", {}, title, bar))
    zero = scale.percent(0.0)
    bars.append(element("line", {"class": "mark", "x1": zero, "x2": zero, "y1": 0, "y2": HEIGHT}))
    share = float((values > 0).mean()) if worse_up else float((values < 0).mean())
    said = f"{who}: {len(values):,} influences, {100 * share:.0f}% of them make the value worse"
    return element("svg", {"class": "chart", "height": HEIGHT, "role": "img", "aria-label": said}, *bars)
