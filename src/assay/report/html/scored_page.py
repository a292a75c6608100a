"""Scores as one HTML page that asks for nothing from outside itself."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import DataError
from ...written_whole import write_whole
from ..scored_table import headlines
from .headline import headline
from .markup import Html, data_block, element, readable
from .notes import notes_section, settings_section
from .policy import content_policy
from .scored_pictures import importance, pictured_pairs
from .scored_sections import differences_section, means_section, pairs_section, worst_section

if TYPE_CHECKING:
    from ...scoring.scores import Scores


def write_scored_page(found: Scores, path: str | os.PathLike[str], worst: int, by: str) -> None:
    """Write `as_page` under a temporary name beside the target, and rename it when it is complete.

    Raises:
        DataError: where the folder is missing or the file cannot be written.
    """
    page = as_page(found, worst, by)
    try:
        write_whole(path, page.encode())
    except OSError as error:
        where = readable(str(Path(path)))
        raise DataError(f"{where} cannot be written: {(error.strerror or str(error)).lower()}") from None


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
    style = _asset("report.css") + _asset("scored.css")
    script = _asset("report.js") + _asset("scored.js")
    sentence = headline(found.comparison)
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
    versions = found.settings["versions"]
    told = [f"Made by assay {versions['assay']}."]
    if pictured.left_out:
        told.append(f"{pictured.left_out:,} pictures were left out to keep the file small.")
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
        element("footer", {}, *(element("p", {}, line) for line in told)),
        data_block("data", {"pictures": list(pictured.pictures), "clouds": []}),
        element("script", {}, Html(script)),
    )
    return "<!doctype html>\n" + element("html", {"lang": "en"}, head, body) + "\n"


def _header(found: Scores, sentence: str) -> Html:
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
        *(element("p", {"class": "about"}, line) for line in headlines(found)),
        element(
            "noscript",
            {},
            element("p", {"class": "lead"}, "Pictures, sorting and tabs need scripts, which are off."),
        ),
    )


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
