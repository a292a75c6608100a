"""What would the paper's own code have printed?"""

from __future__ import annotations

from collections.abc import Mapping

from ..comparison import Comparison, Published
from .columns import Line


def published_lines(found: Comparison, arrows: Mapping[str, str]) -> list[Line]:
    """A line a candidate and value; one that may not carry the standard name is called `like` it."""
    if not found.published:
        return []
    lines = [Line(f"protocol {found.settings['protocol']}: as published, not freed of sample-size bias")]
    for candidate in dict.fromkeys(value.candidate for value in found.published):
        for value in found.published:
            if value.candidate == candidate:
                lines.append(
                    Line(f"  {candidate}: {_named(value)}", (arrows[value.direction], _shown(value)))
                )
    return lines


def _named(value: Published) -> str:
    return value.name if value.name is not None else f"like {value.standard}"


def _shown(value: Published) -> str:
    if value.value is None:
        return "-"
    spread = "" if value.spread is None else f" (standard deviation {value.spread:.4g})"
    return f"{value.value:.6g}{spread}"
