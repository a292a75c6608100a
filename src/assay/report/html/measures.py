"""What did each candidate score, drawn measure by measure on one scale?"""

from __future__ import annotations

from collections.abc import Sequence

from ...comparison import Comparison, Floor, Row
from ...estimate import Estimate
from ..numbers import shown, value_and_interval
from ..published import published_lines
from ..table import ARROWS, multiple
from .markup import Html, element, together
from .meanings import COLUMNS, meaning_of
from .scale import Scale, scale_of, ticks
from .section import Section, scrolling


def measures_section(found: Comparison) -> Section | None:
    """A card a measure: its meaning, and each candidate's value and interval, with the floor or the value to aim at."""
    names = list(dict.fromkeys(row.name for row in found.rows))
    if not names:
        return None
    cards = [_card(found, [row for row in found.rows if row.name == name]) for name in names]
    words = ["value", "interval", *(["floor"] if found.floor else []), *(["aim"] if found.aims else [])]
    if any(row.multiple is not None for row in found.rows):
        words.append("multiple")
    key = element("ul", {"class": "key"}, *(element("li", {}, COLUMNS[word]) for word in words))
    body = together([element("div", {"class": "cards"}, *cards), key, _published(found), _all_numbers(found)])
    level = f"{100 * float(found.settings['level']):g}%"
    return Section(
        "measures",
        "Measures",
        [f"Dots are values, bars their {level} intervals; within one measure all are drawn on one scale."],
        body,
    )


def _card(found: Comparison, rows: Sequence[Row]) -> Html:
    first = rows[0]
    floor = next((f for f in found.floor if f.name == first.name), None)
    aim = next((a for a in found.aims if a.name == first.name), None)
    references = [each for each in (floor, aim) if each is not None]
    scale = scale_of(
        [n for each in (*rows, *references) for n in numbers_of(each.estimate)],
        zero=first.direction == "lower is better",
    )
    says, reads = meaning_of(first.measure, found)
    lines = [_line(row, scale, row.candidate, references, "") for row in rows]
    if floor is not None:
        lines.append(_line(floor, scale, "floor", [], "reference"))
    if aim is not None:
        lines.append(_line(aim, scale, f"{aim.candidate} (aim)", [], "reference"))
    short, bracket, space = first.name.partition("[")
    return element(
        "article",
        {"class": "card"},
        element(
            "h3",
            {},
            short,
            element("span", {"class": "space"}, f"{bracket}{space}"),
            element("span", {"class": "direction"}, f"{ARROWS[first.direction]} {first.direction}"),
        ),
        element("p", {"class": "meaning"}, says, *([" ", reads] if reads else [])),
        element("div", {"class": "lines", "role": "table", "aria-label": first.name}, *lines, axis(scale)),
    )


def _line(of: Row | Floor, scale: Scale, name: str, references: Sequence[Row | Floor], kind: str) -> Html:
    value, interval, _ = value_and_interval(of.estimate)
    times = multiple(of) if isinstance(of, Row) and of.multiple is not None else None
    return element(
        "div",
        {"class": f"line {kind}".strip(), "role": "row"},
        element("span", {"class": "who", "role": "rowheader", "title": name}, name),
        element("span", {"class": "value", "role": "cell"}, value),
        element("span", {"class": "interval", "role": "cell"}, interval),
        element(
            "span",
            {"class": "times", "role": "cell"},
            *([] if times is None else [element("span", {"title": "times the floor"}, f"{times} floor")]),
        ),
        element("span", {"class": "plot", "role": "cell"}, interval_plot(of.estimate, scale, references)),
    )


def interval_plot(estimate: Estimate, scale: Scale, references: Sequence[Row | Floor] = ()) -> Html:
    """A dot with its interval, and a dashed line at the middle of each reference."""
    low, high = scale.percent(estimate.low), scale.percent(estimate.high)
    drawn = [
        element("line", {"class": "mark", "x1": x, "x2": x, "y1": 0, "y2": 22})
        for x in (scale.percent(r.estimate.corrected) for r in references)
    ]
    drawn += [
        element("line", {"class": "bar", "x1": low, "x2": high, "y1": 11, "y2": 11}),
        element("line", {"class": "cap", "x1": low, "x2": low, "y1": 7, "y2": 15}),
        element("line", {"class": "cap", "x1": high, "x2": high, "y1": 7, "y2": 15}),
        element("circle", {"class": "dot", "cx": scale.percent(estimate.corrected), "cy": 11, "r": 4}),
    ]
    return element("svg", {"class": "interval-plot", "height": 22, "aria-hidden": "true"}, *drawn)


def axis(scale: Scale) -> Html:
    """The scale under a card's plots."""
    marks = [
        element("text", {"x": scale.percent(tick), "y": 12, "text-anchor": "middle"}, label)
        for tick, label in ticks(scale)
    ]
    svg = element("svg", {"class": "axis", "height": 16, "aria-hidden": "true"}, *marks)
    return element(
        "div", {"class": "line axis-line", "aria-hidden": "true"}, element("span", {"class": "plot"}, svg)
    )


def numbers_of(estimate: Estimate) -> tuple[float, float, float]:
    """What a plot of it must have room for."""
    return estimate.low, estimate.corrected, estimate.high


def _published(found: Comparison) -> Html:
    lines = published_lines(found, ARROWS)
    if not lines:
        return Html("")
    body = [
        element(
            "tr",
            {},
            element("th", {"scope": "row"}, line.name.strip()),
            *(element("td", {"class": "number"}, cell) for cell in line.cells),
        )
        for line in lines[1:]
    ]
    title = lines[0].name[:1].upper() + lines[0].name[1:]
    sentence = (
        "To be set beside printed values of one protocol and number of samples; \u201clike\u201d marks those that may "
        "not carry the name, and a note says why."
    )
    table = scrolling("published values", element("table", {}, element("tbody", {}, *body)))
    return together([element("h3", {}, title), element("p", {"class": "lead"}, sentence), table])


def _all_numbers(found: Comparison) -> Html:
    multiples = any(row.multiple is not None for row in found.rows)
    heads = ["set", "measure", "value", "interval", "raw", "standard error", "n"] + [
        "times floor"
    ] * multiples
    body = []
    lines: list[tuple[Row | Floor, str]] = [(row, row.candidate) for row in (*found.rows, *found.aims)]
    lines += [(floor, "floor") for floor in found.floor]
    for of, who in lines:
        value, interval, raw = value_and_interval(of.estimate)
        count = of.estimate.n_x if of.estimate.n_y is None else of.estimate.n_y
        error = shown(of.estimate.std_error, None)
        cells = [
            f"{value} {ARROWS[of.direction]}",
            interval,
            raw,
            error,
            "-" if count is None else f"{count:,.0f}",
        ]
        if multiples:
            cells.append(multiple(of) if isinstance(of, Row) else "-")
        body.append(
            element(
                "tr",
                {},
                element("th", {"scope": "row"}, who),
                element("td", {"title": of.estimate.method}, of.name),
                *(element("td", {"class": "number"}, cell) for cell in cells),
            )
        )
    head = element("tr", {}, *(element("th", {"scope": "col"}, h) for h in heads))
    table = element("table", {}, element("thead", {}, head), element("tbody", {}, *body))
    words = [COLUMNS[word] for word in ("raw", "error", "n")]
    return element(
        "details",
        {},
        element("summary", {}, "All numbers as a table"),
        element("p", {"class": "lead"}, " ".join(words)),
        scrolling("all numbers", table),
    )
