"""How do values with intervals look on paper? Needs matplotlib (extra `plot`), imported when something is drawn."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from .errors import MissingExtra

WIDE, HIGH, MARGIN, LINE = (
    3.6,
    2.6,
    1.0,
    0.3,
)  # inches: a panel, what surrounds named values, and each of them
ACROSS = 4  # panels beside each other
LEVELS = ("--", ":", "-.")


@dataclass(frozen=True)
class Panel:
    """One measure: a value at each place.

    Attributes:
        title: over it, with the direction.
        at: numbers, which make a line from left to right, or names, which make a list from top to bottom.
        values: one a place; NaN leaves the place empty.
        low, high: of the intervals; none where values are without.
        levels: lines across the panel, by what they are called.
    """

    title: str
    at: Sequence[float] | Sequence[str]
    values: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    levels: Mapping[str, float] = field(default_factory=dict)


def figure_of(panels: Sequence[Panel], across: str = "") -> Any:
    """The panels as one `matplotlib.figure.Figure`, beside each other.

    Args:
        panels: all over numbers, or all over names.
        across: what the numbers are.

    The figure is not registered with pyplot: nothing holds on to it, no window opens, and a notebook shows it once.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("matplotlib", "plot", "a plot") from None
    named = any(isinstance(place, str) for panel in panels for place in panel.at)
    columns = max(1, min(ACROSS, len(panels)))
    rows = max(1, math.ceil(len(panels) / columns))
    most = max((len(panel.at) for panel in panels), default=0)
    height = max(MARGIN + LINE * most, 1.6) if named else HIGH
    figure = Figure(figsize=(WIDE * columns, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=named)
    for panel, ax in zip(panels, axes.flat, strict=False):
        _draw_named(ax, panel) if named else _draw_over_numbers(ax, panel, across)
        ax.set_title(_as_text(panel.title), fontsize="medium")
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)
        if panel.levels:
            ax.legend(fontsize="small", frameon=False)
    for ax in axes.flat[len(panels) :]:
        ax.remove()
    figure._repr_png_ = partial(_as_png, figure)  # type: ignore[attr-defined, unused-ignore]
    return figure


def _draw_named(ax: Any, panel: Panel) -> None:
    places = list(range(len(panel.at)))
    values = [_drawable(v) for v in panel.values]
    ax.errorbar(values, places, xerr=_bars(panel), fmt="o", capsize=3)
    ax.set_yticks(places, [_as_text(str(name)) for name in panel.at])
    ax.set_ylim(len(places) - 0.5, -0.5)  # the first on top
    for (name, level), style in zip(panel.levels.items(), LEVELS, strict=False):
        ax.axvline(level, color="grey", linestyle=style, label=_as_text(name))


def _draw_over_numbers(ax: Any, panel: Panel, across: str) -> None:
    order = sorted(range(len(panel.at)), key=lambda k: panel.at[k])
    bars = _bars(panel)
    ax.errorbar(
        [panel.at[k] for k in order],
        [_drawable(panel.values[k]) for k in order],
        yerr=None if bars is None else [[side[k] for k in order] for side in bars],
        fmt="o-",
        capsize=3,
    )
    ax.set_xlabel(across)
    ax.locator_params(axis="x", nbins=4)
    for (name, level), style in zip(panel.levels.items(), LEVELS, strict=False):
        ax.axhline(level, color="grey", linestyle=style, label=_as_text(name))


def _bars(panel: Panel) -> list[list[float]] | None:
    """How far the interval reaches below and above each value; a value outside its interval reaches nowhere there."""
    if panel.low is None or panel.high is None:
        return None
    below = [max(0.0, _drawable(v - low)) for v, low in zip(panel.values, panel.low, strict=True)]
    above = [max(0.0, _drawable(high - v)) for v, high in zip(panel.values, panel.high, strict=True)]
    return [below, above]


def _drawable(value: float) -> float:
    return float(value) if math.isfinite(value) else math.nan


def _as_text(name: str) -> str:
    """A name is a name, also one with dollars, between which matplotlib would set a formula."""
    return name.encode("utf-8", "backslashreplace").decode().replace("$", r"\$")


def _as_png(figure: Any) -> bytes:
    """What a notebook shows, also where pyplot was never imported."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=100)
    return out.getvalue()
