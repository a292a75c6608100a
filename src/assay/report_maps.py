"""Which heat maps does a report show, and where do they come from?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from .attribution import maps_for
from .comparison import Comparison
from .errors import UsageError
from .report.html import shown_samples
from .report.mapped import MAPPED, mapped_by_candidate


def report_maps(
    found: Comparison, *, progress: Callable[[str, int, int], None] | None = None
) -> dict[tuple[str, int], bytes]:
    """(set's name, row) -> PNG, of the samples that the report of a comparison shows and of no others.

    Raises:
        UsageError: a comparison that kept neither images nor extractor (it needs images and `explain=True`), or none
            of the smooth measures that maps are of; an extractor without a gradient.
    """
    if found.extractor is None or not found.images:
        raise UsageError("maps: need the images of all sets and explain=True; features alone show no place")
    by_candidate = mapped_by_candidate(found)
    if not by_candidate:
        raise UsageError(f"maps: are of {', '.join(MAPPED)}; measure one of them")
    shown: dict[str, list[int]] = {}
    for name, row in shown_samples(found):
        shown.setdefault(name, []).append(row)
    real = found.sets[0].name
    first = next(iter(by_candidate.values()))
    asked = [(each, shown.get(name, []), name) for name, each in by_candidate.items()]
    maps: dict[tuple[str, int], bytes] = {}
    for done, (explanation, rows, name) in enumerate([*asked, (first, shown.get(real, []), real)]):
        if progress is not None:
            progress("heat maps", done, len(asked) + 1)
        of: Literal["generated", "real"] = "real" if name == real else "generated"
        made = maps_for(found, explanation, rows, found.extractor, found.images, of=of)
        maps.update({key: picture.png for key, picture in made.items()})
    return maps
