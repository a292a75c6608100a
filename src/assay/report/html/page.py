"""How do the parts become one page that needs nothing else?"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from ...comparison import Comparison
from ...errors import DataError
from ...written_whole import write_whole
from .album import Album, Key, album_of
from .classes import classes_section
from .copies import copies_section, suspected_copies
from .decisions import decisions_section
from .galleries import by_importance, chosen_samples, galleries_section
from .groups import group_shares, groups_section
from .headline import headline
from .influences import influences_section
from .markup import Html, data_block, element, readable, together
from .measures import measures_section
from .notes import notes_section, settings_section
from .picture import picture_data, picture_of, picture_section
from .policy import content_policy
from .section import Section
from .steps import steps_section


def write_page(
    found: Comparison, path: str | os.PathLike[str], maps: Mapping[Key, bytes] | None = None
) -> None:
    """Write `as_page` under a temporary name beside the target, and rename it when it is complete.

    Raises:
        DataError: where the folder is missing or the file cannot be written.
    """
    page = as_page(found, maps)
    try:
        write_whole(path, page.encode())
    except OSError as error:
        where = readable(str(Path(path)))
        raise DataError(f"{where} cannot be written: {(error.strerror or str(error)).lower()}") from None


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
    return _document(found, shown, data_block("data", data), album)


def shown_samples(found: Comparison) -> list[Key]:
    """The samples that heat maps are worth making for: those in galleries by each candidate's first measure."""
    return list(dict.fromkeys(by_importance(chosen_samples(found))[0]))


def _document(found: Comparison, sections: Sequence[Section], data: Html, album: Album) -> str:
    style, script = _asset("report.css"), _asset("report.js")
    sentence = headline(found)
    head = element(
        "head",
        {},
        element("meta", {"charset": "utf-8"}),
        element("meta", {"http-equiv": "Content-Security-Policy", "content": content_policy(style, script)}),
        element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("meta", {"name": "color-scheme", "content": "light dark"}),
        element("title", {}, f"assay: {sentence}"),
        element("link", {"rel": "icon", "href": "data:,"}),
        element("style", {}, Html(style)),
    )
    body = element(
        "body",
        {},
        element("a", {"class": "skip", "href": "#main"}, "To the numbers"),
        _header(found, sentence),
        element(
            "nav",
            {"aria-label": "parts of the page"},
            *(element("a", {"href": f"#{section.identity}"}, section.title) for section in sections),
        ),
        element("main", {"id": "main"}, *(section.html() for section in sections)),
        _footer(found, album),
        data,
        element("script", {}, Html(script)),
    )
    return "<!doctype html>\n" + element("html", {"lang": "en"}, head, body) + "\n"


def _header(found: Comparison, sentence: str) -> Html:
    real = found.settings["real"]
    names = list(dict.fromkeys(row.candidate for row in found.rows))
    count = "an unknown number of" if real["n"] is None else f"{real['n']:,}"
    candidates = f"{len(names)} candidates" if len(names) != 1 else "1 candidate"
    about = " \u00b7 ".join(
        [
            f"real: {real['name']}, {count} {real['unit']}",
            candidates,
            f"features: {found.settings['features']}",
        ]
    )
    return element(
        "header",
        {},
        element(
            "div",
            {"class": "bar-line"},
            element("span", {"class": "brand"}, "assay"),
            element("button", {"type": "button", "id": "theme", "aria-pressed": "false"}, "Dark"),
        ),
        element("h1", {}, sentence),
        element("p", {"class": "about"}, about),
        element(
            "noscript",
            {},
            element("p", {"class": "lead"}, "Pictures, sorting and tabs need scripts, which are off."),
        ),
    )


def _footer(found: Comparison, album: Album) -> Html:
    versions = found.settings.get("versions") or {}
    told = [f"Made by assay {versions.get('assay', '')}."]
    if album.left_out:
        told.append(
            f"{album.left_out:,} pictures were left out to keep the file small; galleries come before the dots of the "
            "picture of features."
        )
    return element("footer", {}, together(element("p", {}, line) for line in told))


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
