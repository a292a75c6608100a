"""Candidate against candidate: by which measures is one better?"""

from __future__ import annotations

from ...comparison import Comparison
from ..sentences import decisions, sentence
from .markup import element, together
from .measures import interval_plot
from .scale import scale_of
from .section import Section, scrolling


def decisions_section(found: Comparison) -> Section | None:
    """A block a pair of candidates, with each difference and where its interval lies about zero."""
    if not found.differences:
        return None
    headings = [heading for heading, _ in decisions(found)]
    pairs = list(dict.fromkeys((d.a, d.b) for d in found.differences))
    blocks = []
    for (a, b), heading in zip(pairs, headings, strict=True):
        lines = []
        for d in found.differences:
            if (d.a, d.b) != (a, b):
                continue
            size = max((abs(n) for n in (d.estimate.low, d.estimate.high)), default=1.0)
            scale = scale_of([-size, size])
            zero = element("line", {"class": "mark", "x1": "50%", "x2": "50%", "y1": 0, "y2": 22})
            words = sentence(d).partition(": ")[2]
            lines.append(
                element(
                    "tr",
                    {"class": "undecided" if d.better is None else None},
                    element("th", {"scope": "row"}, d.name),
                    element(
                        "td",
                        {"class": "plot-cell"},
                        element("svg", {"class": "zero", "height": 22, "aria-hidden": "true"}, zero),
                        interval_plot(d.estimate, scale),
                    ),
                    element("td", {"class": "words"}, words),
                )
            )
        table = scrolling(heading, element("table", {"class": "decisions"}, element("tbody", {}, *lines)))
        blocks.append(element("details", {"open": len(pairs) <= 3}, element("summary", {}, heading), table))
    lead = (
        "The difference of two candidates is surer than their intervals side by side, because the luck of the real set "
        "that they share cancels. One is better where the difference's interval leaves out zero, the dashed line."
    )
    return Section("differences", "Which is better", [lead], together(blocks))
