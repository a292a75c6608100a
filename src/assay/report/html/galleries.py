"""Which samples should a reader look at?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...comparison import Comparison
from ..mapped import mapped_by_candidate
from ..numbers import shown
from .album import Album, Key
from .markup import Html, element, together
from .samples import Gallery, Shown, gallery_html, names_of
from .section import Section, tabs

MOST = 24  # samples a gallery


@dataclass(frozen=True)
class Chosen:
    """The galleries of one candidate by one measure."""

    candidate: str
    measure: str
    method: str
    galleries: tuple[Gallery, ...]


def chosen_samples(found: Comparison) -> list[Chosen]:
    """For each candidate and measure that has influences: the worst, the best, and what is missed."""
    real = _real_name(found)
    chosen = []
    for each in found.explanations:
        galleries = []
        worse_up = each.direction == "lower is better"
        if each.of_generated is not None and len(each.of_generated):
            bad = each.badness()
            galleries += [
                _gallery(
                    "Worst generated",
                    "They make the value worse the most: what the generator gets wrong.",
                    each.candidate, bad, each.of_generated,
                ),
                _gallery(
                    "Best generated",
                    "They make the value better the most: more of their kind would help.",
                    each.candidate, -bad, each.of_generated,
                ),
            ]  # fmt: skip
        if each.of_real is not None and len(each.of_real):
            galleries.append(
                _gallery(
                    "Missed real",
                    "Real samples that make the value worse the most: what the generator does not make.",
                    real, each.of_real if worse_up else -each.of_real, each.of_real,
                )
            )  # fmt: skip
        galleries = [gallery for gallery in galleries if gallery.entries]
        if galleries:
            chosen.append(Chosen(each.candidate, each.name, each.method, tuple(galleries)))
    return chosen


def by_importance(chosen: Sequence[Chosen]) -> tuple[list[Key], list[Key]]:
    """The samples of each candidate's first measure, and those of its further ones."""
    foremost: list[Key] = []
    further: list[Key] = []
    seen: set[str] = set()
    for each in chosen:
        keys = [key for gallery in each.galleries for key in gallery.samples()]
        (further if each.candidate in seen else foremost).extend(keys)
        seen.add(each.candidate)
    return foremost, further


def galleries_section(found: Comparison, chosen: Sequence[Chosen], album: Album) -> Section | None:
    """Tabs of candidates, in each tabs of measures, in each the galleries."""
    if not chosen:
        return None
    names = names_of(found.sets)
    titles = short_names([each.measure for each in chosen])
    panels = []
    for candidate in dict.fromkeys(each.candidate for each in chosen):
        inner = [
            (
                titles[each.measure],
                together(
                    [
                        *(gallery_html(gallery, album, names) for gallery in each.galleries),
                        element("p", {"class": "method"}, each.method),
                    ]
                ),
            )
            for each in chosen
            if each.candidate == candidate
        ]
        panels.append((candidate, tabs("measure", inner)))
    lead = (
        "The number under a sample is its influence: leaving the sample out changes the value by about minus that, "
        "divided by the number of samples less one. Look for what the worst have in common."
    )
    return Section(
        "samples",
        "Samples to look at",
        [lead],
        together([_map_toggle(found, album), tabs("candidate", panels)]),
    )


def short_names(measures: Sequence[str]) -> dict[str, str]:
    """Printed name -> the same without the feature space, where all are of one."""
    one_space = len({name.partition("[")[2] for name in measures}) == 1
    return {name: name.partition("[")[0] if one_space else name for name in measures}


def _map_toggle(found: Comparison, album: Album) -> Html:
    if not album.maps:
        return Html("")
    button = element("button", {"type": "button", "id": "maps", "aria-pressed": "false"}, "Heat maps")
    of = ", ".join(dict.fromkeys(each.name for each in mapped_by_candidate(found).values()))
    sentence = (
        f" Where in an image its influence on {of} comes from, in every gallery: "
        "orange makes the value worse, blue better."
    )
    return element("p", {"class": "lead"}, button, sentence)


def _gallery(
    title: str, sentence: str, of: str, badness: NDArray[np.float32], influence: NDArray[np.float32]
) -> Gallery:
    order = np.argsort(-badness, kind="stable")[:MOST]
    # of few samples the worst are soon good ones
    entries = tuple((Shown(of, int(r), signed(float(influence[r]))),) for r in order if badness[r] > 0)
    return Gallery(title, sentence, ("sample", "influence"), entries)


def signed(value: float) -> str:
    """Three digits and always a sign."""
    text = shown(value, None) if abs(value) >= 1e4 or value == 0 else f"{value:#.3g}".rstrip(".")
    return text if value <= 0 else f"+{text}"


def _real_name(found: Comparison) -> str:
    if found.sets:
        return str(found.sets[0].name)
    real: Mapping[str, object] = found.settings["real"]
    return str(real["name"])
