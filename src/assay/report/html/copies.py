"""Which generated samples may be copies of real ones?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...comparison import Comparison
from ..numbers import shown
from .album import Album
from .markup import Html, element
from .samples import Gallery, Shown, gallery_html, names_of
from .section import Section, tabs

MOST = 24  # pairs a candidate


def suspected_copies(found: Comparison) -> list[tuple[str, Gallery]]:
    """For each candidate whose nearest real samples are known: the suspects beside their originals, closest first."""
    real = str(found.sets[0].name) if found.sets else str(found.settings["real"]["name"])
    galleries = []
    for candidate in dict.fromkeys(e.candidate for e in found.explanations if e.nearest is not None):
        nearest = next(
            e.nearest for e in found.explanations if e.candidate == candidate and e.nearest is not None
        )
        suspects = np.flatnonzero(nearest.copied)
        order = suspects[np.argsort(nearest.distance[suspects], kind="stable")][:MOST]
        entries = tuple(
            (
                Shown(candidate, int(row), f"distance {_distance(float(nearest.distance[row]))}"),
                Shown(real, int(nearest.row[row]), "nearest real"),
            )
            for row in order
        )
        count, total = len(suspects), len(nearest.copied)
        some = f"; the {MOST} closest are shown" if count > MOST else ""
        title = (
            f"{candidate}: {count:,} of {total:,} ({100 * count / max(total, 1):.3g}%) are suspected{some}"
        )
        sentence = (
            "Left the generated sample, right the real one nearest to it; distances are between features, and 0 is an "
            "exact copy."
            if count
            else "No generated sample is closer to a real one than real ones are to each other."
        )
        galleries.append(
            (candidate, Gallery(title, sentence, ("generated", "distance", "real", ""), entries))
        )
    return galleries


def copies_section(
    found: Comparison, galleries: Sequence[tuple[str, Gallery]], album: Album
) -> Section | None:
    """Tabs of candidates with their suspects."""
    if not galleries:
        return None
    names = names_of(found.sets)
    lead = (
        "A generated sample is suspected where it is closer to a real one than real ones are to each other there. "
        "About one in a thousand is expected by luck; more, or exact copies, show that the generator memorised."
    )
    panels = [
        (candidate, gallery_html(gallery, album, names) if gallery.entries else _none(gallery))
        for candidate, gallery in galleries
    ]
    return Section("copies", "Suspected copies", [lead], tabs("candidate", panels))


def _none(gallery: Gallery) -> Html:
    return element(
        "div",
        {"class": "gallery"},
        element("h4", {}, gallery.title),
        element("p", {"class": "lead"}, gallery.sentence),
    )


def _distance(value: float) -> str:
    return "0" if value == 0 else shown(value, None)
