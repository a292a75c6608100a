"""Which groups of generated samples is the distance made of?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...comparison import Comparison
from ...explanation import Explanation, GroupShare
from ..numbers import decimals, shown
from .album import Album
from .galleries import signed
from .markup import Html, element, shortened, together
from .samples import Gallery, Shown, gallery_html, names_of
from .scale import Scale, scale_of
from .section import Section, scrolling, tabs

MOST_GROUPS, MOST = 8, 8  # groups with pictures, and pictures of each


@dataclass(frozen=True)
class Shares:
    """One explanation's groups, the worst first, with the worst samples of the first few."""

    of: Explanation
    ordered: tuple[GroupShare, ...]
    galleries: tuple[Gallery, ...]


def group_shares(found: Comparison) -> list[Shares]:
    """For each candidate and measure with groups."""
    shares = []
    for each in found.explanations:
        if not each.groups:
            continue
        sign = 1 if each.direction == "lower is better" else -1
        ordered = tuple(sorted(each.groups, key=lambda group: -sign * group.share))
        galleries = tuple(_worst(each, group) for group in ordered[:MOST_GROUPS])
        shares.append(Shares(each, ordered, galleries))
    return shares


def groups_section(found: Comparison, shares: Sequence[Shares], album: Album) -> Section | None:
    """Tabs of candidates and measures: a table of shares, then each group's worst samples."""
    if not shares:
        return None
    names = names_of(found.sets)
    panels = [
        (
            f"{each.of.candidate} \u00b7 {each.of.name}",
            together([_table(each), *(gallery_html(g, album, names) for g in each.galleries if g.entries)]),
        )
        for each in shares
    ]
    lead = (
        "A group's share is what the value loses, on average over all orders, when the group is replaced by as many "
        "other real samples. Shares and the floor add up to the whole. The group at the top is where to start: of the "
        "greatest share where lower is better, of the least where higher is. A share of the other sign belongs to a "
        "group that is better than real samples would be."
    )
    return Section("groups", "Group by group", [lead], tabs("groups of", panels))


def _worst(each: Explanation, group: GroupShare) -> Gallery:
    title = f"{shortened(group.name)}: share {_share(group)}"
    if each.of_generated is None:
        rows = group.rows[:MOST]
        entries = tuple((Shown(each.candidate, int(row), ""),) for row in rows)
        return Gallery(title, "The first of its samples.", ("sample",), entries)
    bad = each.badness()[group.rows]
    rows = group.rows[np.argsort(-bad, kind="stable")[:MOST]]
    entries = tuple((Shown(each.candidate, int(r), signed(float(each.of_generated[r]))),) for r in rows)
    return Gallery(title, "Its worst samples, by influence.", ("sample", "influence"), entries)


def _table(shares: Shares) -> Html:
    floor = shares.of.floor
    scale = scale_of([0.0, *(n for g in shares.ordered for n in (g.low, g.share, g.high))])
    lines = [
        element(
            "tr",
            {},
            element("th", {"scope": "row"}, shortened(group.name)),
            element("td", {"class": "number"}, f"{len(group.rows):,}"),
            element("td", {"class": "number"}, _share(group)),
            element("td", {"class": "plot-cell"}, _bar(group, scale)),
        )
        for group in shares.ordered
    ]
    if floor is not None:
        total = floor + sum(group.share for group in shares.ordered)
        for name, value in (("floor", floor), ("together", total)):
            cells = [
                element("td", {}),
                element("td", {"class": "number"}, shown(value, None)),
                element("td", {}),
            ]
            lines.append(element("tr", {"class": "sum"}, element("th", {"scope": "row"}, name), *cells))
    heads = [
        element("th", {"scope": "col", "class": kind}, head)
        for head, kind in (("group", None), ("n", "number"), ("share", "number"), ("", None))
    ]
    table = element(
        "table",
        {"class": "shares"},
        element("thead", {}, element("tr", {}, *heads)),
        element("tbody", {}, *lines),
    )
    return scrolling(f"groups of {shares.of.candidate} by {shares.of.name}", table, "tall")


def _share(group: GroupShare) -> str:
    if group.low == group.high:
        return shown(group.share, None)
    places = decimals(group.low, group.high)
    return f"{shown(group.share, places)} [{shown(group.low, places)}, {shown(group.high, places)}]"


def _bar(group: GroupShare, scale: Scale) -> Html:
    zero, share = scale.at(0.0), scale.at(group.share)
    x, width = f"{min(zero, share):.2f}%", f"{abs(share - zero):.2f}%"
    drawn = [
        element(
            "rect",
            {"class": "share", "x": x, "width": width, "y": 5, "height": 12},
        ),
        element("line", {"class": "mark", "x1": f"{zero:.2f}%", "x2": f"{zero:.2f}%", "y1": 0, "y2": 22}),
    ]
    if group.low != group.high:
        low, high = scale.percent(group.low), scale.percent(group.high)
        drawn.append(element("line", {"class": "bar", "x1": low, "x2": high, "y1": 11, "y2": 11}))
    return element("svg", {"class": "interval-plot", "height": 22, "aria-hidden": "true"}, *drawn)
