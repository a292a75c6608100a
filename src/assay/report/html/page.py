"""Which parts has the page of a comparison?"""

from __future__ import annotations

import os
from collections.abc import Mapping

from ...comparison import Comparison
from .album import Album, Key, album_of
from .classes import classes_section
from .copies import copies_section, suspected_copies
from .decisions import decisions_section
from .document import document, write_document
from .galleries import by_importance, chosen_samples, galleries_section
from .groups import group_shares, groups_section
from .headline import headline
from .influences import influences_section
from .markup import data_block
from .measures import measures_section
from .notes import notes_section, settings_section
from .picture import picture_data, picture_of, picture_section
from .steps import steps_section


def write_page(
    found: Comparison, path: str | os.PathLike[str], maps: Mapping[Key, bytes] | None = None
) -> None:
    """Write `as_page`, whole or not at all.

    Raises:
        DataError: where the folder is missing or the file cannot be written.
    """
    write_document(as_page(found, maps), path)


def as_page(found: Comparison, maps: Mapping[Key, bytes] | None = None) -> str:
    """A comparison as one HTML page that asks for nothing from outside itself.

    Args:
        found: what was compared; a part whose numbers are not in it is left out.
        maps: (set's name, row) -> the heat map of that sample, PNG.

    Pictures are carried once each and in 20 million characters at most, the most important first: suspected copies and
    their originals, the worst, best and missed samples by each candidate's first measure, the worst of groups, those by
    further measures, their heat maps, then the dots of the picture of features.
    """
    chosen = chosen_samples(found)
    copies = suspected_copies(found)
    shares = group_shares(found)
    picture = picture_of(found, int(found.settings.get("seed", 0)))
    foremost, further = by_importance(chosen)
    album = album_of(
        found.sets,
        maps or {},
        [
            *(key for _, gallery in copies for key in gallery.samples()),
            *foremost,
            *(key for each in shares for gallery in each.galleries for key in gallery.samples()),
            *further,
        ],
        picture.keys() if picture is not None else (),
    )
    sections = [
        measures_section(found),
        decisions_section(found),
        notes_section(found),
        steps_section(found),
        classes_section(found),
        groups_section(found, shares, album),
        influences_section(found),
        galleries_section(found, chosen, album),
        copies_section(found, copies, album),
        picture_section(found, picture),
        settings_section(found),
    ]
    shown = [section for section in sections if section is not None]
    data = {"pictures": list(album.pictures), "clouds": picture_data(found, picture, album)}
    return document(headline(found), [_about(found)], shown, _told(found, album), data_block("data", data))


def shown_samples(found: Comparison) -> list[Key]:
    """The samples that heat maps are worth making for: those in galleries by each candidate's first measure."""
    return list(dict.fromkeys(by_importance(chosen_samples(found))[0]))


def _about(found: Comparison) -> str:
    real = found.settings["real"]
    names = list(dict.fromkeys(row.candidate for row in found.rows))
    count = "an unknown number of" if real["n"] is None else f"{real['n']:,}"
    candidates = f"{len(names)} candidates" if len(names) != 1 else "1 candidate"
    return " \u00b7 ".join(
        [
            f"real: {real['name']}, {count} {real['unit']}",
            candidates,
            f"features: {found.settings['features']}",
        ]
    )


def _told(found: Comparison, album: Album) -> list[str]:
    versions = found.settings.get("versions") or {}
    told = [f"Made by assay {versions.get('assay', '')}."]
    if album.left_out:
        told.append(
            f"{album.left_out:,} pictures were left out to keep the file small; galleries come before the dots of the "
            "picture of features."
        )
    return told
