"""Scores as one HTML page that asks for nothing from outside itself."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..scored_table import headlines
from .document import document, write_document
from .headline import headline
from .markup import data_block
from .notes import notes_section, settings_section
from .scored_pictures import importance, pictured_pairs
from .scored_sections import differences_section, means_section, pairs_section, worst_section

if TYPE_CHECKING:
    from ...scoring.scores import Scores


def write_scored_page(found: Scores, path: str | os.PathLike[str], worst: int, by: str) -> None:
    """Write `as_page`, whole or not at all.

    Raises:
        DataError: where the folder is missing or the file cannot be written.
    """
    write_document(as_page(found, worst, by), path)


def as_page(found: Scores, worst: int, by: str) -> str:
    """The page: means and distributions, differences, notes, the worst pairs side by side, their values.

    Args:
        found: the scores; the worst pairs' images are read again.
        worst: pairs of each candidate.
        by: the measure they are worst by.
    """
    pictured = pictured_pairs(found, list(importance(found, worst, by)), by)
    sections = [
        section
        for section in (
            means_section(found),
            differences_section(found),
            notes_section(found.comparison),
            worst_section(found, pictured, by) if pictured.pairs else None,
            pairs_section(found, by),
            settings_section(found.comparison),
        )
        if section is not None
    ]
    told = [f"Made by assay {found.settings['versions']['assay']}."]
    if pictured.left_out:
        pairs = "pair was" if pictured.left_out == 1 else "pairs were"
        told.append(f"{pictured.left_out:,} {pairs} left out of the pictures to keep the file small.")
    return document(
        headline(found.comparison),
        headlines(found),
        sections,
        told,
        data_block("data", {"pictures": list(pictured.pictures), "clouds": []}),
        styles=("report.css", "scored.css"),
        scripts=("report.js", "scored.js"),
    )
