"""The parts of a page of scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ...comparison import Row
from ..numbers import shown, value_and_interval
from ..scored_table import places_of
from ..table import ARROWS
from .decisions import decisions_section
from .markup import Html, element, shortened, together
from .measures import axis, interval_plot, numbers_of
from .scale import Scale, scale_of
from .scored_pictures import Pictured, PicturedPairs
from .section import Section, scrolling, tabs

if TYPE_CHECKING:
    from ...scoring.scores import Scores

BINS = 36
TALL = 40  # pixels of a histogram
LISTED = 100  # pairs in a table


def means_section(found: Scores) -> Section:
    """A card a measure: what it says, each candidate's mean and interval, and how the pairs' values are distributed."""
    cards = [_card(found, name) for name in found.measures]
    level = f"{100 * float(found.settings['level']):g}%"
    lead = (
        f"Dots are means over {len(found):,} pairs, bars their {level} intervals: where the mean of endlessly many "
        "such pairs would lie. Under them, how the pairs' own values are distributed; the line is the mean."
    )
    return Section("measures", "Measures", [lead], element("div", {"class": "cards"}, *cards))


def differences_section(found: Scores) -> Section | None:
    """Every other candidate against the first."""
    made = decisions_section(found.comparison)
    if made is None:
        return None
    lead = (
        "Differences are taken pair by pair, so what makes one image harder than another cancels, and they are surer "
        "than two intervals side by side. One is better where the interval leaves out zero, the dashed line."
    )
    return replace(made, lead=[lead])


def worst_section(found: Scores, pictured: PicturedPairs, by: str) -> Section:
    """The worst pairs of each candidate: restored over target, and where they differ."""
    panels = []
    for candidate in found.restored:
        own = [_pair(found, each, by) for each in pictured.pairs if each.candidate == candidate]
        panels.append((candidate, element("div", {"class": "scored"}, *own)))
    limits = [
        element("li", {}, element("strong", {}, name), f": brightest at {limit:.3g} or more")
        for name, limit in pictured.limits
    ]
    key = element(
        "div",
        {"class": "heat-key"},
        element("span", {}, "as in equal images"),
        element("span", {"class": "heat", "aria-hidden": "true"}),
        element("span", {}, "worst"),
        element("ul", {}, *limits),
    )
    lead = [
        f"The worst by {by}. Drag over a picture, or use the arrow keys, Home and End: left of the line is the "
        "restored image, right of it the target. Pictures show what was measured, pixel by pixel.",
        "Maps show where an image loses; difference is the mean absolute difference of the channels. Each kind of map "
        "has one scale for all pairs.",
    ]
    return Section("worst", "The worst pairs", lead, together([key, tabs("candidate", panels)]))


def pairs_section(found: Scores, by: str) -> Section:
    """The worst pairs' values, sortable."""
    panels = [(candidate, _values(found, candidate, by)) for candidate in found.restored]
    some = f"The {LISTED} worst of {len(found):,} pairs by {by}" if len(found) > LISTED else "All pairs"
    lead = f"{some}; a click on a heading sorts. assay score --csv FILE writes every one."
    return Section("pairs", "Values", [lead], tabs("candidate", panels))


def _card(found: Scores, name: str) -> Html:
    rows = [row for row in found.rows if row.name == name]
    scale = scale_of([n for row in rows for n in numbers_of(row.estimate)])
    spread = scale_of([float(v) for row in rows for v in found.values[row.candidate][name]])
    first = rows[0]
    lines = [_line(row, scale) for row in rows]
    return element(
        "article",
        {"class": "card"},
        element(
            "h3",
            {},
            name,
            element("span", {"class": "direction"}, f"{ARROWS[first.direction]} {first.direction}"),
        ),
        element("p", {"class": "meaning"}, found.settings["descriptions"][first.measure]),
        element("div", {"class": "lines", "role": "table", "aria-label": name}, *lines, axis(scale)),
        element("div", {"class": "spread"}, *(_histogram(found, row, spread) for row in rows), axis(spread)),
    )


def _line(row: Row, scale: Scale) -> Html:
    value, interval, _ = value_and_interval(row.estimate)
    return element(
        "div",
        {"class": "line", "role": "row"},
        element("span", {"class": "who", "role": "rowheader", "title": row.candidate}, row.candidate),
        element("span", {"class": "value", "role": "cell"}, value),
        element("span", {"class": "interval", "role": "cell"}, interval),
        element("span", {"class": "times", "role": "cell"}),
        element("span", {"class": "plot", "role": "cell"}, interval_plot(row.estimate, scale)),
    )


def _histogram(found: Scores, row: Row, scale: Scale) -> Html:
    values = found.values[row.candidate][row.name]
    counts, edges = np.histogram(
        values[np.isfinite(values)], BINS, range=(min(scale.low, scale.high - 1e-300), scale.high)
    )
    tallest = max(1, int(counts.max()))
    bars = [
        element(
            "rect",
            {
                "class": "share",
                "x": scale.percent(low),
                "width": f"{scale.at(high) - scale.at(low):.2f}%",
                "y": f"{TALL - TALL * count / tallest:.1f}",
                "height": f"{TALL * count / tallest:.1f}",
            },
        )
        for count, low, high in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True)
        if count
    ]
    at = scale.percent(row.estimate.value)
    mean = element("line", {"class": "mark", "x1": at, "x2": at, "y1": 0, "y2": TALL})
    with np.errstate(invalid="ignore"):  # between infinities of both signs there is no median
        median = float(np.median(values))
    says = f"{row.candidate}: {values.min():.4g} to {values.max():.4g}, median {shown(median, None)}"
    return element(
        "div",
        {"class": "histogram"},
        element("span", {"class": "who", "title": says}, says),
        element("svg", {"class": "chart", "height": TALL, "role": "img", "aria-label": says}, *bars, mean),
    )


def _pair(found: Scores, each: Pictured, by: str) -> Html:
    name = shortened(found.restored[each.candidate][each.row])
    target = shortened(found.names[each.row])
    values = [
        f"{measure} {_digits(found, each.candidate, measure, each.row)}"
        for measure in [by, *(m for m in found.measures if m != by)]
    ]
    size = f"{each.size[0]} x {each.size[1]}"
    part = (
        f"{size} pixels"
        if each.window is None
        else f"{each.window[2]} x {each.window[3]} of {size} pixels, where it differs most"
    )
    maps = [
        element(
            "figure",
            {"class": "error-map"},
            element("img", {"data-t": number, "alt": f"map of {kind}: {name}"}),
            element("figcaption", {}, element("span", {}, kind)),
        )
        for kind, number in each.maps
    ]
    caption = [
        element("span", {"class": "file", "title": name}, name),
        *([element("span", {"class": "file"}, f"target {target}")] if target != name else []),
        element("span", {"class": "says"}, " \u00b7 ".join(values)),
        element("span", {"class": "file"}, part),
    ]
    return element(
        "figure",
        {"class": "scored-pair"},
        element("div", {"class": "views"}, _slider(each, name), element("div", {"class": "maps"}, *maps)),
        element("figcaption", {}, *caption),
    )


def _slider(each: Pictured, name: str) -> Html:
    height, width = each.size if each.window is None else each.window[2:]
    return element(
        "div",
        {"class": "slider"},
        element(
            "img", {"data-t": each.target, "alt": f"target of {name}", "width": width, "height": height}
        ),
        element(
            "img",
            {"class": "over", "data-t": each.restored, "alt": f"restored {name}", "width": width, "height": height},
        ),
        element("span", {"class": "edge", "aria-hidden": "true"}),
        element("span", {"class": "tag left", "aria-hidden": "true"}, "restored"),
        element("span", {"class": "tag right", "aria-hidden": "true"}, "target"),
        element(
            "input",
            {
                "type": "range", "min": 0, "max": 100, "value": 50, "step": 1,
                "aria-label": f"how much of {name} lies over its target",
            },
        ),
    )  # fmt: skip


def _values(found: Scores, candidate: str, by: str) -> Html:
    heads: Sequence[str] = ["image", *found.measures]
    head = element(
        "tr",
        {},
        *(
            element(
                "th",
                {"scope": "col", "class": None if k == 0 else "number"},
                element("button", {"type": "button", "class": "sort"}, text),
            )
            for k, text in enumerate(heads)
        ),
    )
    body = []
    for row in found.worst_pairs(candidate, by)[:LISTED]:
        cells = [
            element(
                "td",
                {"class": "number", "data-v": repr(float(found.values[candidate][name][row]))},
                _digits(found, candidate, name, row),
            )
            for name in found.measures
        ]
        body.append(
            element(
                "tr",
                {},
                element("th", {"scope": "row"}, shortened(found.restored[candidate][row])),
                *cells,
            )
        )
    table = element("table", {"class": "sortable"}, element("thead", {}, head), element("tbody", {}, *body))
    return scrolling(f"values of {candidate}", table, "tall")


def _digits(found: Scores, candidate: str, name: str, row: int) -> str:
    values = found.values[candidate][name]
    places = places_of(values)
    return shown(float(values[row]), None if places is None else places + 1)
